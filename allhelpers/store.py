"""A store that several machines see: arrays under their content keys, in a folder or in object storage.

An object is one ``.npz`` file of an array and a record about it; the file holds checksums of both. It
appears whole or not at all, and one that does not agree with its checksums counts as absent.
"""

import io
import json
import uuid
import zipfile
from pathlib import Path

import fsspec
import numpy as np

from . import runs
from .errors import InputError


class Store:
    """Arrays by content key.

    Parameters
    ----------
    place : str or Path
        A folder, or a URL that fsspec knows, such as ``s3://bucket/folder``.

    Raises
    ------
    InputError
        If there is no such kind of storage, or a package for it is missing.
    """

    def __init__(self, place):
        self.place = str(place)
        try:
            self.system, self.root = fsspec.core.url_to_fs(self.place)
        except (ValueError, ImportError) as error:
            raise InputError(f"The store {place} cannot be used ({error}): give a folder or another URL.") from error
        self.local = isinstance(self.system, fsspec.implementations.local.LocalFileSystem)

    def path(self, key):
        """Where the object of a key lies.

        Examples
        --------
        >>> Store("memory://store").path("0a1b2c")
        '/store/0a/0a1b2c.npz'
        """
        return f"{self.root}/{key[:2]}/{key}.npz"

    def write(self, key, rows, record):
        """Keep an array.

        Parameters
        ----------
        key : str
        rows : ndarray
        record : dict
            Facts about it, as JSON can hold them.

        Examples
        --------
        >>> Store("store").write("0a1b2c", np.ones((2, 3)), {"engine": "keras"})
        >>> [path.as_posix() for path in Path("store").rglob("*.npz")]
        ['store/0a/0a1b2c.npz']
        """
        stream = io.BytesIO()
        np.savez(stream, rows=rows, record=np.array(json.dumps(record)))
        self._put(self.path(key), stream.getvalue())

    def _put(self, path, content):
        if self.local:
            with runs.atomic(path) as partial:
                Path(partial).write_bytes(content)
        else:
            self.system.pipe_file(path, content)  # object storage shows an object once it is complete

    def read(self, key):
        """Fetch an array.

        Parameters
        ----------
        key : str

        Returns
        -------
        rows : ndarray
        record : dict
            Or ``None``, twice, where there is no such object or a damaged one; of the latter the user is told.

        Examples
        --------
        >>> store = Store("store")
        >>> store.write("0a1b2c", np.ones((2, 3)), {"engine": "keras"})
        >>> rows, record = store.read("0a1b2c")
        >>> rows.shape, record
        ((2, 3), {'engine': 'keras'})
        >>> store.read("another")
        (None, None)
        """
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

    def check(self):
        """Make sure that it can be written, before any work is done.

        Raises
        ------
        InputError

        Examples
        --------
        >>> Store("store").check()  # no error: it can be written
        >>> list(Path("store").iterdir())
        []
        """
        trial = f"{self.root}/{uuid.uuid4().hex}"
        try:
            self.system.makedirs(self.root, exist_ok=True)
            self._put(trial, b"trial")
            self.system.rm_file(trial)
        except Exception as error:  # every kind of storage has errors of its own
            raise InputError(
                f"The store {self.place} cannot be written ({type(error).__name__}: {error}): give another --store."
            ) from error
