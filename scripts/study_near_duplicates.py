"""Measures which near-duplicates are found, what is named that is none, and what bursts are worth.

    python scripts/study_near_duplicates.py ../shared/data > docs/near_duplicates.md

DATA has the folders pets, natural_images and catvnoncat.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import click
import h5py
import numpy as np
from bench import machine
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

import catclf
from catclf import near_duplicates
from catclf.config import TrainSettings
from catclf.images.decode import seen
from catclf.near_duplicates import Thumbnails, groups, nearest
from catclf.view import THUMBNAIL

TEXT = """# Near-duplicates

Frames of a burst, crops, copies of another size or compression: who holds out one of them and trains on another
measures memory. So `train` looks for them wherever pictures are held out (`--cv`, `--validation`, `--tune-threshold`,
`--l2 auto`), keeps each group in one fold and on one side, and says how many there were; with `-v` it says what the
scores would have been otherwise. `eval --training-data DATA` names those that the model was trained on, and leaves
them out of its verdict and of `--fail-under`. A plain `train` looks for nothing, and a model keeps no picture.

Pictures are compared by thumbnails of 32×32, whatever the features: by histograms of oriented gradients under a window
that drops the border, as they are and mirrored; pairs that are alike are laid over each other, and their greys and colours
compared. The more pictures, the more alike a pair must be: with up to 3000, up to 10 000, and more than that.

## What is found
Photographs, each changed in one way, looked for among all of them. Share found, in per cent:

| change | up to 3000 | up to 10 000 | more |
|---|--:|--:|--:|
{found}

What it misses: half of the picture or less, quarter turns, negatives, and small things that moved before another background.

## What is named in data as it comes
| pictures | m | pairs joined | groups | pictures in the largest group |
|---|--:|--:|--:|--:|
{named}

In the course's file the pairs are training picture 146 and test picture 17, the same bytes, and training picture 154 and
test picture 43, one flower in two colours. In natural_images, 30×30 pixels each, a fruit that was turned a little and a
motorbike in two sizes are rightly named; 33 round fruit on white, and 8 airplanes in the sky from one side, are not the
same scene. Wrongly named pictures only stay together: scores of held-out pictures lose nothing by it.

## What bursts are worth
{scenes} scenes a class with {frames} frames each, cut at random out of photographs of pets, pixels at 64×64, 5 folds:

| frames of a scene | cross-validated accuracy |
|---|--:|
{bursts}

## What it costs
{costs}

Measured by `scripts/study_near_duplicates.py` on {machine}
"""  # noqa: E501

SCENES, FRAMES = 12, 6
THRESHOLDS = (1, 5000, 20_000)  # pictures, one number for each threshold
MANY = 20_000

Change = Callable[[Image.Image], Image.Image]


def part(image: Image.Image, share: float, right: float = 0.0, down: float = 0.0) -> Image.Image:
    """Cut out a part whose centre is moved by shares of the picture."""
    w, h = image.size
    left, top = ((1 - share) / 2 + right) * w, ((1 - share) / 2 + down) * h
    return image.crop((round(left), round(top), round(left + share * w), round(top + share * h)))


def compressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer).convert("RGB")


def captioned(image: Image.Image) -> Image.Image:
    image, (w, h) = image.copy(), image.size
    image.paste((255, 255, 255), (0, round(0.85 * h), w, h))
    return image


def framed(image: Image.Image) -> Image.Image:
    w, h = image.size
    paper = Image.new("RGB", (w, round(1.3 * h)))
    paper.paste(image, (0, round(0.15 * h)))
    return paper


def moved(share: float) -> Change:
    rng = np.random.default_rng(0)

    def change(image: Image.Image) -> Image.Image:
        angle = rng.uniform(0, 2 * np.pi)
        return part(image, 1 - share, share / 2 * np.cos(angle), share / 2 * np.sin(angle))

    return change


CHANGES: dict[str, Change] = {
    "JPEG of quality 30": compressed,
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "mirrored": ImageOps.mirror,
    "grey": lambda image: image.convert("L").convert("RGB"),
    "brighter by a third": lambda image: ImageEnhance.Brightness(image).enhance(1.33),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(4)),
    "turned by 4 degrees, borders cut": lambda image: part(
        image.rotate(4, Image.Resampling.BICUBIC), 0.9
    ),
    "crop of 90 %": lambda image: part(image, 0.9),
    "crop of 85 %, off centre, mirrored": lambda image: ImageOps.mirror(part(image, 0.85, 0.04, -0.03)),
    "crop of 70 %": lambda image: part(image, 0.7),
    "next frame, moved by 4 % within 92 %": moved(0.08),
    "next frame, moved by 6 % within 88 %": moved(0.12),
    "caption over the lowest 15 %": captioned,
    "black bars above and below": framed,
    "quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
}


def thumbnails(images: list[Image.Image]) -> Thumbnails:
    return np.concatenate([seen(np.asarray(image)[np.newaxis], THUMBNAIL) for image in images])


def photographs(folder: Path) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(folder.rglob("*.jpg"))]


def found(images: list[Image.Image]) -> Iterator[str]:
    known, threshold = thumbnails(images), near_duplicates._threshold
    for name, change in CHANGES.items():
        changed, shares = thumbnails([change(image) for image in images]), []
        for pictures in THRESHOLDS:
            with patch.object(near_duplicates, "_threshold", return_value=threshold(pictures)):
                pairs = nearest(changed, known)
            right = [pair for pair in pairs if pair.first == pair.second]
            shares.append(f"{100 * len(right) / len(images):.0f}")
        yield f"| {name} | {' | '.join(shares)} |"


def named(name: str, some: Thumbnails) -> str:
    numbers = groups(some, np.arange(len(some), dtype=np.uint64))
    counts = np.bincount(numbers)
    pairs = len(some) - (counts > 0).sum()
    return f"| {name} | {len(some)} | {pairs} | {(counts > 1).sum()} | {counts.max()} |"


def course(folder: Path) -> Thumbnails:
    with (
        h5py.File(folder / "train_catvnoncat.h5") as train,
        h5py.File(folder / "test_catvnoncat.h5") as test,
    ):
        return seen(np.concatenate([train["train_set_x"][()], test["test_set_x"][()]]), THUMBNAIL)


def bursts(data: Path, folder: Path, frames: int) -> None:
    for name in ("cats", "dogs"):
        rng = np.random.default_rng(0)
        paths = sorted((data / "pets" / "train" / name).glob("*.jpg"))
        for k in rng.permutation(len(paths))[: SCENES * FRAMES // frames]:
            image = Image.open(paths[k]).convert("RGB")
            for j in range(frames):
                right, down = rng.uniform(-0.03, 0.03, 2)
                path = folder / name / f"{k}-{j}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                part(image, 0.92, right, down).save(path)


def burst_rows(data: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        several, single = Path(folder, "several"), Path(folder, "single")
        bursts(data, several, FRAMES)
        bursts(data, single, 1)
        for name, album, looked in (
            ("in different folds", several, lambda some, marks, advanced: np.arange(len(marks))),
            ("kept together", several, groups),
            ("one a scene, as many pictures", single, groups),
        ):
            accuracies = []
            for seed in range(5):
                descent = catclf.DescentSettings(seed=seed)
                settings = TrainSettings(cv=5, positive="cats", descent=descent)
                with patch("catclf.pipeline.training_data.groups", looked):
                    scores = catclf.train(album, settings).cv
                assert scores is not None
                assert scores.accuracy is not None
                accuracies.append(scores.accuracy)
            spread = f"{min(accuracies):.3f} to {max(accuracies):.3f}"
            yield f"| {name} | {np.mean(accuracies):.3f} ({spread}) |"


def costs(some: Thumbnails) -> Iterator[str]:
    m = len(some)
    begun = time.process_time()
    for _ in range(5):
        near_duplicates._descriptors(some)
    each = (time.process_time() - begun) / 5 / m
    with patch.object(near_duplicates, "_are_near", wraps=near_duplicates._are_near) as laid:
        begun = time.process_time()
        groups(some, np.arange(m, dtype=np.uint64))
        whole = time.process_time() - begun
    pairs = sum(len(call.args[2].first) for call in laid.call_args_list)
    yield f"{1000 * each:.2f} ms of a core a picture, and {1000 * (whole - each * m) / pairs:.1f} ms"
    yield f"for each pair to be laid over each other: {whole:.2f} s for the {m} photographs of pets,"
    yield f"with {pairs} such pairs."
    many = np.random.default_rng(0).standard_normal((MANY, 288)).astype(np.float32)
    begun = time.process_time()
    for top in range(0, MANY, 1024):
        for _ in ("as they are", "mirrored"):
            (many[top : top + 1024] @ many[top:].T > np.inf).nonzero()
    seconds = time.process_time() - begun
    yield f"Comparing the histograms of {MANY} pictures takes {seconds:.0f} s, and grows with the"
    yield "square of their number."


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
def main(data: Path) -> None:
    """Print docs/near_duplicates.md."""
    images = photographs(data / "pets" / "train")
    pets = np.concatenate([thumbnails(images), thumbnails(photographs(data / "pets" / "test"))])
    rows = [
        named("photographs of pets", pets),
        named("natural_images", thumbnails(photographs(data / "natural_images"))),
        named("the course's file", course(data / "catvnoncat")),
    ]
    print(
        TEXT.format(
            found="\n".join(found(images)),
            named="\n".join(rows),
            scenes=SCENES,
            frames=FRAMES,
            bursts="\n".join(burst_rows(data)),
            costs="\n".join(costs(pets)),
            machine=machine(),
        ),
        end="",
    )


if __name__ == "__main__":
    main()
