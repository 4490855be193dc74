"""What the inputs of a prediction stand for: all of them, in order, one after the other."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.testing import assert_array_equal

from catclf.config import ReadOptions
from catclf.errors import DataError
from catclf.images.folder import OnIgnored
from catclf.images.inputs import Input, Inputs, pictures_of
from catclf.images.picture import Picture
from catclf.work.spread import Waiting
from tests.pictures import noise, save_h5, save_picture

X = noise(3, 4, 4, 3)
USUAL = ReadOptions()


def pictures(
    inputs: Inputs, read: ReadOptions = USUAL, on_ignored: OnIgnored = lambda path: None
) -> Iterator[Picture]:
    """The pictures that inputs stand for, none of which has to be waited for."""
    for picture in pictures_of(inputs, read, on_ignored):
        assert isinstance(picture, Picture)
        yield picture


def names(*inputs: Input) -> list[str]:
    return [os.path.basename(picture.path) for picture in pictures(inputs)]


def test_a_file_stands_for_itself_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert names(str(tmp_path / "notes.txt"), tmp_path / "missing.jpg") == ["notes.txt", "missing.jpg"]


def test_a_folder_stands_for_its_pictures_in_order(tmp_path: Path) -> None:
    for name in ("b/z.png", "a.png", "b/.hidden.png", "Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    ignored: list[str] = []
    found = [picture.path for picture in pictures([tmp_path], on_ignored=ignored.append)]
    assert found == [f"{tmp_path}/a.png", f"{tmp_path}/b/z.png"]
    assert ignored == [f"{tmp_path}/Thumbs.db", f"{tmp_path}/b/.hidden.png"]


def test_an_hdf5_file_stands_for_its_rows(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", test_set_x=X)
    found = list(pictures([path]))
    assert [picture.path for picture in found] == [f"{path}[{k}]" for k in range(3)]
    assert_array_equal(np.array([picture.pixels for picture in found]), X)


def test_the_data_set_of_an_hdf5_file_can_be_named(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", mine=X)
    assert len(list(pictures([path], ReadOptions(x_key="mine")))) == 3


def test_a_broken_hdf5_file_is_one_error_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("words")
    first, error, last = pictures(["x.jpg", tmp_path / "a.h5", "y.jpg"])
    assert (first.path, last.path) == ("x.jpg", "y.jpg")
    assert str(error.error) == f"{tmp_path}/a.h5: is not an HDF5 file"


def test_a_folder_called_like_an_hdf5_file_is_a_folder(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.h5" / "b.png", X[0])
    assert names(tmp_path / "a.h5") == ["b.png"]


def test_a_stream_is_one_picture_called_dash() -> None:
    stream = io.BytesIO(b"data")
    (picture,) = pictures([stream])
    assert picture.path == "-"
    assert picture.stream is stream


def test_a_name_with_a_nul_is_an_input_as_any_other() -> None:
    assert names("a\0b.jpg") == ["a\0b.jpg"]
    (picture,) = pictures(["a\0b.h5"])
    assert picture.error is not None


def test_pictures_and_waiting_stand_for_themselves() -> None:
    no_path = Picture("a\0b", error=DataError("a\0b", "is no path"))
    assert list(pictures_of(["a.png", no_path, Waiting(0), "b.png"], USUAL)) == [
        Picture("a.png"),
        no_path,
        Waiting(0),
        Picture("b.png"),
    ]


def test_inputs_are_taken_one_at_a_time(tmp_path: Path) -> None:
    taken = []

    def inputs() -> Iterator[Path]:
        for name in ("a.png", "b.png"):
            taken.append(name)
            yield tmp_path / name

    found = pictures(inputs())
    assert taken == []
    next(found)
    assert taken == ["a.png"]
