"""Every exception that catclf raises on purpose. Imports nothing; prints nothing."""

from __future__ import annotations


class CatclfError(Exception):
    """Base of all errors that are about the input and not about a bug in catclf."""


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
        super().__init__(f"{name} = {value!r}: must be {rule}")
        self.name = name
        self.value = value
        self.rule = rule


class DataError(CatclfError):
    """A file or folder cannot be used as input.

    Parameters
    ----------
    path : str
        The file as the user named it.
    reason : str
        What is wrong, and what would be right.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[DataError], tuple[str, str]]:  # workers send it back
        return DataError, (self.path, self.reason)


class TooFewPicturesError(CatclfError):
    """A class is too small to be divided: `found` pictures for `purpose`, a phrase."""

    def __init__(self, found: int, positive: bool, purpose: str) -> None:
        name = "positive" if positive else "negative"
        super().__init__(f"the {name} class has too few pictures {purpose} ({found})")


class ModelFileError(CatclfError):
    """A model file cannot be read or written: ``path`` and ``reason``, with expected and found."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class OutputError(CatclfError):
    """A result cannot be written: ``path`` and ``reason``."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


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
        super().__init__(f"the descent diverged at step {step} (cost {cost:.6g}). {advice}")
        self.step = step
        self.cost = cost
        self.advice = advice


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
        super().__init__(f"the Dask scheduler {address}: {reason}")
        self.address = address
        self.reason = reason
        self.model: object = None
