"""Every exception that catclf raises on purpose. Imports nothing; prints nothing."""

from __future__ import annotations


class CatclfError(Exception):
    """Base of all errors that are about the input and not about a bug in catclf.

    Their ``args`` are what they are made of, and the message is made of those: so they can be pickled,
    as whoever computes in other processes does.
    """


class ConfigError(CatclfError, ValueError):
    """A setting has a value that it cannot have.

    Parameters
    ----------
    name : str
        The setting's name in Python, such as ``learning_rate``.
    value : object
        What it was set to.
    rule : str
        What it must be, as a phrase that follows "must be".
    """

    def __init__(self, name: str, value: object, rule: str) -> None:
        super().__init__(name, value, rule)
        self.name = name
        self.value = value
        self.rule = rule

    def __str__(self) -> str:
        return f"{self.name} = {self.value!r}: must be {self.rule}"


class _FileError(CatclfError):
    """Something is wrong with a file.

    Parameters
    ----------
    path : str
        The file as the user named it.
    reason : str
        What is wrong, and what would be right.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class DataError(_FileError):
    """A file or folder cannot be used as input: ``path`` and ``reason``."""


class ModelFileError(_FileError):
    """A model file cannot be read: ``path`` and ``reason``, with expected and found."""


class OutputError(_FileError):
    """A result cannot be written: ``path`` and ``reason``."""


class TooFewPicturesError(CatclfError):
    """A class is too small to be divided: `found` pictures for `purpose`; `advice` says what to do."""

    def __init__(self, found: int, positive: bool, purpose: str, advice: str = "add some") -> None:
        super().__init__(found, positive, purpose, advice)
        self.found = found
        self.positive = positive
        self.purpose = purpose
        self.advice = advice

    def __str__(self) -> str:
        name = "positive" if self.positive else "negative"
        return f"the {name} class has too few pictures {self.purpose} ({self.found}): {self.advice}"


class TrainingError(CatclfError):
    """Gradient descent did not work out.

    Parameters
    ----------
    step : int
        Number of updates made when it was noticed.
    cost : float
        The cost at that step.
    advice : str
        What to do, as a sentence.
    """

    def __init__(self, step: int, cost: float, advice: str) -> None:
        super().__init__(step, cost, advice)
        self.step = step
        self.cost = cost
        self.advice = advice

    def __str__(self) -> str:
        return f"the descent diverged at step {self.step} (cost {self.cost:.6g}). {self.advice}"


class WorkerError(CatclfError):
    """A process that did a part of the work has ended: `how`, as a phrase."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how

    def __str__(self) -> str:
        return f"a process that decodes pictures {self.how}: is there enough memory? -j 1 needs least"


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

    def __str__(self) -> str:
        return f"the Dask scheduler {self.address}: {self.reason}"


def system_reason(exc: OSError | ValueError) -> str:
    """Say as a phrase why the system does not open or read a file; a ValueError is about its name."""
    return (getattr(exc, "strerror", None) or str(exc)).lower()
