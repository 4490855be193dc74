"""Measures training: catclf's engines against the textbook loop, PyTorch and scikit-learn.

    python scripts/bench_training.py                             209 drawings, about five minutes
    python scripts/bench_training.py --data train.h5 --full      and until the gradient is small
    python scripts/bench_training.py --data photos/ --part loop --part penalised

Everything that is compared runs in one go, in alternation, each time in a fresh process. catclf runs
threads of its own with one thread in BLAS, as its command line does; its peers get all threads of BLAS.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench
import click
from bench import Clock, Outcome, Report, alternate, median, number, run_job

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from catclf.engines import Engine, MakeEngine
    from catclf.logistic import Vector

    Rows = NDArray[np.uint8]

RATE, STEPS = 0.005, 2000  # those of the course
COURSE_M = 209  # as many pictures as the course has are taken of the drawings
BLOCK = 500  # rows made or converted at a time
ACCURACY = 1e-6  # relative distance from the optimum at which a penalised fit is done
MOMENTA = (0.9, 0.97, 0.99)


# ---------------------------------------------------------------- jobs: the data


def as_h5(source: str, path: str, count: int | None) -> dict[str, Any]:
    """Write pictures with labels, from wherever they are, in the layout of the course's files."""
    import h5py
    import numpy as np

    pictures, found = bench.labelled_pictures(source)
    positive = found.usual_positive or found.classes[-1]
    with h5py.File(path, "w") as file:
        file["train_set_x"] = pictures[:count]
        file["train_set_y"] = (found.labels == found.classes.index(positive)).astype(np.int64)[:count]
        file["list_classes"] = np.array([f"non-{positive}".encode(), positive.encode()])
    return {"m": len(found.labels[:count]), "n_x": int(np.prod(pictures.shape[1:]))}


def _read(data: str) -> tuple[Rows, Vector]:
    import h5py
    import numpy as np

    with h5py.File(data) as file:
        images = file["train_set_x"][:]
        return images.reshape(len(images), -1), file["train_set_y"][:].astype(np.float64)


def _made(m: int, n_x: int) -> tuple[Rows, Vector]:
    """Random pictures that a plane can tell apart better than chance."""
    import numpy as np

    rng = np.random.default_rng(0)
    rows = np.empty((m, n_x), np.uint8)
    for start in range(0, m, BLOCK):
        block = rows[start : start + BLOCK]
        block[:] = rng.integers(0, 256, block.shape, np.uint8)
    centred = rows[:, :64].astype(np.float64).sum(axis=1) - 64 * 127.5
    return rows, (centred + 500 * rng.standard_normal(m) > 0).astype(np.float64)


# ---------------------------------------------------------------- jobs: whole descents


def textbook(data: str, steps: int, model: str) -> dict[str, Any]:
    """Run the textbook loop as a program would: read, float64, descend, save."""
    import h5py
    import numpy as np

    begun = time.perf_counter()
    with h5py.File(data) as file:
        images, Y = file["train_set_x"][:], file["train_set_y"][:].reshape(1, -1)
    X = images.reshape(len(images), -1).T / 255.0
    ready = time.perf_counter()
    w, b = bench.textbook_descent(X, Y, RATE, Clock(steps))
    done = time.perf_counter()
    np.savez(model, w=w, b=b)
    return {"build": ready - begun, "loop": done - ready}


def looped(data: str, features_too: bool) -> dict[str, Any]:
    """Seconds of a step written as a loop over the pictures, and as one over their features as well."""
    import numpy as np

    rows, y = _read(data)
    X = rows / 255.0
    w, b = np.zeros(X.shape[1]), 0.0
    step: Callable[..., Any] = _step_of_two_loops if features_too else _step_of_one_loop
    pictures, weights = (X.tolist(), w.tolist()) if features_too else (X, w)
    seconds = []
    for _ in range(2 if features_too else 20):
        begun = time.perf_counter()
        step(pictures, y, weights, b)
        seconds.append(time.perf_counter() - begun)
    return {"step": statistics.median(seconds)}


def _step_of_one_loop(X: Vector, y: Vector, w: Vector, b: float) -> tuple[Vector, float]:
    import numpy as np

    dw, db = np.zeros(len(w)), 0.0
    for x, label in zip(X, y, strict=True):
        dz = 1 / (1 + np.exp(-(w @ x + b))) - label
        dw += x * dz
        db += dz
    return w - RATE * dw / len(y), b - RATE * db / len(y)


def _step_of_two_loops(
    X: list[list[float]], y: Vector, w: list[float], b: float
) -> tuple[list[float], float]:
    dw, db = [0.0] * len(w), 0.0
    for x, label in zip(X, y.tolist(), strict=True):
        z = b
        for j in range(len(w)):
            z += w[j] * x[j]
        dz = 1 / (1 + math.exp(-z)) - label
        for j in range(len(w)):
            dw[j] += x[j] * dz
        db += dz
    return [wj - RATE * dwj / len(y) for wj, dwj in zip(w, dw, strict=True)], b - RATE * db / len(y)


def cost_of(data: str, model: str) -> dict[str, Any]:
    """Cost that the textbook run has reached, with our formulas."""
    import numpy as np

    rows, y = _read(data)
    with np.load(model) as saved:
        z = rows / 255.0 @ saved["w"].reshape(-1) + float(saved["b"])
    return {"cost": _cost(_objective(y), z, 0.0)}


def engine_descent(data: str, engine: str, steps: int, model: str) -> dict[str, Any]:
    """Run catclf's loop on one engine, and compare the weights with those of the textbook loop."""
    import numpy as np

    from catclf.config import DescentSettings
    from catclf.descent import descend

    rows, y = _read(data)
    begun = time.perf_counter()
    built = _engine(engine, rows, bench.core_count())
    ready = time.perf_counter()
    settings = DescentSettings(iterations=steps, stop="none")
    descent = descend(built, _objective(y), settings, RATE)
    loop = time.perf_counter() - ready
    with np.load(model) as reference:
        difference = np.abs(built.weights(descent.c) - reference["w"].reshape(-1)).max()
    return {
        "build": ready - begun,
        "loop": loop,
        "cost": descent.last.cost,
        "difference": float(difference),
    }


def torch_descent(data: str, steps: int, model: str) -> dict[str, Any]:
    """Full-batch descent in float32 with a linear layer, its loss and its optimiser."""
    import numpy as np
    import torch

    rows, y = _read(data)
    begun = time.perf_counter()
    step, layer = _torch_step(rows, y)
    ready = time.perf_counter()
    for _ in range(steps):
        step()
    loop = time.perf_counter() - ready
    w = layer.weight.detach().to(torch.float64).numpy().reshape(-1)
    with np.load(model) as reference:
        difference = np.abs(w - reference["w"].reshape(-1)).max()
    cost = float(step())  # a step gives the cost before its update
    return {"build": ready - begun, "loop": loop, "cost": cost, "difference": float(difference)}


def _engine(name: str, rows: Rows, threads: int, own_bias: bool = False) -> Engine:
    import numpy as np

    from catclf.config import ENGINES
    from catclf.design import Design
    from catclf.stores.here import InMemory

    make: MakeEngine = ENGINES[name].load()
    design = Design(InMemory(rows), 1 / 255)
    return make(design, np.zeros(rows.shape[1]), threads, own_bias=own_bias)


def _objective(y: Vector, l2: float = 0.0) -> Any:
    import numpy as np

    from catclf.objective import Objective

    return Objective("cross-entropy", y, np.full(len(y), 1 / len(y)), l2)


def _cost(objective: Any, z: Vector, squared_norm: float) -> float:
    cost, _ = objective.costs(objective.losses(z, slice(None)), squared_norm)
    return float(cost)


def _torch_step(rows: Rows, y: Vector) -> tuple[Callable[[], Any], Any]:
    import numpy as np
    import torch

    X = torch.from_numpy(np.multiply(rows, np.float32(1 / 255), dtype=np.float32))
    Y = torch.from_numpy(y.astype(np.float32))
    layer = torch.nn.Linear(X.shape[1], 1)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    loss = torch.nn.BCEWithLogitsLoss()
    optimiser = torch.optim.SGD(layer.parameters(), lr=RATE)

    def step() -> Any:
        optimiser.zero_grad()
        cost = loss(layer(X).squeeze(1), Y)
        cost.backward()
        optimiser.step()
        return cost.detach()

    return step, layer


# ---------------------------------------------------------------- jobs: single steps


def step_time(method: str, m: int, n_x: int, seconds: float, threads: int = 1) -> dict[str, Any]:
    """Median seconds of a step on made pictures; `threads` are those of catclf's engines."""
    rows, y = _made(m, n_x)
    begun = time.perf_counter()
    clock = Clock(100, seconds)
    if method == "textbook":
        bench.textbook_descent(rows.T / 255.0, y.reshape(1, -1).astype(int), RATE, clock)
    elif method == "float32":
        _descend_two_pass(rows, y, clock)
    elif method == "PyTorch":
        step, _ = _torch_step(rows, y)
        while not clock():
            step()
    else:
        _descend_engine(method, rows, y, threads, clock)
    return {"step": clock.median_step(), "total": time.perf_counter() - begun}


def _descend_engine(name: str, rows: Rows, y: Vector, threads: int, clock: Clock) -> None:
    from catclf.config import DescentSettings
    from catclf.descent import descend

    engine = _engine(name, rows, threads)
    settings = DescentSettings(iterations=1000, stop="none")
    descend(engine, _objective(y), settings, 1e-5, interrupted=clock)


def _descend_two_pass(rows: Rows, y: Vector, clock: Clock) -> None:
    """X in float32 and two products a step: the least that plain NumPy can do."""
    import numpy as np

    X = np.multiply(rows, np.float32(1 / 255), dtype=np.float32)  # (m, n_x)
    target = y.astype(np.float32)
    w, b = np.zeros(X.shape[1], np.float32), np.float32(0)
    rate = np.float32(1e-5)
    while not clock():
        r = (1 / (1 + np.exp(-(X @ w + b))) - target) / np.float32(len(X))
        w, b = w - rate * (r @ X), b - rate * r.sum()


# ---------------------------------------------------------------- jobs: a penalised optimum


def least_cost(data: str, l2: float) -> dict[str, Any]:
    """J* by two methods that know nothing of each other; they should agree."""
    from catclf.config import DescentSettings
    from catclf.curvature import largest_curvature
    from catclf.descent import descend

    rows, y = _read(data)
    engine, objective = _engine("gram", rows, bench.core_count(), own_bias=True), _objective(y, l2)
    settings = DescentSettings(iterations=100_000, epsilon=1e-9, momentum=0.99)
    ours = descend(engine, objective, settings, 1 / largest_curvature(engine, objective)).last.cost
    return {"ours": ours, "theirs": _sklearn_cost(rows / 255.0, y, l2, 20_000)}


def _sklearn_fit(X: NDArray[np.floating[Any]], y: Vector, l2: float, iterations: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    # Its objective is C · Σ loss + ½ ‖w‖² with b free; a tolerance of almost nothing leaves the end to
    # the number of iterations.
    fit = LogisticRegression(C=1 / (l2 * len(y)), solver="lbfgs", tol=1e-30, max_iter=iterations)
    return fit.fit(X, y)


def _sklearn_cost(X: NDArray[np.floating[Any]], y: Vector, l2: float, iterations: int) -> float:
    import numpy as np

    fit = _sklearn_fit(X, y, l2, iterations)
    w = fit.coef_[0].astype(np.float64)
    z = X.astype(np.float64) @ w + float(fit.intercept_[0])
    return _cost(_objective(y, l2), z, float(w @ w))


def plan_ours(data: str, l2: float, target: float) -> dict[str, Any]:
    """Find the momentum that needs the fewest updates, and how many, for a cost of at most `target`."""
    from catclf.curvature import largest_curvature

    rows, y = _read(data)
    engine, objective = _engine("gram", rows, bench.core_count(), own_bias=True), _objective(y, l2)
    rate = 1 / largest_curvature(engine, objective)
    counts = {beta: _updates(engine, objective, rate, beta, target) for beta in MOMENTA}
    momentum = min(counts, key=counts.__getitem__)
    return {"momentum": momentum, "updates": counts[momentum]}


def _updates(engine: Engine, objective: Any, rate: float, momentum: float, target: float) -> int:
    from catclf.config import DescentSettings
    from catclf.descent import Step, descend

    reached: list[int] = []

    def look(step: Step) -> None:
        if step.cost <= target:
            reached.append(step.step)

    settings = DescentSettings(iterations=100_000, stop="none", momentum=momentum)
    descend(engine, objective, settings, rate, observer=look, interrupted=lambda: bool(reached))
    return min(reached, default=100_000)


def plan_sklearn(data: str, l2: float, target: float, dtype: str) -> dict[str, Any]:
    """Find the fewest iterations of lbfgs for a cost of at most `target`, by bisection; 0 if none do."""
    rows, y = _read(data)
    X = rows.astype(dtype) / rows.dtype.type(255)
    low, high = 0, 16
    while _sklearn_cost(X, y, l2, high) > target:
        low, high = high, 2 * high
        if high > 10_000:
            return {"updates": 0}
    while high - low > 1:
        middle = (low + high) // 2
        if _sklearn_cost(X, y, l2, middle) > target:
            low = middle
        else:
            high = middle
    return {"updates": high}


def fit_ours(data: str, l2: float, momentum: float, updates: int) -> dict[str, Any]:
    """Seconds from the pixels to the optimum: choosing and building the engine, 1/L, descent, w."""
    from catclf.config import DescentSettings
    from catclf.curvature import largest_curvature
    from catclf.descent import descend
    from catclf.engines.choice import choose_engine

    rows, y = _read(data)
    objective = _objective(y, l2)
    begun = time.perf_counter()
    m, n_x = rows.shape
    name = choose_engine(m, n_x, updates + 1, 10**9)
    engine = _engine(name, rows, bench.core_count(), own_bias=True)
    settings = DescentSettings(iterations=updates, stop="none", momentum=momentum)
    descent = descend(engine, objective, settings, 1 / largest_curvature(engine, objective))
    engine.weights(descent.c)
    return {"fit": time.perf_counter() - begun, "cost": descent.last.cost, "engine": name}


def fit_sklearn(data: str, l2: float, updates: int, dtype: str) -> dict[str, Any]:
    """Seconds of ``fit`` alone: X is a float matrix before the clock starts."""
    rows, y = _read(data)
    X = rows.astype(dtype) / rows.dtype.type(255)
    _sklearn_fit(X[:4], y[[0, 1, -2, -1]] * 0 + [0, 1, 0, 1], l2, 1)  # what is only done once a process
    begun = time.perf_counter()
    _sklearn_fit(X, y, l2, updates)
    return {"fit": time.perf_counter() - begun, "cost": _sklearn_cost(X, y, l2, updates)}


# ---------------------------------------------------------------- parts


@dataclass(frozen=True)
class Plan:
    """What the command line asks for; `data` are .h5 files, each with a name to call it by."""

    data: dict[str, str]
    folder: Path
    repeats: int
    quick: bool

    @property
    def first(self) -> dict[str, str]:
        """The data that is descended on with the course's learning rate: elsewhere it may diverge."""
        return dict(list(self.data.items())[:1])

    @property
    def steps(self) -> int:
        return 200 if self.quick else STEPS

    @property
    def model(self) -> str:
        """Where a textbook run leaves its weights for the next runs to compare."""
        return str(self.folder / "textbook.npz")


Sections = Iterator[str]


def _loop_part(plan: Plan) -> Sections:
    yield "## The loop, and the whole process"
    yield (
        f"{plan.steps} steps with learning rate {RATE} from zero. *State* is what is made before the "
        "first step: X in floats, or K = XᵀX. *Faster* is the textbook's loop divided by this one, "
        "round by round: median and range. *Difference* is the largest of any weight from its weights."
    )
    for name, data in plan.first.items():
        outcomes = alternate(dict(_loop_runs(plan, data)), plan.repeats, name)
        yield f"### {name}"
        reached = run_job(cost_of, data=data, model=plan.model).values
        outcomes["textbook, float64"][-1].values.update(reached)
        yield _loop_table(outcomes)
        yield _process_table(outcomes)
        yield _forms_table(plan, data, outcomes)


def _loop_runs(plan: Plan, data: str) -> Iterator[tuple[str, bench.Run]]:
    common: dict[str, Any] = {"data": data, "steps": plan.steps, "model": plan.model}
    yield "textbook, float64", partial(run_job, textbook, **common)
    yield "the same, one thread", partial(run_job, textbook, blas_threads=1, **common)
    if bench.installed("torch"):
        yield "PyTorch, float32", partial(run_job, torch_descent, **common)
    for engine in ("primal", "stream", "gram"):
        yield engine, partial(run_job, engine_descent, blas_threads=1, engine=engine, **common)
    ours = ["train", data, "-o", str(plan.folder / "cat.npz"), "--force", "-q", "--stop", "none"]
    arguments = [*bench.catclf_command(), *ours, "-l", str(RATE), "-i", str(plan.steps)]
    yield "catclf train", partial(bench.run_command, arguments)


def _loop_table(outcomes: dict[str, list[Outcome]]) -> str:
    base = bench.values(outcomes["textbook, float64"], "loop")
    rows = []
    for name, sample in outcomes.items():
        if name == "catclf train":
            continue
        last, loops = sample[-1].values, bench.values(sample, "loop")
        difference = number(last["difference"], 2) if "difference" in last else ""
        build = median(bench.values(sample, "build"))
        faster = bench.ratio(base, loops)
        cost = f"{last['cost']:.9f}" if "cost" in last else ""
        rows.append([name, build, median(loops), faster, difference, cost, bench.peak(sample)])
    head = ["loop", "state, s", "loop, s", "faster", "difference", "cost", "peak memory"]
    return bench.table(head, rows)


def _process_table(outcomes: dict[str, list[Outcome]]) -> str:
    base = bench.walls(outcomes["textbook, float64"])
    rows = []
    for name, label in (
        ("textbook, float64", "Python: read the file, textbook loop, save"),
        ("catclf train", "catclf train"),
    ):
        sample = outcomes[name]
        wall = bench.walls(sample)
        rows.append([label, median(wall), bench.ratio(base, wall), bench.peak(sample)])
    return bench.table(["whole process", "wall, s", "faster", "peak memory"], rows)


def _forms_table(plan: Plan, data: str, outcomes: dict[str, list[Outcome]]) -> str:
    """A step in the lecture's forms: as loops, vectorised, and in m dimensions."""
    forms = {
        "loop over pictures and features, Python": {"features_too": True},
        "loop over pictures, NumPy": {"features_too": False},
    }
    steps = {name: run_job(looped, data=data, **form).values["step"] for name, form in forms.items()}
    for name, engine in (("vectorised (textbook)", "textbook, float64"), ("Gram", "gram")):
        steps[name] = statistics.median(bench.values(outcomes[engine], "loop")) / plan.steps
    base = steps["vectorised (textbook)"]
    rows = [[name, number(s * 1e3), number(base / s)] for name, s in steps.items()]
    return bench.table(["one step as", "ms", "times the vectorised speed"], rows)


def _converge_part(plan: Plan) -> Sections:
    yield "## Until the gradient is small"
    yield (
        f"`catclf train -l {RATE} --stop gradient -e 1e-4 -i 10000000`: the lecture's own test. 1000 "
        "steps of the textbook loop are measured; its time for all is **extrapolated** from them."
    )
    rows = []
    for name, data in plan.first.items():
        sample = alternate({"textbook": partial(_measured_steps, plan, data)}, 1, name)["textbook"]
        a_step = sample[0].values["loop"] / 1000
        wall, summary = _train_until_small(plan, data)
        steps = summary["iterations"]
        end = f"{steps:,}" + ("" if summary["converged"] else " (not converged)")
        extrapolated = f"{number(a_step * steps / 60)} min"
        rows.append(
            [
                name,
                end,
                number(summary["gradient_norm"]),
                number(wall),
                number(a_step * 1e3),
                extrapolated,
            ]
        )
    head = [
        "data",
        "steps",
        "gradient",
        "catclf train, s",
        "textbook, ms a step",
        "textbook, extrapolated",
    ]
    yield bench.table(head, rows)


def _measured_steps(plan: Plan, data: str) -> Outcome:
    return run_job(textbook, data=data, steps=1000, model=plan.model)


def _train_until_small(plan: Plan, data: str) -> tuple[float, dict[str, Any]]:
    """Train, and read from the model how it ended."""
    model = str(plan.folder / "converged.npz")
    arguments = ["train", data, "-o", model, "--force", "-q", "-l", str(RATE)]
    arguments += ["--stop", "gradient", "-e", "1e-4", "-i", "10000000"]
    outcome = bench.run_command([*bench.catclf_command(), *arguments])
    return outcome.wall, run_job(training_of, model=model).values


def training_of(model: str) -> dict[str, Any]:
    """What a model file says of its training."""
    from catclf.model import load

    training = load(model).training
    return {**training.to_dict(), "converged": training.stop_reason == "gradient"}


def _stream_part(plan: Plan) -> Sections:
    m, n_x = (2000, 12288) if plan.quick else (8000, 12288)
    yield "## A step over many pictures"
    yield (
        f"m = {m}, n_x = {n_x}, made pictures. *float32* is plain NumPy: z = X w, dw = r X, all threads "
        "of BLAS. *Faster* is its step divided by this one. *Held* is what X takes."
    )
    single = partial(run_job, step_time, m=m, n_x=n_x, seconds=1.5)
    runs = {"float32, two passes": partial(single, method="float32")}
    for threads in sorted({1, 2, bench.core_count()}):
        plural = "thread" if threads == 1 else "threads"
        runs[f"stream, {threads} {plural}"] = partial(
            single, method="stream", blas_threads=1, threads=threads
        )
    outcomes = alternate(runs, plan.repeats, "many pictures")
    base = bench.values(outcomes["float32, two passes"], "step")
    rows = []
    for name, sample in outcomes.items():
        steps = bench.values(sample, "step")
        held = bench.megabytes(m * n_x * (4 if name.startswith("float32") else 1))
        milliseconds = number(statistics.median(steps) * 1e3)
        rows.append([name, milliseconds, bench.ratio(base, steps), held, bench.peak(sample)])
    yield bench.table(["step", "ms", "faster", "held", "peak memory"], rows)
    one, two = (bench.values(outcomes[f"stream, {k}"], "step") for k in ("1 thread", "2 threads"))
    yield f"Two threads are {bench.ratio(one, two)} times as fast as one."


# Bytes that a method holds for each of m · n_x values, and for each of m².
_METHODS = {"textbook": (9, 0), "PyTorch": (5, 0), "primal": (9, 0), "stream": (1, 0), "gram": (1, 16)}
_LARGEST_GRAM = 4000


def _growth_part(plan: Plan) -> Sections:
    counts = (200, 1000) if plan.quick else (200, 1000, 4000, 20_000)
    yield "## How the cost of a step grows"
    yield (
        "Milliseconds a step, and the peak memory of the process in MB. Before its first step `gram` "
        "makes K; the last column has the seconds for that and for the steps measured. A dash: more "
        f"memory than there is, or, for `gram`, m above {_LARGEST_GRAM}."
    )
    methods = [name for name in _METHODS if name != "PyTorch" or bench.installed("torch")]
    rows = []
    for n_x in (3072, 12288):
        for m in counts:
            cells = {name: _growth_cell(name, m, n_x) for name in methods}
            made = cells["gram"].values["total"] if cells["gram"] else math.nan
            rows.append(
                [f"{m} × {n_x}", *map(_cell, cells.values()), number(made, 2) if cells["gram"] else "–"]
            )
    yield bench.table(["m × n_x", *methods, "K and steps, s"], rows)


def _growth_cell(method: str, m: int, n_x: int) -> Outcome | None:
    each, squared = _METHODS[method]
    too_large = each * m * n_x + squared * m * m > 0.7 * bench.available_memory()
    if too_large or (method == "gram" and m > _LARGEST_GRAM):
        return None
    ours = method in ("primal", "stream", "gram")
    run = partial(
        run_job, step_time, blas_threads=1 if ours else None, method=method, m=m, n_x=n_x, seconds=0.6
    )
    return alternate({method: partial(run, threads=bench.core_count())}, 1, f"{m} × {n_x}")[method][0]


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "–"
    return f"{number(outcome.values['step'] * 1e3)} ms, {outcome.memory / 1e6:,.0f}"


def _penalised_part(plan: Plan) -> Sections:
    yield "## To the same penalised optimum"
    yield (
        "Seconds until J = mean cross-entropy + λ/2 ‖w‖² is within 1e-6 of its least value, relative. "
        "Each has the fewest updates that do, found beforehand. Ours begins with the pixels and "
        "includes K and 1/L; scikit-learn's begins with a float matrix. *Faster* is its time in float64 "
        "divided by this one."
    )
    rows: list[list[str]] = []
    for name, data in plan.data.items():
        for l2 in (1.0,) if plan.quick else (0.1, 1.0, 10.0):
            rows += _penalised_rows(plan, name, data, l2)
    yield bench.table(["data, λ", "method", "updates", "J / J* − 1", "s", "faster"], rows)


def _penalised_rows(plan: Plan, name: str, data: str, l2: float) -> Iterator[list[str]]:
    best = run_job(least_cost, blas_threads=1, data=data, l2=l2).values
    least = min(best.values())
    target = least * (1 + ACCURACY)
    ask: dict[str, Any] = {"data": data, "l2": l2}
    ours = run_job(plan_ours, blas_threads=1, target=target, **ask).values
    updates = {f"ours, momentum {ours['momentum']}": ours["updates"]}
    runs: dict[str, bench.Run] = {
        next(iter(updates)): partial(run_job, fit_ours, blas_threads=1, **ask, **ours)
    }
    for dtype in ("float64", "float32"):
        theirs = run_job(plan_sklearn, target=target, dtype=dtype, **ask).values["updates"]
        if theirs:
            label = f"scikit-learn lbfgs, {dtype}"
            updates[label] = theirs
            runs[label] = partial(run_job, fit_sklearn, updates=theirs, dtype=dtype, **ask)
    outcomes = alternate(runs, plan.repeats, f"{name}, λ = {l2:g}")
    base = bench.values(outcomes["scikit-learn lbfgs, float64"], "fit")
    for label, sample in outcomes.items():
        fits = bench.values(sample, "fit")
        excess = number(sample[-1].values["cost"] / least - 1, 2)
        yield [
            f"{name}, {l2:g}",
            label,
            str(updates[label]),
            excess,
            median(fits),
            bench.ratio(base, fits),
        ]


PARTS: dict[str, Callable[[Plan], Sections]] = {
    "loop": _loop_part,
    "converge": _converge_part,
    "stream": _stream_part,
    "growth": _growth_part,
    "penalised": _penalised_part,
}


def _prepared(sources: Iterable[Path], folder: Path) -> dict[str, str]:
    """Bring all data into .h5 files, and name them by what they are."""
    count = None if sources else COURSE_M
    sources = sources or (bench.ROOT / "data" / "drawings_train.h5",)
    data = {}
    for k, source in enumerate(sources):
        path = str(folder / f"data{k}.h5")
        size = run_job(as_h5, source=str(source), path=path, count=count).values
        data[f"{source.stem} (m = {size['m']}, n_x = {size['n_x']})"] = path
    return data


@click.command()
@click.option("--data", "sources", multiple=True, type=click.Path(exists=True, path_type=Path),
              help=".h5, folders or .csv; all but the first only for `penalised`.")  # fmt: skip
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)),
              help="Only this one; can be repeated.  [default: all but converge]")  # fmt: skip
@click.option(
    "--full", is_flag=True, help="All parts, also the one that takes minutes for a single run."
)
@click.option("--quick", is_flag=True, help="Small sizes, to see whether it works.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=bench.ROOT / "docs" / "bench_training.md"
)
def main(
    sources: tuple[Path, ...], repeats: int, parts: tuple[str, ...], full: bool, quick: bool, out: Path
) -> None:
    """Measure training and write the tables to docs/bench_training.md."""
    chosen = parts or tuple(name for name in PARTS if full or name != "converge")
    neighbours = bench.Neighbours()
    report = Report(out, "Training, measured")
    report.add(
        "Written by `python scripts/bench_training.py`.",
        bench.machine(),
        bench.rounds(repeats),
    )
    with tempfile.TemporaryDirectory() as folder:
        data = _prepared(sources, Path(folder))
        plan = Plan(data, Path(folder), repeats, quick)
        for name in chosen:
            for paragraph in PARTS[name](plan):
                report.add(paragraph)
    report.add(neighbours.told())


if __name__ == "__main__":
    main()
