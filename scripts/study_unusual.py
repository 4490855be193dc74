"""Measures which pictures are called unusual: of the same kind as those of the training, and of others.

    python scripts/study_unusual.py DATA > docs/unusual.md       DATA has pets and natural_images

Of the 400 training pictures of pets some are drawn with 20 seeds. The 200 test pictures are of the same
kind: what is called unusual of them is a false alarm. Other motifs are 600 pictures of natural_images,
made larger; screens are drawn: pages of text, terminals, blank and noisy pictures, and gradients.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import bench
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from catclf.features.encoder import built_in
from catclf.features.network import Network
from catclf.images.decode import Decoder
from catclf.images.picture import Picture
from catclf.unusual import FLAT, Usual, flat_shares
from catclf.view import THUMBNAIL

COUNTS, SEEDS = (30, 60, 100, 200, 400), 20
MOTIFS = ("airplane", "car", "flower", "fruit", "motorbike", "person")


def draw_screens(folder: Path) -> None:
    """Write 30 pictures that no camera has taken."""
    rng = np.random.default_rng(0)
    for k in range(6):
        colour = tuple(rng.integers(0, 256, 3).tolist())
        Image.new("RGB", (800, 600), colour).save(folder / f"blank {k}.png")
        noise = rng.integers(0, 256, (400, 400, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"noise {k}.png")
        ramp = np.linspace(0, 255, 600)[:, None] * np.ones((1, 800)) / (1 + k / 4)
        Image.fromarray(ramp.astype(np.uint8)).convert("RGB").save(folder / f"gradient {k}.png")
        for name, size, paper, ink in (
            ("page", (1080, 1920), "white", "black"),
            ("terminal", (1280, 800), (30, 30, 30), (0, 255, 120)),
        ):
            screen = Image.new("RGB", size, paper)
            draw = ImageDraw.Draw(screen)
            for line in range(10, size[1], 20 + 10 * k):
                draw.text((20 + 8 * k, line), f"{name} {k}, line {line}: settings, messages", fill=ink)
            screen.save(folder / f"{name} {k}.png")


def encoded(paths: list[Path], network: Network) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Rows, and thumbnails."""
    decoder = Decoder((network.view, THUMBNAIL), 10**9)
    views = [one.views for one in decoder([Picture(str(path)) for path in paths]) if one.error is None]
    return network.rows(np.array([seen for seen, _ in views])), np.array([small for _, small in views])


def main(data: Path) -> None:
    """Measure, and print the page."""
    network = Network(built_in())
    pets = {part: sorted((data / "pets" / part).rglob("*.jpg")) for part in ("train", "test")}
    motifs = [path for name in MOTIFS for path in sorted((data / "natural_images" / name).iterdir())]
    with tempfile.TemporaryDirectory() as name:
        draw_screens(Path(name))
        screens, small_screens = encoded(sorted(Path(name).iterdir()), network)
    train, small_train = encoded(pets["train"], network)
    test, small_test = encoded(pets["test"], network)
    others, small_others = encoded([path for path in motifs if path.suffix == ".jpg"], network)
    lines = []
    for count in COUNTS:
        found = []
        for seed in range(SEEDS):
            chosen = np.random.default_rng(seed).choice(len(train), count, replace=False)
            usual = Usual.learn(train[chosen], seed)
            assert usual is not None
            found.append([usual.are_unusual(rows).mean() for rows in (test, others, screens)])
        lines.append([str(count), *(f"{100 * share:.1f}" for share in np.mean(found, axis=0))])
    print("# Pictures unlike those of the training, measured\n")
    print("Written by `python scripts/study_unusual.py DATA`.\n")
    print(f"{' '.join((__doc__ or '').split('natural_images', 1)[1].split())}\n")
    print("With the network, in per cent:\n")
    head = ["pictures trained on", "of the same kind", "other motifs", "screens"]
    print(f"{bench.table(head, lines)}\n")
    flat = [
        f"{100 * (flat_shares(small) > FLAT).mean():.1f} % of {len(small)} {what}"
        for small, what in (
            (np.concatenate([small_train, small_test]), "photographs of pets"),
            (small_others, "other motifs"),
            (small_screens, "screens"),
        )
    ]
    print(f"Without it only pictures of nearly one grey are marked: {', '.join(flat)}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
