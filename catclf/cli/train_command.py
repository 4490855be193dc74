"""`catclf train`: options, one call, a summary."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import click

from catclf import config
from catclf.cli.console import Console
from catclf.cli.group import OfOneDataSet
from catclf.cli.options import (
    check_file,
    check_table,
    console_option,
    format_option,
    labels_option,
    positive_option,
    read_options,
    refuse_existing,
    refuse_name_of_data,
    refuse_overwriting,
    require_report_extra,
    with_encoder,
)
from catclf.cli.parameters import (
    FractionOrPath,
    NumberOrAuto,
    Numbers,
    OneOf,
    PathName,
    gathered,
    long_name,
    option,
    options,
)
from catclf.partial import SUFFIX, alone
from catclf.printable import number_of

_POSITIVE = click.FloatRange(min=0, min_open=True)


def _usual(setting: str) -> str:
    """What is usual for each kind of features, for the help."""
    values = {kind.name: getattr(kind, setting) for kind in config.FEATURES.values()}
    if setting == "l2":
        values |= {
            kind.name: f"{kind.l2:g}/max(m, {kind.l2_pictures})"
            for kind in config.FEATURES.values()
            if kind.l2_pictures is not None
        }
    if len(set(values.values())) == 1:
        return f"{next(iter(values.values()))}"
    return ", ".join(
        f"{value if isinstance(value, str) else format(value, 'g')} for {name}"
        for name, value in values.items()
    )


_INDIFFERENT = " and ".join(kind.name for kind in config.FEATURES.values() if kind.mirrored)

_settings_options = options(
    positive_option,
    option("--features", type=OneOf(config.FEATURES), help="Features to train on."),
)

_descent_options = gathered(
    "descent",
    config.DescentSettings,
    option("--loss", type=click.Choice(config.LOSS_NAMES), help="Loss function."),
    option(
        "-l",
        "--learning-rate",
        "--lr",
        type=NumberOrAuto(_POSITIVE),
        help="Learning rate; auto is 1/L, where L is the largest curvature of the cost.",
    ),
    option(
        "-i", "--iterations", "--epochs", type=click.IntRange(min=0), help="Maximum number of updates."
    ),
    option("-e", "--epsilon", type=_POSITIVE, help="Tolerance of the stopping test."),
    option(
        "--stop",
        type=click.Choice(config.STOP_RULES),
        help="What must fall to epsilon: the gradient, |(dw, db)|; the step, |(w, b)+ - (w, b)|; none:"
        " all updates are made.",
    ),
    option(
        "--momentum",
        type=click.FloatRange(0, 1, max_open=True),
        help=f"Nesterov momentum, restarted when the cost rises [default: {_usual('momentum')}].",
    ),
    option("--init", "start", type=click.Choice(config.STARTS), help="Initial weights."),
    option("--seed", type=click.IntRange(min=0), help="Random seed."),
    option(
        "--l2",
        type=NumberOrAuto(click.FloatRange(min=0)),
        help="L2 penalty, l2/2 |w|^2, never on b; auto chooses it by cross-validation"
        f" [default: {_usual('l2')}].",
    ),
    option(
        "--print-every",
        "record_every",
        type=click.IntRange(min=1),
        help="Print the cost after every N updates.",
    ),
    option(
        "--patience",
        type=click.IntRange(min=1),
        help="Stop after N steps without a lower validation cost, and keep the best model.",
    ),
)

_fit_options = options(
    labels_option,
    option(
        "--class-weight",
        type=click.Choice(config.CLASS_WEIGHTS),
        help="balanced: both classes get the same total weight.",
    ),
    option(
        "--flip",
        is_flag=True,
        help=f"Train on mirrored pictures too; no effect with {_INDIFFERENT}.",
    ),
    option(
        "--validation",
        type=FractionOrPath(),
        help="Pictures to score but not to train on: a share of DATA, or other data.",
    ),
    option(
        "--cv",
        type=click.IntRange(min=2),
        metavar="K",
        help="Also cross-validate these settings in K folds.",
    ),
    option(
        "--tune-threshold",
        metavar="GOAL",
        help="Tune the model's threshold on cross-validated probabilities for GOAL: accuracy,"
        " balanced_accuracy, f1, precision=P or recall=R. The scores of --cv stay at 0.5.",
    ),
    option(
        "--engine",
        type=OneOf(config.ENGINES, "auto"),
        help="How X is kept: affects speed and memory, never the result.",
    ),
)

_output_options = options(
    option(
        "-o",
        "--output",
        type=PathName(),
        metavar="FILE",
        help="Model file to write.  [required, but not with --compare-rates]",
    ),
    option("-f", "--force", is_flag=True, help="Replace the model file if it exists."),
    option(
        "--history",
        type=PathName(),
        metavar="FILE",
        help="Write the recorded steps to a .csv or .jsonl file.",
    ),
    option(
        "--plot",
        type=PathName(),
        metavar="FILE.png",
        help="Plot the cost and the gradient against the updates.",
    ),
    option(
        "--compare-rates",
        type=Numbers(),
        help="Try several learning rates: print how each does, --plot their costs, save no model.",
    ),
    format_option("text", "json", synonym=True),
)

_EPILOG = """\b
Example:
  catclf train photos/ -o cat.npz          # photos/cat/*.jpg, photos/other/*.jpg
  catclf train train.h5 -o course.npz -l 0.005 -i 2000 --stop none --history cost.csv"""


@click.command("train", cls=OfOneDataSet, epilog=_EPILOG)
@click.argument("data", type=PathName())
@_output_options
@gathered(
    "settings",
    config.TrainSettings,
    _settings_options,
    read_options(
        *("encoder", "encoder_output", "size", "x_key", "y_key", "on_error", "exclude", "follow"),
        *("max_pixels", "memory", "scheduler", "jobs"),
    ),
    _descent_options,
    _fit_options,
)
@option("--resume", type=PathName(), metavar="MODEL", help="Continue training a saved model.")
@console_option
def command(
    data: str,
    output: str | None,
    force: bool,
    history: str | None,
    plot: str | None,
    format_name: str,
    settings: config.TrainSettings,
    resume: str | None,
    compare_rates: tuple[float, ...] | None,
    console: Console,
) -> int:
    """Train a classifier on DATA and save it.

    DATA is a folder with one sub-folder for each class, an HDF5 file (*_set_x, *_set_y,
    list_classes), or a CSV file with the columns path and label.
    """
    settings = replace(
        settings,
        read=with_encoder(settings.read, settings.kind.own_view),
        spool=None if output is None else output + SUFFIX,
    )
    _check_engine(settings)
    if compare_rates is not None:
        _refuse_with_rates()
    elif output is None:
        raise click.UsageError("Missing option '-o' / '--output': name the model file to write.")
    other_data = settings.validation if isinstance(settings.validation, str) else None
    refuse_overwriting((output, history, plot), (data, other_data, settings.labels))
    refuse_overwriting((history, plot), (resume,))  # the model may go where it came from
    _check_outputs(output, force, history, plot)

    from catclf.cli import training_report as report
    from catclf.errors import TrainingError
    from catclf.model import load, save
    from catclf.pipeline.training import train

    progress = report.TrainingProgress(console, settings.descent.record_every)
    if compare_rates is not None or output is None:
        from catclf.pipeline.rates import compare_rates as compare

        with progress:
            results = compare(data, compare_rates or (), settings, progress=progress, processes=True)
        report.print_rates(results, format_name)
        if plot is not None:
            report.write_rates(results, settings.descent.loss, plot)
        return progress.exit_code
    start = load(resume) if resume is not None else None
    try:
        with alone(output, "train"), progress, _best_kept(console, output):
            fit = train(data, settings, resume=start, progress=progress, processes=True)
            save(fit.model, output)  # in here, where a signal waits
    except TrainingError as exc:
        if format_name == "json":
            report.print_divergence(exc)
        report.write_history(exc.history, settings.descent.loss, history, plot)
        raise
    report.write_history(fit.history, settings.descent.loss, history, plot)
    report.print_summary(console, fit, settings.descent, output)
    if format_name == "json":
        report.print_fit(fit, output)
    return progress.exit_code


@contextlib.contextmanager
def _best_kept(console: Console, output: str) -> Iterator[None]:
    """Save the best model so far when the cluster is lost."""
    from catclf.errors import ClusterError
    from catclf.model import Model, save

    try:
        yield
    except ClusterError as exc:
        if isinstance(exc.model, Model):
            save(exc.model, output)
            steps = number_of(exc.model.training.iterations or 0, "update")
            console.warn(f"the best model so far, after {steps}, was saved to {output}")
        raise


def _check_engine(settings: config.TrainSettings) -> None:
    engine = config.ENGINES.get(settings.engine)
    if engine is not None and "workers" in engine.reads and settings.read.scheduler is None:
        raise click.UsageError(f"--engine {engine.name} requires --scheduler")


def _refuse_with_rates() -> None:
    """Refuse what makes no sense where several rates are compared and no model is saved."""
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in _NOT_WITH_RATES and isinstance(parameter, click.Option):
            source = context.get_parameter_source(parameter.name)
            if source is click.core.ParameterSource.COMMANDLINE:
                name = long_name(parameter)
                raise click.UsageError(f"--compare-rates saves no model: {name} cannot be used with it")


_NOT_WITH_RATES = (
    *("output", "force", "resume", "history", "learning_rate", "cv", "tune_threshold"),
    *("record_every",),
)


def _check_outputs(output: str | None, force: bool, history: str | None, plot: str | None) -> None:
    """Find out before the work starts whether its results can be kept."""
    if output is not None:
        check_file(output, "--output")
        refuse_name_of_data(output, "a model")
        refuse_existing(output, force)
    check_table(history, "--history")
    if plot is not None:
        check_file(plot, "--plot", (".png",))
        require_report_extra("--plot", "matplotlib")
