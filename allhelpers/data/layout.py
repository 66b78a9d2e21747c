"""Which level of folders is the class, which the patient, which the split.

The user may say it (``*/class/patient``). Else known names tell (``Train_data``, ``patient_06``),
or repetition: what has the same names under each of it is no class. Of two readings none is taken.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .._core.errors import InputError, listing
from .._core.renaming import LAYOUT
from . import given_splits

CLASS, PATIENT, SPLIT, ANY, PLACE = "class", "patient", "split", "*", "place"
ROLES = (CLASS, PATIENT, SPLIT, ANY)
SAY = (
    "say which level is what (--layout, of class, patient, split and *, such as {example}), or "
    "give a CSV of file, label and patient"
)

# What may stand beside the word in the name of a split: C-NMC_training_data, Test-A, trainset.
_FILLER = (
    r"c|nmc|data|dataset|set|images?|imgs?|pictures?|cells?|folder|phase|prelim|final|[ab]|\d+"
)
_FOLD = re.compile(r"(fold|cv)[ _.-]*(\d+)", re.IGNORECASE)
_GROUPS = re.compile(r"(fold|cv|batch|split|part|chunk|set|subset|dataset|shard)[ _.-]*(\d+|[a-z])")
# Words between the class and the image that tell nothing.
_WRAPPERS = re.compile(
    r"(single[ _-]?)?(cells?|crops?|cropped|data|dataset|folder|images?|imgs?|patch(es)?|pictures?|"
    r"cell[ _-]?images|png|jpe?g|bmp|tiff?|raw|new)"
)
# One cell can lie in several folders of such names.
_VERSIONS = re.compile(
    r"originals?|orig|raw|segment(ed|ations?)|aug(mented|mentation)?|(pre|un)?processed|"
    r"(un)?normali[sz]ed|(un)?cropped|crops|resized|enhanced|filtered|denoised|clean(ed)?|"
    r"gr[ae]y([ _-]?scale)?|rgb|hsv|colou?r|png|jpe?g|bmp|tiff?|images?|imgs?|pictures|cells|data|"
    r"(un)?masked"
)
_COPY = re.compile(r"copy|copies|kopie|copie|copia|backup|bak|old|new")
_NO_CLASS = re.compile(
    r"images?|imgs?|pictures?|data|dataset|labels|un(known|label+ed|classified|sorted)"
)
_PATIENT = re.compile(
    r"(p|pt|pat|patient|s|subj|subject|case|donor|person|mouse|uid|id)[ _.-]*\d+\w*"
    r"|(patient|subject|case|donor|person)[ _.-]+\w+",
    re.IGNORECASE,
)
_CLASS = re.compile(r"(class|type|grade|stage|label|category|cd)[ _.-]*\w{1,3}", re.IGNORECASE)
_NUMBER = re.compile(r"([\W_]+[^\W\d_]{1,8})?[\W_]*\d+\W*$")  # _P01, 12, (3)
# Where or when images were taken: more than one patient may be there, and one at several.
_PLACE = re.compile(
    r"(slide|smear|image|img|field|fov|roi|scan|site|cent(er|re)|hospital|clinic|lab|microscope|"
    r"scanner|stain|series|day|week|month|run|session|plate|well)[ _.-]*([a-z]|\d+)",
    re.IGNORECASE,
)
MOST_NUMBERED = 20  # classes whose names are numbers: more of them are patients


@dataclass(frozen=True)
class Reading:
    """What was read of the folders."""

    table: pd.DataFrame  # one row per file: file, label, and perhaps patient, fold and split
    found: dict[str, tuple[str, list[str]]]  # where a role was found, and its names
    class_level: int | None = None  # number of the folder that is the class, from 0


def check(layout: str) -> str:
    """Refuse what is no layout; empty: it is to be found out."""
    roles = split_layout(layout)
    if layout and (
        set(roles) - set(ROLES)
        or roles.count(CLASS) != 1
        or max(roles.count(PATIENT), roles.count(SPLIT)) > 1
    ):
        raise InputError(
            f"layout = {layout!r} is not understood: write one of class, patient, split or * for "
            "each level of folders, with class once, such as */class/patient."
        )
    return layout


def split_layout(layout: str) -> list[str]:
    """The levels of a layout."""
    parts = [part.strip().lower() for part in layout.strip("/").split("/")] if layout else []
    return [LAYOUT.get(part, part) for part in parts]


def read(names: Sequence[str], layout: str = "", where: object = "") -> Reading:
    """Read class, patient and split of files from their folders, or refuse in one sentence."""
    folders = [name.split("/")[:-1] for name in names]
    depth = (
        _depth_as_said(names, folders, layout, where) if layout else _depth(names, folders, where)
    )
    levels = [list(level) for level in zip(*(parts[depth:] for parts in folders), strict=True)]
    roles = split_layout(layout) or _find(levels, where)
    found = {
        role: (f"folder {number} of {depth + len(levels)}", level)
        for number, (role, level) in enumerate(zip(roles, levels, strict=True), depth + 1)
    }
    named = {role: level for role, (_, level) in found.items()}
    class_level = depth + roles.index(CLASS)
    if not layout:
        if PATIENT not in roles:
            _check_numbers(folders, class_level, where)
        _check_variants(named[CLASS], where)
        _check_twins(names, where)
    table = pd.DataFrame({"file": names, "label": named[CLASS]})
    if PATIENT in named:
        table["patient"] = named[PATIENT]
    folds = [matches for level in levels if all(matches := [*map(_FOLD.fullmatch, level)])]
    if folds:
        table["fold"] = [f"fold_{int(match[2])}" for match in folds[0] if match]
    if SPLIT in named:
        table["split"] = [_split(name, where) for name in named[SPLIT]]
    return Reading(table, found, class_level)


def in_words(found: Mapping[str, tuple[str, Sequence[str]]]) -> str:
    """A short table of what was taken as class, patient and split."""
    lines = []
    for role in (CLASS, PATIENT, SPLIT):
        place, names = found.get(role, ("not known", []))
        counts = (f"{name} ({count:,})" for name, count in sorted(Counter(names).items()))
        lines.append(f"  {role:9}{place:17}{listing(counts, 8)}".rstrip())
    return "\n".join(lines)


def _depth_as_said(
    names: Sequence[str], folders: Sequence[list[str]], layout: str, where: object
) -> int:
    """Folders above those of the user's layout, which has to fit every file."""
    levels, common = len(split_layout(layout)), len(os.path.commonprefix(folders))
    depth = min(max(len(folders[0]) - levels, 0), common)
    pairs = zip(names, folders, strict=True)
    if wrong := [name for name, parts in pairs if len(parts) - depth != levels]:
        raise InputError(
            f"{listing(wrong, 3)} in {where} does not lie as layout = {layout!r} says: move such "
            "images, or write one part for each folder that they lie in."
        )
    return depth


def _depth(names: Sequence[str], folders: Sequence[list[str]], where: object) -> int:
    """Folders above all files, unless they are a patient's; below them all lie equally deep."""
    common = os.path.commonprefix(folders)
    depth = next((k for k, name in enumerate(common) if _PATIENT.fullmatch(name)), len(common))
    below = {name: len(parts) - depth for name, parts in zip(names, folders, strict=True)}
    if none := [name for name, levels in below.items() if not levels]:
        raise InputError(
            f"The classes cannot be read from the folders in {where}: {listing(none, 3)} lies in "
            "no class folder or in the only one; make one folder per class, at least two, side by "
            "side."
        )
    numbers = Counter(below.values())
    usual = max(numbers, key=lambda levels: (numbers[levels], levels))
    if odd := [name for name, levels in below.items() if levels != usual]:
        example = next(name for name, levels in below.items() if levels == usual)
        less = "fewer" if below[odd[0]] < usual else "more"
        raise InputError(
            f"{listing(odd, 3)} in {where} {'lies' if len(odd) == 1 else 'lie'} in {less} "
            f"folders than {example}: give each image the same folders, or give a CSV of file, "
            "label and patient."
        )
    return depth


def _find(levels: Sequence[Sequence[str]], where: object) -> list[str]:
    """The role of each level, or an error."""
    roles: list[str] = []
    for level in levels:
        role = _known_role(level, first={*roles} <= {SPLIT, ANY})
        roles.append(ANY if role == SPLIT and SPLIT in roles else role)
    _check_versions(levels, where)
    unknown = [k for k, role in enumerate(roles) if role == ""]
    if not unknown:
        _refuse_no_class(levels[0], where)
    _check_mixed([levels[k] for k in unknown], where)
    for k, role in zip(unknown, _tell_apart([levels[k] for k in unknown], where), strict=True):
        roles[k] = role
    places = [k for k, role in enumerate(roles) if role == PLACE]
    if places and PATIENT not in roles:
        raise _two_readings(levels[places[0]], levels[unknown[0]], where, "no level of patients")
    return [ANY if role == PLACE else role for role in roles]


def _known_role(level: Sequence[str], *, first: bool) -> str:
    """The role that names tell by themselves, or none; ``first``: no class can stand above."""
    names = {name.lower() for name in level}
    if all(map(_split_of, names)):
        return SPLIT
    if all(_GROUPS.fullmatch(name) for name in names):
        return ANY
    if all(map(_VERSIONS.fullmatch, names)) or (
        len(names) == 1 and _WRAPPERS.fullmatch(min(names))
    ):
        return ANY
    if len(names) == 1 and first and not any(map(_PATIENT.fullmatch, names)):
        return ANY
    return PLACE if all(map(_PLACE.fullmatch, names)) else ""


def _split_of(name: str) -> str:
    """train, val or test, if that is what a folder's name means."""
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    for split, spellings in given_splits.WORDS.items():
        whole = re.compile(rf"({spellings.replace(' ', '|')})(data|dataset|set|images|[ab]|\d+)?")
        if any(map(whole.fullmatch, words)) and all(
            whole.fullmatch(word) or re.fullmatch(_FILLER, word) for word in words
        ):
            return split
    return ""


def _split(name: str, where: object) -> str:
    split = _split_of(name)
    if not split:
        raise InputError(
            f"The folder {name} in {where} is said to be a split, but its name does "
            "not tell which: call it train, val or test, or write * in the layout."
        )
    return split


def _likeness(level: Sequence[str]) -> int:
    """How much names look like patients': 2 patient_06, 1 numbers, 0 words."""
    names = set(level)
    grades = [
        2 if _PATIENT.fullmatch(n) else int(any(c.isdigit() for c in n) and not _CLASS.fullmatch(n))
        for n in names
    ]
    return int(np.median(grades))


def _tell_apart(levels: Sequence[Sequence[str]], where: object) -> list[str]:
    """Class and patient among levels of unknown names."""
    grades = [_likeness(level) for level in levels]
    if len(levels) == 1:
        stems = Counter(_NUMBER.sub("", name) for name in set(levels[0]))
        several = [stem for stem, number in stems.items() if number > 1]  # blast_1, blast_2, ...
        many = grades[0] and len(set(levels[0])) > MOST_NUMBERED
        if grades[0] == 2 or many or len(several) > 1:
            raise InputError(
                f"The folders {listing(sorted(set(levels[0])), 3)} in {where} look like patients "
                "and no level like classes: make one folder per class, and in it one per patient, "
                f"or {SAY.format(example='class')}."
            )
        return [CLASS]
    if len(levels) == 2:
        return _tell_two(levels[0], levels[1], grades, where)
    words = [k for k, grade in enumerate(grades) if grade == 0]
    best = [k for k, grade in enumerate(grades) if grade == max(grades)]
    if len(words) == 1 and len(best) == 1 and max(grades):
        return [
            CLASS if k == words[0] else PATIENT if k == best[0] else ANY for k in range(len(grades))
        ]
    raise _two_readings(levels[0], levels[1], where, "which lies deeper than class/patient/image")


def _tell_two(
    upper: Sequence[str], lower: Sequence[str], grades: Sequence[int], where: object
) -> list[str]:
    """Which of two levels is the class; the names that are repeated under the other tell."""
    holders: dict[str, set[str]] = defaultdict(set)
    for above, below in zip(upper, lower, strict=True):
        holders[below].add(above)
    repeated = any(len(each) > 1 for each in holders.values())
    if grades[1] > grades[0]:
        return [CLASS, PATIENT]
    if grades[0] > grades[1] and (repeated or len(set(upper)) == 1):
        return [PATIENT, CLASS]
    several = len(holders) > len(set(upper))
    if not repeated and grades[0] == grades[1] > 0 and several:
        return [CLASS, PATIENT]
    found = "come again under each other" if repeated else "are not told apart by their names"
    raise _two_readings(upper, lower, where, found)


def _two_readings(
    upper: Sequence[str], lower: Sequence[str], where: object, found: str
) -> InputError:
    first, second = (listing(sorted(set(level)), 3) for level in (upper, lower))
    return InputError(
        f"The folders in {where} can be read in several ways: {first}, and in them {second} "
        f"({found}); {SAY.format(example='class/patient, patient/class or */class')}."
    )


def _check_versions(levels: Sequence[Sequence[str]], where: object) -> None:
    """Refuse what may hold one cell several times, in two splits then."""
    for level in levels:
        names = sorted(set(level))
        if len(names) > 1 and all(_VERSIONS.fullmatch(name.lower()) for name in names):
            raise InputError(
                f"{listing(names)} in {where} are versions of images and not classes, and one "
                "cell may lie in several: give the folder of one, or "
                f"{SAY.format(example='*/class')}."
            )


def _check_mixed(levels: Sequence[Sequence[str]], where: object) -> None:
    """Refuse a level of which only some names are splits, or tell nothing."""
    for level in levels:
        names = sorted(set(level))
        odd = [name for name in names if _split_of(name) or _NO_CLASS.fullmatch(name.lower())]
        if odd and len(names) > 1:
            others = [name for name in names if name not in odd]
            raise InputError(
                f"{listing(odd)} in {where} is no class by its name (a split, or any "
                f"images), but {listing(others, 3)} beside it may be: take the one or the "
                f"other away, or {SAY.format(example='class')}."
            )


def _check_variants(level: Sequence[str], where: object) -> None:
    """Refuse classes that are splits, versions or copies of one: ``blast_train, blast_test``."""
    of_one = defaultdict(set)
    for name in set(level):
        words = filter(None, re.split(r"[\W_]+", name))
        of_one[tuple(word for word in words if not _tells_nothing(word.lower()))].add(name)
    if variants := next((sorted(names) for names in of_one.values() if len(names) > 1), None):
        raise InputError(
            f"{listing(variants)} in {where} look like splits, versions or copies of one class: "
            "keep one, make a folder of each split and in it one per class, or "
            f"{SAY.format(example='class')}."
        )


def _tells_nothing(word: str) -> bool:
    return bool(_split_of(word) or _COPY.fullmatch(word) or _VERSIONS.fullmatch(word))


def _check_numbers(folders: Sequence[Sequence[str]], level: int, where: object) -> None:
    """Refuse numbers under one word: ``blast/1, blast/2`` are patients, ``cells/1`` are classes."""
    numbers, *upper = ([parts[k] for parts in folders] for k in range(level, -1, -1))
    holder = next((names for names in upper if len(set(names)) == 1), None)
    if holder and _likeness(numbers) and not _WRAPPERS.fullmatch(holder[0].lower()):
        raise _two_readings(holder, numbers, where, "patients, or classes by number")


def _refuse_no_class(level: Sequence[str], where: object) -> None:
    names = sorted(set(level))
    splits = any(map(_split_of, names))
    kind = "splits" if splits else "parts or versions of a data set"
    raise InputError(
        f"The folders in {where} are called {listing(names)}, which are {kind} and not classes: "
        "put one folder per class there, at least two, side by side (the project draws the split), "
        "or give a CSV of file, label and patient."
    )


def _check_twins(names: Sequence[str], where: object) -> None:
    """Refuse two files of one name, such as an image and its mask."""
    stems = [os.path.splitext(name)[0] for name in names]
    known = dict(zip(stems, names, strict=True))
    if len(known) < len(names):
        pairs = ((known[stem], name) for stem, name in zip(stems, names, strict=True))
        one, other = next((kept, name) for kept, name in pairs if kept != name)
        raise InputError(
            f"{other} and {one} in {where} share a name ({len(names) - len(known):,} such files): "
            "one may be the other's mask or copy; keep one of each, or list the images in a CSV."
        )
