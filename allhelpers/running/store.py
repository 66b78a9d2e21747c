"""A store that several machines see: arrays under their content keys, in a folder or in object storage.

An object is one ``.npz`` file of an array and a record about it; the file holds checksums of both. It
appears whole or not at all, and one that does not agree with its checksums counts as absent.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import numpy as np

from .._core.errors import InputError
from .._core.files import atomic


class Store:
    """Arrays by content key."""

    def __init__(self, place: str | Path) -> None:
        self.place = str(place)
        try:
            self.system, self.root = fsspec.core.url_to_fs(self.place)
        except (ValueError, ImportError) as error:
            raise InputError(
                f"The store {place} cannot be used ({error}): give a folder or another URL."
            ) from error
        self.local = isinstance(self.system, fsspec.implementations.local.LocalFileSystem)

    def path(self, key: str) -> Any:
        """Where the object of a key lies."""
        return f"{self.root}/{key[:2]}/{key}.npz"

    def write(self, key: str, rows: np.ndarray, record: dict) -> None:
        """Keep an array."""
        stream = io.BytesIO()
        np.savez(stream, rows=rows, record=np.array(json.dumps(record)))
        self._put(self.path(key), stream.getvalue())

    def _put(self, path: Path, content: bytes) -> None:
        if self.local:
            with atomic(path) as partial:
                Path(partial).write_bytes(content)
        else:
            self.system.pipe_file(
                path, content
            )  # object storage shows an object once it is complete

    def read(self, key: str) -> tuple[np.ndarray, dict]:
        """Fetch an array."""
        try:
            content = self.system.cat_file(self.path(key))
        except FileNotFoundError:
            return None, None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as found:
                return found["rows"], json.loads(str(found["record"]))
        except (zipfile.BadZipFile, ValueError, KeyError, EOFError):
            print(f"{self.path(key)} differs from its checksums: it is computed anew.", flush=True)
            return None, None

    def check(self) -> None:
        """Make sure that it can be written, before any work is done."""
        trial = f"{self.root}/{uuid.uuid4().hex}"
        try:
            self.system.makedirs(self.root, exist_ok=True)
            self._put(trial, b"trial")
            self.system.rm_file(trial)
        except Exception as error:  # every kind of storage has errors of its own
            raise InputError(
                f"The store {self.place} cannot be written ({type(error).__name__}: {error}): give another --store."
            ) from error
