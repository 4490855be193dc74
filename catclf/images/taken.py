"""What of a folder is taken: not what systems leave behind, and not what the user leaves out."""

from __future__ import annotations

import fnmatch
import functools
import re
from typing import NamedTuple

LEFT_BEHIND: dict[str, str] = {
    ".*": "hidden: .@__thumb (thumbnails of QNAP), .Trash-1000, .picasaoriginals, .ipynb_checkpoints …",
    "__macosx": "attributes of files in a zip of macOS",
    "icon\r": "the icon of a folder, of macOS",
    "network trash folder": "of file servers of macOS",
    "temporary items": "of file servers of macOS",
    "thumbs.db": "thumbnails of Windows",
    "ehthumbs.db": "thumbnails of Windows Media Center",
    "desktop.ini": "how Windows shows a folder",
    "$recycle.bin": "the trash of Windows",
    "recycler": "the trash of old Windows",
    "system volume information": "of Windows, on every drive",
    "found.[0-9][0-9][0-9]": "what Windows found when it checked a drive",
    "lost+found": "what Linux found when it checked a drive",
    "@eadir": "thumbnails of Synology: each picture again, in several sizes",
    "@tmp": "of Synology",
    "#recycle": "the trash of Synology",
    "#snapshot": "earlier states of a folder, of Synology",
    "@recycle": "the trash of QNAP",
    "@recently-snapshot": "earlier states of a folder, of QNAP",
    "picasa.ini": "of Picasa",
    "originals_picasa": "pictures as they were before Picasa changed them",
    "*.lrdata": "previews of Lightroom",
    "*.lrcat-data": "of Lightroom",
    "*.cocatalogdb": "of Capture One",
    "captureone": "previews of Capture One",
    "*.photoslibrary/resources": "previews of Apple Photos",
    "*.photoslibrary/private": "of Apple Photos",
    "*.photolibrary/thumbnails": "of iPhoto",
    "*.photolibrary/previews": "of iPhoto",
    "*.aplibrary/thumbnails": "of Aperture",
    "*.aplibrary/previews": "of Aperture",
}
"""Names in small letters, of files or folders or of a folder and one in it; and what they are."""

_NAMES = re.compile("|".join(fnmatch.translate(name) for name in LEFT_BEHIND if "/" not in name))
_PAIRS = re.compile("|".join(fnmatch.translate(name) for name in LEFT_BEHIND if "/" in name))


def is_left_behind(name: str, folder: str = "") -> bool:
    """Whether an entry of a folder of that name is something that a system or program leaves there."""
    small = name.lower()
    return bool(_NAMES.match(small) or _PAIRS.match(f"{folder.lower()}/{small}"))


class Taken(NamedTuple):
    """What the user wants of a folder.

    Attributes
    ----------
    exclude : tuple of str
        Patterns of what is left out, as in .gitignore: one without a slash is for names on any level,
        one with a slash for paths below the folder; a slash at the end is for folders alone. ``*`` and
        ``?`` match no slash, ``**`` does.
    follow : bool
        Whether linked folders are entered.
    """

    exclude: tuple[str, ...] = ()
    follow: bool = False

    def excludes(self, path: str, is_folder: bool) -> bool:
        """Whether an entry is left out; `path` is that below the folder, with slashes."""
        name = path.rpartition("/")[2]
        return any(
            (is_folder or not only_folders) and matches(path if whole else name)
            for matches, whole, only_folders in map(_compiled, self.exclude)
        )

    def excludes_any(self, path: str) -> bool:
        """Whether a file or one of the folders above it is left out."""
        parts = path.split("/")
        return any(
            self.excludes("/".join(parts[:k]), is_folder=k < len(parts))
            for k in range(1, len(parts) + 1)
        )


@functools.cache
def _compiled(pattern: str) -> tuple[functools.partial[object], bool, bool]:
    """What matches a pattern, whether it is for whole paths, and whether for folders alone."""
    body = pattern.rstrip("/")
    whole = "/" in body
    translated = "".join(
        {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part)
        or (part.replace("[!", "[^") if part.startswith("[") and part.endswith("]") else re.escape(part))
        for part in re.split(r"(\*\*/|\*\*|\*|\?|\[[^]/]+\])", body.lstrip("/"))
    )
    return functools.partial(re.fullmatch, translated, flags=re.DOTALL), whole, pattern.endswith("/")
