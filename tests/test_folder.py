"""Walking folders: every picture once, in the order of `LC_ALL=C sort`, and nothing lost in silence."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catclf.errors import DataError
from catclf.images import hdf5_process
from catclf.images.folder import class_folders, is_picture_name, walk
from catclf.images.picture import Picture
from catclf.images.taken import LEFT_BEHIND, Taken, is_left_behind


def touch(folder: Path, *names: str | bytes) -> None:
    for name in names:
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb"):
            pass


def walked(folder: Path) -> tuple[list[Picture], list[str]]:
    ignored: list[str] = []
    return list(walk(str(folder), ignored.append)), ignored


def paths(folder: Path) -> list[str]:
    """Paths below the folder of the pictures found, in order."""
    pictures, _ = walked(folder)
    assert [picture for picture in pictures if picture.error is not None] == []
    return [os.path.relpath(picture.path, folder) for picture in pictures]


def refuse_to_list(monkeypatch: pytest.MonkeyPatch, refused: Path) -> None:
    """Simulate a folder without permission, which would not stop root."""
    scandir = os.scandir

    def scan(folder: str) -> object:
        if folder == str(refused):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)


# --- order ---


def test_order_is_that_of_the_bytes_of_the_full_paths(tmp_path: Path) -> None:
    names = [
        "a/z.png",
        "a.png",
        "a-b/c.png",
        "a0.png",
        "A.png",
        "é.png",
        "b/c/d.png",
        "b/c.png",
        "10.png",
    ]
    touch(tmp_path, *names)
    assert paths(tmp_path) == sorted(names, key=os.fsencode)


_PARTS = st.text(alphabet="ab-.0Zé ", min_size=1, max_size=3).filter(lambda part: part[0] not in ". ")


@given(stems=st.sets(st.lists(_PARTS, min_size=1, max_size=3).map("/".join), max_size=8))
@settings(deadline=None, max_examples=40)
def test_any_tree_is_walked_in_the_order_of_sort(
    tmp_path_factory: pytest.TempPathFactory, stems: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    names = [f"{stem}x.png" for stem in stems]  # a file is never a folder of another
    touch(folder, *names)
    assert paths(folder) == sorted(names, key=os.fsencode)


def test_a_slash_at_the_end_is_not_doubled(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    found = list(walk(f"{tmp_path}/", lambda path: None))
    assert [picture.path for picture in found] == [f"{tmp_path}/a.png"]


# --- names ---


@pytest.mark.parametrize("name", ["a.jpg", "a.JPG", "a.b.jpeg", "a.PnG", "a.tiff", "a.webp", "a.avif"])
def test_pictures_are_known_by_their_suffix_in_either_case(name: str) -> None:
    assert is_picture_name(name)


@pytest.mark.parametrize("name", ["a.txt", "jpg", "a.jpg.bak", "a", "a.npz", "a.eps", ""])
def test_other_names_are_no_pictures(name: str) -> None:
    assert not is_picture_name(name)


@pytest.mark.parametrize("name", [".hidden.jpg", "._a.jpg", "Thumbs.db", "thumbs.DB", "desktop.ini"])
def test_junk_is_known_by_its_name(name: str) -> None:
    assert is_left_behind(name)


@pytest.mark.parametrize("name", ["a.jpg", "Thumbs.jpg", "a.db", "_a.jpg"])
def test_other_names_are_no_junk(name: str) -> None:
    assert not is_left_behind(name)


def test_hdf5_files_are_known_by_their_suffix() -> None:
    assert hdf5_process.is_hdf5_name("a/b.H5")
    assert hdf5_process.is_hdf5_name("b.hdf5")
    assert not hdf5_process.is_hdf5_name("b.h5.txt")


def test_junk_and_other_files_are_ignored_and_told(tmp_path: Path) -> None:
    junk = [".DS_Store", "._a.png", "Thumbs.db", "notes.txt", "sub/thumbs.db"]
    touch(tmp_path, "a.png", "sub/b.png", ".git/c.png", "__MACOSX/d.png", *junk)
    pictures, ignored = walked(tmp_path)
    assert [Path(picture.path).name for picture in pictures] == ["a.png", "b.png"]
    expected = sorted(["__MACOSX", ".git", *junk])
    assert sorted(os.path.relpath(path, tmp_path) for path in ignored) == expected


@pytest.mark.parametrize(
    "name", [b"new\nline.png", b"tab\t.png", b"\xff\xfe.png", b"-r.png", b'a,b".png', b" .png"]
)
def test_odd_names_keep_their_bytes(tmp_path: Path, name: bytes) -> None:
    touch(tmp_path, name)
    (picture,), ignored = walked(tmp_path)
    assert os.fsencode(picture.path) == os.path.join(os.fsencode(tmp_path), name)
    assert ignored == []


# --- what is no file ---


def test_a_directory_called_like_a_picture_is_a_directory(tmp_path: Path) -> None:
    touch(tmp_path, "x.jpg/a.png")
    assert paths(tmp_path) == ["x.jpg/a.png"]


def test_a_link_to_a_picture_is_a_picture(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to("a.png")
    (tmp_path / "dangling.png").symlink_to("nowhere.png")
    assert paths(tmp_path) == ["a.png", "b.png", "dangling.png"]


def test_links_to_folders_are_ignored_so_that_loops_end(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.png")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "sub" / "up.png").symlink_to(tmp_path)
    pictures, ignored = walked(tmp_path)
    assert [Path(picture.path).name for picture in pictures] == ["a.png"]
    assert sorted(Path(path).name for path in ignored) == ["up", "up.png"]


def test_a_link_to_itself_is_left_to_the_decoder(tmp_path: Path) -> None:
    (tmp_path / "self.png").symlink_to("self.png")
    (tmp_path / "self").symlink_to("self")
    pictures, ignored = walked(tmp_path)
    assert [Path(picture.path).name for picture in pictures] == ["self.png"]
    assert [Path(path).name for path in ignored] == ["self"]


def test_folders_may_be_nested_deeper_than_calls(tmp_path: Path) -> None:
    depth = 300
    touch(tmp_path, "/".join(["d"] * depth + ["a.png"]))
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    try:
        found = list(walk(str(tmp_path), lambda path: None))
    finally:
        sys.setrecursionlimit(limit)
    assert len(found) == 1


def test_an_unreadable_sub_folder_is_an_error_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.png", "locked/b.png", "z.png")
    refuse_to_list(monkeypatch, tmp_path / "locked")
    pictures, _ = walked(tmp_path)
    assert [Path(picture.path).name for picture in pictures] == ["a.png", "locked", "z.png"]
    assert [str(picture.error) for picture in pictures if picture.error is not None] == [
        f"{tmp_path}/locked: permission denied"
    ]


@pytest.mark.parametrize("name", ["missing", "file.txt"])
def test_what_is_no_folder_is_one_error(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "file.txt")
    (picture,), _ = walked(tmp_path / name)
    assert picture.path == str(tmp_path / name)
    assert picture.error is not None


# --- classes ---


def test_class_folders_are_sorted_and_the_rest_is_ignored(tmp_path: Path) -> None:
    touch(tmp_path, "dog/a.png", "cat/a.png", ".git/x", "__MACOSX/x", "Thumbs.db", "loose.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "linked").symlink_to("cat")
    (tmp_path / "self").symlink_to("self")
    ignored: list[str] = []
    assert class_folders(str(tmp_path), ignored.append) == ["cat", "dog", "empty", "linked"]
    names = sorted(os.path.basename(path) for path in ignored)
    assert names == [".git", "Thumbs.db", "__MACOSX", "loose.png", "self"]


def test_a_folder_without_classes_says_what_was_expected(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    with pytest.raises(DataError, match=r"has no sub-folders; expected one for each class"):
        class_folders(str(tmp_path), lambda path: None)


def test_a_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_list(monkeypatch, tmp_path)
    with pytest.raises(DataError, match="permission denied"):
        class_folders(str(tmp_path), lambda path: None)


# --- what systems leave behind, what is excluded, what is linked ---

LEFT = [
    *("@eaDir", ".@__thumb", "@Recycle", "#recycle", "$RECYCLE.BIN", "System Volume Information"),
    *("lost+found", ".Trash-1000", ".picasaoriginals", "__MACOSX", ".ipynb_checkpoints", "found.000"),
    *("Previews.lrdata", "Catalog Smart Previews.lrdata", "@tmp", "#snapshot", "CaptureOne"),
]


@pytest.mark.parametrize("name", LEFT)
def test_what_systems_leave_behind_is_neither_a_picture_nor_a_class(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "cat/a.jpg", f"cat/{name}/a.jpg", f"cat/b/{name}/c/d.jpg", f"{name}/e.jpg")
    pictures, ignored = walked(tmp_path)
    assert [picture.path for picture in pictures] == [f"{tmp_path}/cat/a.jpg"]
    assert sorted(ignored) == sorted(f"{tmp_path}/{place}{name}" for place in ("cat/", "cat/b/", ""))
    passed: list[str] = []
    assert class_folders(str(tmp_path), passed.append) == ["cat"]
    assert passed == [f"{tmp_path}/{name}"]


def test_previews_inside_a_library_are_left_and_originals_are_taken(tmp_path: Path) -> None:
    library = "Mine.photoslibrary"
    touch(
        tmp_path,
        f"{library}/originals/a.jpg",
        f"{library}/resources/derivatives/a.jpg",
        "resources/b.jpg",
    )
    pictures, _ = walked(tmp_path)
    assert [picture.path for picture in pictures] == [
        f"{tmp_path}/{library}/originals/a.jpg",
        f"{tmp_path}/resources/b.jpg",
    ]


def test_every_kind_that_is_left_behind_says_what_it_is() -> None:
    assert all(LEFT_BEHIND.values())
    assert all(name == name.lower() for name in LEFT_BEHIND)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("b.jpg", ["a.jpg", "sub/deep/c.png"]),
        ("*.jpg", ["sub/deep/c.png"]),
        ("?.png", ["a.jpg", "b.jpg", "sub/b.jpg"]),
        ("[ab].jpg", ["sub/deep/c.png"]),
        ("[!a].jpg", ["a.jpg", "sub/deep/c.png"]),
        ("sub", ["a.jpg", "b.jpg"]),
        ("sub/", ["a.jpg", "b.jpg"]),
        ("b.jpg/", ["a.jpg", "b.jpg", "sub/b.jpg", "sub/deep/c.png"]),
        ("/b.jpg", ["a.jpg", "sub/b.jpg", "sub/deep/c.png"]),
        ("sub/*.jpg", ["a.jpg", "b.jpg", "sub/deep/c.png"]),
        ("sub/*.png", ["a.jpg", "b.jpg", "sub/b.jpg", "sub/deep/c.png"]),
        ("sub/**", ["a.jpg", "b.jpg"]),
        ("**/deep", ["a.jpg", "b.jpg", "sub/b.jpg"]),
        ("deep/", ["a.jpg", "b.jpg", "sub/b.jpg"]),
        ("nothing", ["a.jpg", "b.jpg", "sub/b.jpg", "sub/deep/c.png"]),
    ],
)
def test_patterns_leave_out_what_they_say(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "sub/b.jpg", "sub/deep/c.png")
    taken = Taken((pattern,))
    found = [picture.path for picture in walk(str(tmp_path), lambda path: None, taken)]
    assert [path.removeprefix(f"{tmp_path}/") for path in found] == expected
    every = ["a.jpg", "b.jpg", "sub/b.jpg", "sub/deep/c.png"]
    assert [path for path in every if not taken.excludes_any(path)] == expected


def test_linked_folders_are_entered_if_that_is_wanted_and_each_once(tmp_path: Path) -> None:
    touch(tmp_path, "album/a.jpg", "elsewhere/b.jpg", "elsewhere/deep/c.jpg")
    (tmp_path / "album" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "album")
    (tmp_path / "elsewhere" / "self").symlink_to(tmp_path / "elsewhere" / "self")
    ignored: list[str] = []
    album = str(tmp_path / "album")
    found = [picture.path for picture in walk(album, ignored.append, Taken(follow=True))]
    assert found == [f"{album}/a.jpg", f"{album}/link/b.jpg", f"{album}/link/deep/c.jpg"]
    assert sorted(ignored) == [f"{album}/link/back", f"{album}/link/self"]
    assert [picture.path for picture in walk(album, lambda path: None)] == [f"{album}/a.jpg"]


@pytest.mark.parametrize(
    ("pattern", "left_out", "kept"),
    [
        ("[ab].png", ["a.png", "b.png"], ["c.png", "[ab].png"]),
        ("[!ab].png", ["c.png"], ["a.png"]),
        ("a[", ["a["], ["a"]),
        ("]b", ["]b"], ["b"]),
        ("x[a-c]y", ["xay", "xcy"], ["xdy", "x-y"]),
    ],
)
def test_brackets_of_a_pattern_stand_for_one_character(
    pattern: str, left_out: list[str], kept: list[str]
) -> None:
    taken = Taken((pattern,))
    assert [taken.excludes(name, is_folder=False) for name in (*left_out, *kept)] == [
        *[True] * len(left_out),
        *[False] * len(kept),
    ]


@pytest.mark.parametrize(("seen", "refused"), [("a/1.png", "b"), ("b/1.png", "b/c")])
def test_a_folder_that_becomes_a_link_meanwhile_is_not_entered(
    tmp_path: Path, seen: str, refused: str
) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside / "a", inside / "b" / "c", outside / "c"):
        folder.mkdir(parents=True)
    for folder in (inside / "a", inside / "b", inside / "b" / "c", outside, outside / "c"):
        (folder / "1.png").write_bytes(b"")
    pictures = walk(str(inside), lambda path: None)
    while next(pictures).path != str(inside / seen):
        pass
    (inside / "b").rename(tmp_path / "elsewhere")
    (inside / "b").symlink_to(outside)
    (found,) = pictures
    assert found.path == str(inside / refused)
    assert "was replaced while the folder above it was read" in str(found.error)
