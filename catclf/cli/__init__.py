"""The command line: options in, results to stdout, messages to stderr, an exit code. No arithmetic."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Sequence

import click

import catclf
from catclf.cli import libraries
from catclf.cli.console import log, report_error, report_interruption, report_usage
from catclf.cli.group import Invocation, LazyGroup
from catclf.cli.output import abandon_stdout, named_stdout
from catclf.errors import CatclfError, ConfigError, MissingExtraError, Setting, Text, spelled
from catclf.work.signals import Interrupted, signals

FAILED, USAGE = 1, 2

COMMANDS = {
    "train": "Train a classifier on labelled pictures.",
    "predict": "Classify pictures, folders or HDF5 files.",
    "eval": "Score a model on labelled pictures.",
    "info": "Show what is in a model file.",
    "check": "Find wrong labels, near-duplicates, unusual and unreadable pictures.",
    "next": "Suggest which pictures to label next.",
    "pack": "Pack all pictures into one HDF5 file.",
    "export": "Write a model as an ONNX file.",
}

_EPILOG = """\b
Example:
  catclf train photos/ -o cat.npz
  catclf predict -m cat.npz album/ > answers.tsv"""


@click.group(
    cls=LazyGroup,
    commands_help=COMMANDS,
    epilog=_EPILOG,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "CATCLF",
        "max_content_width": 100,
    },
)
@click.version_option(catclf.__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Tell cats from other pictures with logistic regression.

    Results go to stdout, everything else to stderr. Every option can be set in the environment as
    CATCLF_<COMMAND>_<OPTION>.

    Exit codes: 0 done, 1 failed, 2 usage, 3 finished but some inputs failed, 4 a --fail-under was
    missed, 130 interrupted, 143 terminated.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: the one place where errors become messages."""
    # catclf runs threads of its own and each calls BLAS for a small product. Threads inside BLAS as
    # well would fight with them, and results would depend on how many there are.
    for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[variable] = "1"
    with libraries.silenced(), named_stdout():
        try:
            return _guarded(sys.argv[1:] if arguments is None else list(arguments))
        finally:
            log.close()


def _guarded(arguments: list[str]) -> int:
    invocation = Invocation(FAILED)  # a command for which 1 means something else changes it
    try:
        with signals.installed():
            code = _run(arguments, invocation)
            _flush_stdout()
        return code
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.ClickException as exc:
        shown = io.StringIO()
        exc.show(shown)
        report_usage(shown.getvalue())
        return exc.exit_code
    except ConfigError as exc:
        report_error(_message((Setting(exc.name), f" {exc.value}: ", *exc.rule), invocation))
        return USAGE
    except CatclfError as exc:
        report_error(_message(exc.parts(), invocation))
        return USAGE if isinstance(exc, MissingExtraError) else invocation.failed
    except (Interrupted, KeyboardInterrupt) as exc:
        abandon_stdout()
        name = "" if invocation.command is None else str(invocation.command.name)
        report_interruption(_INTERRUPTED.get(name, "nothing was saved"))
        return 128 + (exc.signal_number if isinstance(exc, Interrupted) else 2)
    except BrokenPipeError:
        return 0
    except MemoryError as exc:
        report_error(f"out of memory ({exc})" if str(exc) else "out of memory; -j 1 needs the least")
        return invocation.failed


_INTERRUPTED = {"train": "no model was saved", "predict": "", "pack": "", "info": ""}
"""What becomes of the work of commands; the empty ones say so themselves, or have nothing to lose."""


def _message(parts: Iterable[Text], invocation: Invocation) -> str:
    """Put a message together, its settings spelled as options."""
    from catclf.cli.parameters import spelling  # only here: it takes time to import

    return spelled(parts, spelling(invocation.command))


def _run(arguments: list[str], invocation: Invocation) -> int:
    if "_CATCLF_COMPLETE" in os.environ:  # the shell asks for completions
        from catclf.cli import completion

        completion.register()
        cli.main(arguments, prog_name="catclf")
    # subtle: cli.main() would turn a closed pipe and Ctrl-C into its own exit codes.
    with cli.make_context("catclf", arguments, obj=invocation) as context:
        return int(cli.invoke(context) or 0)


def _flush_stdout() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()
