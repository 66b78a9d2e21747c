"""Every file of a source is accounted for: an image, or passed over by a rule that is said.

Links are followed: to a file wherever it lies, to a folder if that is a part of the source and was
not read already. What an operating system or a network drive keeps for itself is passed over.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from .._core.errors import counted, legible, listing
from .images import SUFFIXES

# Names that systems give to what they keep beside the user's files: thumbnails, waste, indices.
SYSTEM = {
    "__macosx",
    "@eadir",
    "@recycle",
    "@recently-snapshot",
    "@tmp",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "recycler",
    "system volume information",
    "lost+found",
    "thumbnails",
    "contact_sheets",  # what `allhelpers cells` leaves for people beside the cells
}

HIDDEN = "hidden, or kept by an operating system or a network drive"
UNREAD = "no image format that is read"
PACKED = "archives inside of it: unpack them, or give one of them"
FOREIGN = "no images"
LINK = "links that lead nowhere, out of it, or to what is read already"
SPECIAL = "no files but pipes, sockets or devices"
CLOSED = "cannot be opened: check the permissions"
EMPTY = "empty folders"
OWN = "what this program has written"
MASK = "masks beside the images"
MISSED = (UNREAD, PACKED, LINK, SPECIAL, CLOSED)  # a user would want to know; all else is harmless

_IMAGES = (
    "arw avif cr2 cr3 czi dcm dib dng emf eps gif heic heif ico j2k jp2 jpx jxl lif lsm mpo mrxs "
    "nd2 ndpi nef nii npy npz oib oif orf pbm pcx pef pgm ppm psd raf raw rw2 scn srw svg svs tga "
    "vsi webp zvi"
)
IMAGES = {f".{end}" for end in re.findall(r"\w+", _IMAGES)}
ARCHIVES = {".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst"}

_MASKS = re.compile(
    r"(.*[ _-])?(masks?|gt|ground[ _-]?truths?|annotations?|label[ _-]?(images?|maps?))",
    re.IGNORECASE,
)
_MASK_OF = re.compile(
    r"(.+)[ _-](masks?|seg|segment(ed|ation)|gt|overlay|annotated|contours?|binary)", re.IGNORECASE
)


class Listing(NamedTuple):
    """What lies under a folder."""

    images: list[Path]
    passed_over: dict[str, str]  # name inside of it: rule
    linked: bool  # whether there is any link


def spelled(path: object) -> str:
    """A path with slashes, each byte that is not UTF-8 written as ``%E4``: fit for every table."""
    return legible(str(path).replace("\\", "/"))


def is_hidden(name: str) -> bool:
    """Whether a system keeps a path for itself: names with a dot, and `SYSTEM`."""
    parts = [part for part in name.split("/") if part != "."]
    return any(part.startswith(".") or part.lower() in SYSTEM for part in parts)


def rule_of(name: str) -> str:
    """The rule by which a file is passed over; empty for an image."""
    suffix = PurePosixPath(name).suffix.lower()
    if is_hidden(name):
        return HIDDEN
    if suffix in SUFFIXES:
        return ""
    return UNREAD if suffix in IMAGES else PACKED if suffix in ARCHIVES else FOREIGN


def walk(folder: Path, own: Iterable[str | Path] = ()) -> Listing:
    """List all under a folder but our ``own`` results and caches; links lead nowhere twice."""
    root, ours = Path(os.path.realpath(folder)), {os.path.realpath(each) for each in own}
    images: list[Path] = []
    passed_over: dict[str, str] = {}
    any_link = False
    pending, entered = [folder], {root}
    while pending:
        place = pending.pop()
        try:
            with os.scandir(place) as stream:
                entries = list(stream)
            rule = "" if entries or place == folder else EMPTY
        except OSError:
            entries, rule = [], CLOSED
        if rule:
            passed_over[_inside(place, folder) + "/"] = rule
        for entry in entries:
            path, linked = place / entry.name, entry.is_symlink()
            any_link |= linked
            folder_too = os.path.isdir(path) if linked else entry.is_dir(follow_symlinks=False)
            if not folder_too:
                rule = rule_of(spelled(entry.name)) or _rule_of_kind(entry)
            elif is_hidden(entry.name):
                rule = HIDDEN
            elif ours and os.path.realpath(path) in ours:
                rule = OWN
            else:
                rule = _rule_of_link(path, root, entered) if linked else ""
            if rule:
                passed_over[_inside(path, folder) + "/" * folder_too] = rule
            else:
                (pending if folder_too else images).append(path)
    return Listing(sorted(images), passed_over, any_link)


def _inside(path: Path, folder: Path) -> str:
    return spelled(path.relative_to(folder))


def _rule_of_kind(entry: os.DirEntry) -> str:
    try:
        if entry.is_file():  # which asks the disk for links only
            return ""
        entry.stat()  # of a link that leads nowhere there is none
        return SPECIAL
    except OSError:
        return LINK


def _rule_of_link(path: Path, root: Path, entered: set[Path]) -> str:
    """Whether a linked folder lies inside, and holds neither the link nor what was entered so."""
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(root) or target in entered:
        return LINK
    if Path(os.path.realpath(path.parent)).is_relative_to(target):
        return LINK
    entered.add(target)
    return ""


def masks(names: Iterable[str]) -> list[str]:
    """Files in a folder of masks, or named like an image beside them with ``_mask``."""
    names = list(names)
    stems = {posixpath.splitext(name)[0] for name in names}
    found = []
    for name in names:
        in_folder = any(_MASKS.fullmatch(part) for part in name.split("/")[:-1])
        named = _MASK_OF.fullmatch(posixpath.splitext(name)[0])
        if in_folder or (named and named[1] in stems):
            found.append(name)
    return found if len(found) < len(names) else []


def left_out(passed_over: Mapping[str, str], *, harmless: bool = False) -> list[str]:
    """One line for each rule, harmless or not: how many files of which suffix, where."""
    lines = []
    for rule in sorted(set(passed_over.values())):
        if (rule not in MISSED) == harmless:
            names = [name for name, why in passed_over.items() if why == rule]
            lines.append(f"{counted(len(names), 'file')} not read ({rule}): {kinds(names)}")
    return lines


def kinds(names: Iterable[str]) -> str:
    """Names counted by suffix and folder: ``6 .tif in monocyte``."""
    paths = [PurePosixPath(name) for name in names]
    groups = Counter((path.suffix.lower() or path.name, str(path.parent)) for path in paths)
    words = [
        f"{number} {suffix}" + ("" if folder == "." else f" in {folder}")
        for (suffix, folder), number in sorted(groups.items())
    ]
    return listing(words)
