"""Every exception that catclf raises on purpose, in terms of settings. Prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # only the name of a type: this module imports nothing
    from catclf.descent import Step


class Setting(NamedTuple):
    """A setting that a message speaks of, by its name in Python, such as ``learning_rate``.

    Whoever shows the message may spell it otherwise, as the command line does.
    """

    name: str
    value: object = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value!r}"


Text = str | Setting
"""A part of a message."""


def spelled(parts: Iterable[Text], spell: Callable[[Setting], str] = str) -> str:
    """Put a message together, its settings spelled by `spell`."""
    return "".join(spell(part) if isinstance(part, Setting) else part for part in parts)


class CatclfError(Exception):
    """Base of all errors that are about the input and not about a bug in catclf.

    Their ``args`` are what they are made of, and the message is made of those: so they can be pickled,
    as whoever computes in other processes does.
    """

    def parts(self) -> Iterable[Text]:
        """Return the parts of the message."""
        return map(str, self.args)

    def __str__(self) -> str:
        return spelled(self.parts())


class ConfigError(CatclfError, ValueError):
    """A setting has a value that it cannot have.

    Parameters
    ----------
    name : str
        The setting's name in Python, such as ``learning_rate``.
    value : object
        What it was set to.
    rule : str or Setting, in several parts
        What it must be, or why it cannot be that, as a clause.
    """

    def __init__(self, name: str, value: object, *rule: Text) -> None:
        super().__init__(name, value, *rule)
        self.name = name
        self.value = value
        self.rule = rule

    def parts(self) -> Iterable[Text]:
        """See `CatclfError`."""
        return (f"{self.name} = {self.value!r}: ", *self.rule)


class _FileError(CatclfError):
    """Something is wrong with a file.

    Parameters
    ----------
    path : str
        The file as the user named it.
    reason : str or Setting, in several parts
        What is wrong, and what would be right.
    """

    def __init__(self, path: str, *reason: Text) -> None:
        super().__init__(path, *reason)
        self.path = path
        self._reason = reason

    def parts(self) -> Iterable[Text]:
        """See `CatclfError`."""
        return (f"{self.path}: ", *self._reason)

    @property
    def reason(self) -> str:
        """The message without the path."""
        return self.reason_as(str)

    def reason_as(self, spell: Callable[[Setting], str]) -> str:
        """Return the message without the path, its settings spelled by `spell`."""
        return spelled(self._reason, spell)

    def of(self, path: str) -> DataError:
        """Return the same about a file of another name."""
        return DataError(path, *self._reason)


class DataError(_FileError):
    """A file or folder cannot be used as input: ``path`` and ``reason``."""


class ModelFileError(_FileError):
    """A model file cannot be read: ``path`` and ``reason``, with expected and found."""


class OutputError(_FileError):
    """A result cannot be written: ``path`` and ``reason``."""


class TooFewPicturesError(CatclfError):
    """A class is too small to be divided: `found` pictures for `purpose`; `advice` says what to do.

    With `pictures` it has so many, of `found` scenes only.
    """

    def __init__(
        self, found: int, positive: bool, purpose: str, *advice: Text, pictures: int | None = None
    ) -> None:
        super().__init__(found, positive, purpose, *advice)
        self.found = found
        self.pictures = pictures
        self.positive = positive
        self.purpose = purpose
        self.advice = advice or ("add some",)

    def parts(self) -> Iterable[Text]:
        """See `CatclfError`."""
        name = "positive" if self.positive else "negative"
        what, of = "pictures", ""
        if self.pictures is not None:
            what, of = "groups of near-duplicates", f", of {self.pictures} pictures"
        yield f"the {name} class has too few {what} {self.purpose} ({self.found}{of}): "
        yield from self.advice


class MissingExtraError(CatclfError):
    """Libraries are not installed: `what` needs the modules `missing`, which `extra` brings."""

    def __init__(self, what: str, missing: Sequence[str], extra: str) -> None:
        super().__init__(what, missing, extra)
        self.what = what
        self.missing = missing
        self.extra = extra

    def parts(self) -> Iterable[Text]:
        """See `CatclfError`."""
        yield f"{self.what} need {', '.join(self.missing)}: pip install 'catclf[{self.extra}]'"


class TrainingError(CatclfError):
    """Gradient descent did not work out.

    Parameters
    ----------
    step : int
        Number of updates made when it was noticed.
    cost : float
        The cost at that step.
    advice : str or Setting, in several parts
        What to do, as a sentence.

    Attributes
    ----------
    history : tuple of Step
        The steps recorded until then.
    """

    def __init__(self, step: int, cost: float, *advice: Text, history: tuple[Step, ...] = ()) -> None:
        super().__init__(step, cost, *advice)
        self.step = step
        self.cost = cost
        self.advice = advice
        self.history = history

    def parts(self) -> Iterable[Text]:
        """See `CatclfError`."""
        yield f"the descent diverged at step {self.step} (cost {self.cost:.6g}). "
        yield from self.advice


class ClusterError(CatclfError):
    """The machines that were to do the work cannot be reached, or have gone.

    Parameters
    ----------
    address : str
        The scheduler as the user named it.
    reason : str
        What happened.

    Attributes
    ----------
    model : catclf.Model or None
        The best that a training had found by then; `train` sets it.
    """

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason
        self.model: object = None

    def parts(self) -> Iterable[Text]:
        """See `CatclfError`."""
        yield f"the Dask scheduler {self.address}: {self.reason}"


def system_reason(exc: OSError | ValueError) -> str:
    """Say as a phrase why the system does not open or read a file; a ValueError is about its name."""
    return (getattr(exc, "strerror", None) or str(exc)).lower()
