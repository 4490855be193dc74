"""`catclf train`: options, one call, a summary."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import click

from catclf import config
from catclf.cli.console import Console
from catclf.cli.group import OfOneDataSet
from catclf.cli.options import (
    ByteSize,
    FractionOrPath,
    NumberOrAuto,
    PathName,
    check_file,
    check_table,
    jobs_option,
    key_options,
    max_pixels_option,
    options,
    refuse_name_of_data,
    refuse_overwriting,
    require_dask_extra,
    require_report_extra,
    scheduler_option,
    talk_options,
)
from catclf.printable import number_of

if TYPE_CHECKING:
    from catclf.pipeline.training import Fit

_POSITIVE = click.FloatRange(min=0, min_open=True)
_DEFAULTS = config.TrainSettings()
_DESCENT = _DEFAULTS.descent

_data_options = options(
    click.option(
        "-o", "--output", type=PathName(), required=True, metavar="FILE", help="Where the model goes."
    ),
    click.option("-f", "--force", is_flag=True, help="Replace the model file if it exists."),
    click.option(
        "--positive",
        metavar="NAME",
        help="The class that is y = 1 [default: cat or cats; of an HDF5 file list_classes[1]].",
    ),
    click.option(
        "--features",
        type=click.Choice(config.FEATURE_NAMES),
        default=_DEFAULTS.features,
        show_default=True,
        help="What x is made of.",
    ),
    click.option(
        "--size",
        type=click.IntRange(1, config.LARGEST_SIZE),
        metavar="N",
        help="Side in pixels [default: 64; an HDF5 file keeps its own].",
    ),
    key_options,
)

_descent_options = options(
    click.option(
        "--loss",
        type=click.Choice(config.LOSS_NAMES),
        default=_DESCENT.loss,
        show_default=True,
        help="The cost of a picture.",
    ),
    click.option(
        "-l",
        "--learning-rate",
        type=NumberOrAuto(_POSITIVE),
        default=_DESCENT.learning_rate,
        show_default=True,
        help="The step size; auto is 1/L, L the largest curvature of the cost.",
    ),
    click.option(
        "-i",
        "--iterations",
        type=click.IntRange(min=0),
        default=_DESCENT.iterations,
        show_default=True,
        metavar="N",
        help="Largest number of updates.",
    ),
    click.option(
        "-e",
        "--epsilon",
        type=_POSITIVE,
        default=_DESCENT.epsilon,
        show_default=True,
        metavar="X",
        help="Bound of the stopping test.",
    ),
    click.option(
        "--stop",
        type=click.Choice(config.STOP_RULES),
        default=_DESCENT.stop,
        show_default=True,
        help="gradient: |(dw, db)| <= epsilon; step: |(w, b)+ - (w, b)| <= epsilon.",
    ),
    click.option(
        "--momentum",
        type=click.FloatRange(0, 1, max_open=True),
        default=_DESCENT.momentum,
        show_default=True,
        metavar="X",
        help="Nesterov's, begun anew when the cost rises.",
    ),
    click.option(
        "--init",
        type=click.Choice(config.STARTS),
        default=_DESCENT.start,
        show_default=True,
        help="Weights to start from.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=_DESCENT.seed,
        show_default=True,
        metavar="N",
        help="Of everything drawn at random.",
    ),
    click.option(
        "--l2",
        type=NumberOrAuto(click.FloatRange(min=0)),
        help="Penalty l2/2 |w|^2, never on b; auto chooses it by cross-validation"
        " [default: 0 for pixels, auto for patches].",
    ),
    click.option(
        "--class-weight",
        type=click.Choice(config.CLASS_WEIGHTS),
        default=_DEFAULTS.class_weight,
        show_default=True,
        help="balanced: both classes count the same.",
    ),
    click.option("--flip", is_flag=True, help="Train on mirrored pictures too; patches do not care."),
)

_run_options = options(
    click.option(
        "--validation",
        type=FractionOrPath(),
        help="Pictures to score but not to train on: a share, or other data.",
    ),
    click.option(
        "--patience",
        type=click.IntRange(min=1),
        metavar="N",
        help="Stop after N steps without a lower validation cost, and keep the best.",
    ),
    click.option(
        "--cv",
        type=click.IntRange(min=2),
        metavar="K",
        help="Cross-validate these settings in K folds before the final fit.",
    ),
    click.option(
        "--tune-threshold",
        metavar="GOAL",
        help="Choose the model's threshold on cross-validated probabilities: accuracy,"
        " balanced_accuracy, f1, precision=P or recall=R. The scores of --cv stay those at 0.5.",
    ),
    click.option(
        "--engine",
        type=click.Choice(("auto", *config.ENGINE_NAMES)),
        default=_DEFAULTS.engine,
        show_default=True,
        help="Where X lives: changes speed and memory, never the result.",
    ),
    click.option(
        "--memory",
        type=ByteSize(),
        default="2GB",
        show_default=True,
        help="Budget for the pixels, and again for what an engine adds; pixels that do not fit stay in"
        " their HDF5 file, which `catclf pack` makes.",
    ),
    scheduler_option,
    click.option("--resume", type=PathName(), metavar="MODEL", help="Go on from a saved model."),
    click.option(
        "--history",
        type=PathName(),
        metavar="FILE",
        help="Write the recorded steps to a .csv or .jsonl file.",
    ),
    click.option(
        "--plot",
        type=PathName(),
        metavar="FILE.png",
        help="Draw the cost and the gradient over the steps.",
    ),
    click.option(
        "--errors",
        type=click.Choice(config.ON_ERROR),
        default=_DEFAULTS.on_error,
        show_default=True,
        help="What to do with a picture that cannot be read.",
    ),
    max_pixels_option,
    jobs_option,
    click.option(
        "--json", "as_json", envvar="CATCLF_TRAIN_JSON", is_flag=True, help="Print the summary as JSON."
    ),
    talk_options,
)

_EPILOG = """\b
Example:
  catclf train photos/ -o cat.npz          # photos/cat/*.jpg, photos/other/*.jpg
  catclf train train.h5 -o course.npz -l 0.005 -i 2000 --stop none --history cost.csv"""


@click.command("train", cls=OfOneDataSet, epilog=_EPILOG)
@click.argument("data", type=PathName())
@_data_options
@_descent_options
@_run_options
def command(
    data: str,
    output: str,
    force: bool,
    history: str | None,
    plot: str | None,
    resume: str | None,
    **choices: Any,
) -> int:
    """Train a classifier on DATA and save it.

    DATA is a folder with one sub-folder for each class, an HDF5 file (*_set_x, *_set_y,
    list_classes), or a CSV file with the columns path and label.
    """
    console = Console(choices.pop("quiet"), choices.pop("verbose"))
    as_json = choices.pop("as_json")
    settings = _settings(**choices)
    if settings.scheduler is not None:
        require_dask_extra()
    elif settings.engine == "dask":
        raise click.UsageError("--engine dask needs a --scheduler")
    other_data = settings.validation if isinstance(settings.validation, str) else None
    refuse_overwriting((output, history, plot), (data, other_data))
    refuse_overwriting((history, plot), (resume,))  # the model may go where it came from
    _check_outputs(output, force, history, plot)

    from catclf.cli import training_report as report
    from catclf.errors import ClusterError, TrainingError
    from catclf.model import Model, load, save
    from catclf.pipeline.training import train

    progress = report.TrainingProgress(console)
    start = load(resume) if resume is not None else None
    try:
        with progress:
            fit = train(data, settings, resume=start, progress=progress)
            save(fit.model, output)  # in here, where a signal waits
    except TrainingError as exc:
        if as_json:
            report.print_divergence(exc)
        raise
    except ClusterError as exc:
        if isinstance(exc.model, Model):
            save(exc.model, output)
            steps = number_of(exc.model.training["iterations"], "update")
            console.warn(f"the best of the steps so far, after {steps}, is in {output}")
        raise
    if history is not None:
        report.write_history(fit.history, history)
    if plot is not None:
        report.draw_history(fit.model.history, plot)
    _tell(console, fit, settings.descent, output, as_json)
    return progress.exit_code


def _settings(
    *,
    init: str,
    errors: str,
    l2: float | Literal["auto"] | None,
    learning_rate: float | Literal["auto"],
    iterations: int,
    epsilon: float,
    stop: str,
    momentum: float,
    seed: int,
    loss: str,
    patience: int | None,
    **others: Any,
) -> config.TrainSettings:
    descent = config.DescentSettings(
        loss=loss,
        learning_rate=learning_rate,
        iterations=iterations,
        stop=stop,
        epsilon=epsilon,
        momentum=momentum,
        l2=l2,
        start=init,
        seed=seed,
        patience=patience,
    )
    return config.TrainSettings(descent=descent, on_error=errors, **others)


def _check_outputs(output: str, force: bool, history: str | None, plot: str | None) -> None:
    """Find out before the work starts whether its results can be kept."""
    check_file(output, "--output")
    refuse_name_of_data(output, "a model")
    if os.path.lexists(output) and not force:
        raise click.UsageError(f"{output} exists; replace it with --force, or name another file")
    check_table(history, "--history")
    if plot is not None:
        check_file(plot, "--plot", (".png",))
        require_report_extra("--plot")


def _tell(
    console: Console, fit: Fit, settings: config.DescentSettings, output: str, as_json: bool
) -> None:
    from catclf.cli import training_report as report

    for warning in fit.warnings:
        console.warn(warning)
    for failure in fit.skipped:
        console.warn(f"{failure}; skipped")
    for line in report.summary(fit, settings, output):
        console.say(line)
    if as_json:
        report.print_fit(fit, output)
