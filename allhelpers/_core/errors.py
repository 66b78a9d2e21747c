"""The one exception for everything that the user can put right, and the lists in its sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST_LETTERS = 1000
NOT_UTF8 = re.compile("[\udc80-\udcff]")  # how Python holds such bytes of a file's name


class InputError(ValueError):
    """Something given by the user cannot be used; the message says what, where, and what to do."""

    def __init__(self, message: str) -> None:
        message = legible(message)
        if len(message) > MOST_LETTERS:
            message = f"{message[: MOST_LETTERS // 2]} ... {message[-MOST_LETTERS // 2 :]}"
        super().__init__(message)


def legible(text: str) -> str:
    """Text that every file and terminal takes: bytes of a name that are not UTF-8 as ``%E4``."""
    if text.isascii():
        return text
    return NOT_UTF8.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", text)


def counted(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listing(names: Iterable[object], shown: int = 5) -> str:
    """Join the first few names of a long list for an error message."""
    words = [str(name) for name in names]
    more = f" and {len(words) - shown:,} more" if len(words) > shown else ""
    return ", ".join(words[:shown]) + more
