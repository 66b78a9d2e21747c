"""TensorFlow loads without a word: what its libraries write past Python while it is imported."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

LOUD = "tensorflow"
# Information and warnings of absl, as every start has them, and errors that are none: on a GPU
# several libraries want to be the one that is registered.
CHATTER = re.compile(
    r"WARNING: All log messages before absl|[IW]\d{4} |\d{4}-\d\d-\d\d .*: [IW] "
    r"|.*Unable to register|To enable the following instructions"
)


def load_quietly() -> None:
    """From now on; asking twice, or after TensorFlow has been loaded, is harmless."""
    if LOUD not in sys.modules and not any(isinstance(each, _Finder) for each in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds TensorFlow as Python would, and lets it run with its lines held back."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != LOUD:
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            loader.exec_module = held_back()(loader.exec_module)
        return spec


@contextmanager
def held_back() -> Iterator[None]:
    """Hold back what is written to the error stream's descriptor; all but chatter is said after."""
    try:
        before = os.dup(2)
    except OSError:  # a program without a terminal
        yield
        return
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            written.seek(0)
            lines = written.read().decode(errors="replace").splitlines(keepends=True)
            os.write(2, "".join(line for line in lines if not CHATTER.match(line)).encode())
