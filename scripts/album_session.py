"""Plays an evening with an album, and prints it as docs/album.md with what the commands really said.

    python scripts/album_session.py DATA > docs/album.md       DATA has the folder pets

The album is made of the 200 test pictures of pets, in folders as a camera and a telephone leave them,
with frames of bursts and screenshots. What a person would do, which is to fill in labels, is done by
looking up which picture of pets it was.
"""

from __future__ import annotations

import csv
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw

FOLDERS = ("2024 Küste/IMG", "2025 garden/DSC", "phone/camera roll/PXL")


def make_album(pets: Path, album: Path) -> dict[str, str]:
    """Write the album; what is on each picture, by its path below the album."""
    rng = random.Random(0)
    truth: dict[str, str] = {}
    photographs = sorted((pets / "test").rglob("*.jpg"))
    rng.shuffle(photographs)
    for k, photograph in enumerate(photographs):
        place = album / f"{FOLDERS[k % len(FOLDERS)]}_{k:04d}.JPG"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(photograph.read_bytes())
        kind = "cat" if photograph.parent.name == "cats" else "other"
        truth[str(place.relative_to(album))] = kind
        if k % 25 == 0:  # a burst
            with Image.open(photograph) as image:
                frame = image.convert("RGB")
                cut = frame.width // 20
                frame = frame.crop((cut, 0, frame.width, frame.height - cut // 2))
            burst = place.with_name(f"{place.stem}_burst.JPG")
            frame.save(burst, quality=88)
            truth[str(burst.relative_to(album))] = kind
    for k in range(4):
        page = Image.new("RGB", (720, 1280), "white")
        draw = ImageDraw.Draw(page)
        for line in range(30):
            draw.text((40, 30 + 40 * line), f"{k}: messages, settings, and the weather", fill="black")
        place = album / "phone" / f"Screenshot_{k}.png"
        page.save(place)
        truth[str(place.relative_to(album))] = "other"
    return truth


class Session:
    """Runs commands in a folder, and remembers what was printed."""

    def __init__(self, folder: Path, truth: dict[str, str]) -> None:
        self._folder, self._truth = folder, truth

    def run(self, command: str) -> str:
        """A command with its output, as it stands on a screen."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", f"{{ {command}; }} 2>&1"],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PATH": path},
        )
        return "\n".join(["```console", f"$ {command}", *done.stdout.rstrip().splitlines(), "```"])

    def fill_in(self, sheet: str) -> None:
        """Give every row without a label that of its picture."""
        path = self._folder / sheet
        rows = list(csv.reader(path.read_text("utf-8").splitlines()))
        open_rows = [row for row in rows if row and row[1] == ""]
        for row in open_rows:
            row[1] = self._truth[re.sub("^album/", "", row[0])]
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


PAGE = """
# An evening with an album

Written by `python scripts/album_session.py DATA`; what the commands print is what they printed.

You have photographs in folders of their own, from a camera and a telephone, with bursts and screenshots
among them, and want to know on which of them there are cats. You need
`pip install 'catclf[network,report]'` and an editor for CSV files.

## Compute once

Each picture goes through the network once; after that every step takes about a second. Any folder of
folders will do, whatever they are called:

$ catclf pack album/ rows.h5 --features network

## Label a few, and then a few more

`next` names the pictures that are worth a look. Four at a time is best at the beginning:

$ catclf next -n 4 rows.h5 --labels labels.csv -F csv >> labels.csv
$ cat labels.csv

Open them, write `cat` or `other` behind the comma, or `-` where you would rather not say, and repeat:

! labels.csv
$ catclf next -n 4 rows.h5 --labels labels.csv -F csv >> labels.csv
! labels.csv
$ catclf next -n 4 rows.h5 --labels labels.csv -F csv >> labels.csv
! labels.csv

Then there are twelve labels. A head between two lists does no harm:

$ tail -n 5 labels.csv

## Train

$ catclf train labels.csv -o mine.npz --features network

From now on the model can say itself where it is in doubt. What it names goes into the same sheet:

$ catclf next -n 10 rows.h5 -m mine.npz -F csv >> labels.csv
! labels.csv
$ catclf train labels.csv -o mine.npz -f --features network

## Is one of the labels a slip?

`check` says which labels the others contradict, which pictures are of the same scene, and which are
unlike all others. The pictures in this sheet were chosen because they are hard to tell, so that some are
close to one half; a slip would be close to 0.

$ catclf check labels.csv

## How good is it?

Draw some pictures at random, label them as well, and do not train on them. There is no other way to
know; `eval` leaves out those that the model was trained on by chance.

$ (echo path,label; find album -type f | sort | shuf -n 60 | sed 's/.*/"&",/') > test.csv
! test.csv
$ catclf eval -m mine.npz test.csv

## Sort the album

Nothing in the album is moved or changed. The links, or with `--copy-to` the copies, are in a folder of
their own:

$ catclf predict -m mine.npz album/ --link-to sorted/ --report album.html > answers.tsv
$ ls sorted/cat | head -n 5; ls sorted/cat | wc -l

## Look it through

`album.html` shows every picture with its answer, the least sure first. Open it in a browser, press `r`
for right, `w` for wrong and `x` for pictures that are neither, as far as you care to go, and click
*Download labels.csv*. The file is data for `train`, as the sheet above is, and the next model knows.
"""


def played(session: Session) -> Iterator[str]:
    """The page, with the output of each command; a line with ! is what a person fills in."""
    for line in PAGE.strip().splitlines():
        if line.startswith("$ "):
            yield session.run(line[2:])
        elif line.startswith("! "):
            session.fill_in(line[2:])
        else:
            yield line


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        session = Session(place, make_album(Path(sys.argv[1]) / "pets", place / "album"))
        print("\n".join(played(session)))
