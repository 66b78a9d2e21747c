"""A run's folder: its files have one name, one reader and one writer, and they are here.

docs/architecture.md lists them. Nothing else in it is ever removed or replaced. A folder without
``files.json`` is of an earlier version; it is read as it lies there.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ._core.errors import InputError, listing
from ._core.files import (
    AGAIN,
    atomic,
    read_json,
    read_whole,
    refuse_existing,
    remove_partial,
    sha256,
    write_csv,
    write_json,
    write_text,
)
from ._core.renaming import COLUMNS, SPLITS, renamed, renamed_table
from ._core.yaml_files import read_yaml

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Result", "Run", "changed_settings"]

# What a run has left that was stopped before its cells were known.
LEFT_BY_A_STOP = {
    "settings.yaml",
    "1_data_split.ipynb",
    "1_data_split.running.ipynb",
    "missing.csv",
    "rejected.csv",
    "files.json",
}
# Ids and labels are text, whatever they look like: a patient called 007 or NA keeps the name.
AS_TEXT = dict.fromkeys(("file", "patient", "label", "split", "sha256"), str)
AS_TEXT |= {name: str for name in COLUMNS if COLUMNS[name] in AS_TEXT}

SETTINGS = "settings"  # in the list of a run: what came before its notebooks

log = logging.getLogger(__name__)


def changed_settings(
    earlier: Mapping[str, Any], wanted: Mapping[str, Any], *, ignoring: Iterable[str] = ()
) -> list[str]:
    """Names of the settings that differ; one that is empty or off may be lacking in a record."""
    earlier, wanted = _said(earlier), _said(wanted)
    names = {*earlier, *wanted} - set(ignoring)
    return sorted(name for name in names if earlier.get(name) != wanted.get(name))


def _said(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under today's names; 0 is a value, and not the default of seed or image_size."""
    return {
        name: value
        for name, value in renamed(settings).items()
        if value not in ("", None) and value is not False
    }


class _Own:
    """A file that this project writes: where it lies in a folder, by its one name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __set_name__(self, kind: type[_Folder], _: str) -> None:
        kind.OWN = (*kind.OWN, self.name)

    def __get__(self, holder: _Folder, _: type) -> Path:
        return holder.folder / self.name


class _Folder:
    """A folder whose own files have names that are known here."""

    OWN: tuple[str, ...] = ("figures/*.webp",)  # patterns; those of `_Own` are added
    ENTRY: type = str  # of the list of files

    files_path = _Own("files.json")

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.name = self.folder.name
        self.figures_folder = self.folder / "figures"

    def own_files(self) -> list[Path]:
        """Files of known names that are there; what else lies there is somebody else's."""
        found = (path for pattern in self.OWN for path in self.folder.glob(pattern))
        return sorted(path for path in found if path.is_file())

    def remove_own(self) -> None:
        """Remove what this project has written, and then the folders that are empty."""
        own = self.own_files()
        for path in own:
            path.unlink()
        remove_partial(self.folder)
        for folder in sorted({path.parent for path in own}, key=lambda path: -len(path.parts)):
            if not any(folder.iterdir()):
                folder.rmdir()

    def _list(self) -> dict[str, Any]:
        """What files.json holds; no files where there is none, `InputError` if it is damaged."""
        if not self.files_path.is_file():
            return {"files": {}}
        content = read_whole(self.files_path, read_json)
        files = content.get("files") if isinstance(content, dict) else None
        if not isinstance(files, dict) or not all(
            isinstance(entry, self.ENTRY) for entry in files.values()
        ):
            raise InputError(f"{self.files_path} is no list of files: {AGAIN}.")
        return content

    def _sums(self) -> dict[str, str]:
        """SHA-256 by path inside of the folder."""
        return self._list()["files"]

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _read(self, path: Path, read: Callable[[Path], Any]) -> Any:
        """Read one of the files, which must be as it was written."""
        if path.is_file() and self._sums().get(self._name(path)) not in (None, sha256(path)):
            raise InputError(
                f"{path} has changed since it was written ({self.files_path}): {AGAIN}."
            )
        return read_whole(path, read)


def _as_table(path: Path, dtype: Any = AS_TEXT) -> pd.DataFrame:
    import pandas as pd

    return renamed_table(pd.read_csv(path, dtype=dtype, keep_default_na=False))


def _as_record(path: Path) -> dict:
    """A JSON object."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise TypeError("not an object")
    return content


class Result(_Folder):
    """What one method, a network or a classifier, has left in a run's folder.

    Parameters
    ----------
    folder : Path
        Of the method, inside the run's.

    Examples
    --------
    >>> Result(run / "mobilenet").metrics()["test"]["accuracy"]["cells"]
    10
    """

    # new_pictures.csv is an old name.
    OWN = (*_Folder.OWN, "new_images.csv", "new_pictures.csv")

    model_path = _Own("model.keras")
    record_path = _Own("parameters.json")
    metrics_path = _Own("metrics.json")
    history_path = _Own("history.csv")
    predictions_path = _Own("predictions.csv")
    held_out_path = _Own("held_out.csv")
    judged_path = _Own("judged.csv")
    checkpoint_path = _Own("checkpoint.npz")
    familiar_path = _Own("familiar.npy")
    tried_path = _Own("tried.csv")
    card_path = _Own("model_card.md")

    @property
    def outputs(self) -> list[Path]:
        """Files without which a training counts as unfinished."""
        return [self.predictions_path, self.metrics_path, self.record_path, self.model_path]

    @property
    def is_there(self) -> bool:
        """Whether a training has left something: its list, its record or its checkpoint."""
        if self.checkpoint_path.is_file():
            return True
        if not self.record_path.is_file() and not self.files_path.is_file():
            return False
        try:
            listed = self.files_path.is_file() and self._list()
            return bool(listed) or "settings" in _as_record(self.record_path)
        except (OSError, ValueError, TypeError):
            # damaged: still a training's, if the model or what it has said lies beside it
            return self.model_path.is_file() or self.metrics_path.is_file()

    def record(self) -> dict:
        """What parameters.json holds: settings, weights, versions, times."""
        record = self._read(self.record_path, _as_record)
        if "settings" in record:
            if not isinstance(record["settings"], dict):
                raise InputError(f"{self.record_path} is not the record of a run: {AGAIN}.")
            record["settings"] = renamed(record["settings"])
        return record

    def metrics(self) -> dict:
        """What metrics.json holds, by split."""
        metrics = self._read(self.metrics_path, _as_record)
        return {SPLITS.get(name, name): value for name, value in metrics.items()}

    def history(self) -> pd.DataFrame:
        """One row per epoch."""
        return self._read(self.history_path, _as_table)

    def predictions(self, split: str | None = None) -> pd.DataFrame:
        """Predictions of one split, or of all."""
        table = self._read_predictions(self.predictions_path)
        return table if split is None else table[table["split"] == split]

    def held_out(self) -> pd.DataFrame:
        """Predictions of training cells by heads that have not met their patients."""
        return _as_table(self.held_out_path)

    def judged(self) -> pd.DataFrame:
        """Of every cell, by heads that have not met it; for suspect labels."""
        return self._read_predictions(self.judged_path)

    def _read_predictions(self, path: Path) -> pd.DataFrame:
        table = self._read(path, _as_table)
        if not {"file", "patient", "split", "label"} <= set(table):
            raise InputError(f"{path} lacks columns: {AGAIN}.")
        return table

    def write_history(self, history: pd.DataFrame) -> None:
        """Keep the epochs so far."""
        write_csv(self.history_path, history)

    def figure_path(self, name: str) -> Path:
        """Where a figure is kept for the report."""
        return self.figures_folder / f"{name}.webp"

    def figures(self) -> dict[str, Path]:
        """The figures that are kept, by name."""
        return {path.stem: path for path in sorted(self.figures_folder.glob("*.webp"))}

    def claim(
        self,
        wanted: Mapping[str, Any],
        earlier: Mapping[str, Any] | None,
        *,
        ignoring: Iterable[str] = (),
        overwrite: bool = False,
    ) -> None:
        """Make the folder ours; refuse it where it holds a training with other settings.

        ``earlier`` are those of a training that was stopped before it had a record.
        """
        there = self.is_there
        if not there and any(path.is_file() for path in self.folder.rglob("*")):
            raise InputError(
                f"{self.folder} holds files that are of no training: choose another run_folder."
            )
        earlier = self._trained_with() or earlier or wanted
        changed = changed_settings(earlier, wanted, ignoring=ignoring)
        if changed and not overwrite:
            raise InputError(
                f"{self.folder} holds a training with other settings ({listing(changed)}): "
                "choose another run_folder, or set overwrite = True to replace it."
            )
        if overwrite and there:
            self.remove_own()
        self.folder.mkdir(parents=True, exist_ok=True)

    def _trained_with(self) -> dict[str, Any] | None:
        """Settings of a training that has ended, as far as its record can be read."""
        if not self.record_path.is_file():
            return None
        try:
            return self.record().get("settings")
        except InputError as error:
            log.info("%s", error)
            return None

    def finish(
        self,
        predictions: pd.DataFrame,
        metrics: dict,
        record: dict,
        *,
        save: Callable[[Path], Any] | None = None,
    ) -> None:
        """Write what a finished training leaves; files.json comes last and makes it finished."""
        write_csv(self.predictions_path, predictions)
        write_json(self.metrics_path, metrics)
        if save:
            with atomic(self.model_path) as partial:
                save(partial)
            size = self.model_path.stat().st_size / 1e6
            model = {"file": self.model_path.name, "sha256": sha256(self.model_path)}
            record = {**record, "model": {**model, "megabytes": size}}
        write_json(self.record_path, record)
        left = [*self.outputs, self.history_path, self.tried_path]
        sums = {path.name: sha256(path) for path in left if path.is_file()}
        write_json(self.files_path, {"files": sums})
        self.checkpoint_path.unlink(missing_ok=True)


class Run(_Folder):
    """A run's folder.

    Parameters
    ----------
    folder : str or Path

    Examples
    --------
    >>> Run(run).manifest()["split"].value_counts().to_dict()
    {'test': 10, 'val': 2}
    """

    OWN = (
        *_Folder.OWN,
        "notebooks/[0-9]_*.ipynb",
        "baselines/*.csv",
        "comparison.csv",
        "methods.csv",
        "pairs.csv",
        "results.zip",
    )
    ENTRY = dict

    settings_path = _Own("settings.yaml")
    manifest_path = _Own("manifest.csv")
    data_path = _Own("data.json")
    audit_path = _Own("audit.json")
    missing_path = _Own("missing.csv")
    rejected_path = _Own("rejected.csv")
    report_path = _Own("report.html")

    @property
    def suspects_path(self) -> Path:
        """Marked by hand: never removed."""
        return self.folder / "suspects.csv"

    def result(self, method: str) -> Result:
        """What one method has left."""
        return Result(self.folder / method)

    def notebook(self, name: str) -> Path:
        """The executed copy of a notebook."""
        return self.folder / "notebooks" / f"{name}.ipynb"

    def notebook_seconds(self, name: str) -> float | None:
        """How long an executed notebook took, all included; ``None`` where run by hand."""
        try:
            return float(read_json(self.notebook(name))["metadata"]["papermill"]["duration"])
        except (OSError, InputError, KeyError, TypeError, ValueError):
            return None

    def baseline(self, name: str) -> Path:
        """Predictions of a trivial method."""
        return self.folder / "baselines" / f"{name}.csv"

    def table_path(self, name: str) -> Path:
        """comparison, methods or pairs."""
        return self.folder / f"{name}.csv"

    def results(self) -> list[Result]:
        """Of every method that has left something."""
        folders = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        return [own for path in folders if path.is_dir() and (own := Result(path)).is_there]

    def own_files(self) -> list[Path]:
        return super().own_files() + [path for own in self.results() for path in own.own_files()]

    def manifest(self) -> pd.DataFrame:
        """The cells of this run, with their splits."""
        return self._read(self.manifest_path, lambda path: _as_table(path, str))

    def data(self) -> dict:
        """Where the cells came from, and what must be said about them."""
        return self._read(self.data_path, _as_record)

    def baseline_predictions(self, name: str) -> pd.DataFrame:
        """What a trivial method says."""
        return self._read(self.baseline(name), _as_table)

    def settings(self) -> dict:
        """What was asked, or nothing where notebooks were run by hand."""
        if not self.settings_path.is_file():
            return {}
        content = read_yaml(self.settings_path) or {}
        if not isinstance(content, dict):
            raise InputError(f"{self.settings_path} holds no settings: choose another --output.")
        return content

    def finished(self, names: Iterable[str]) -> list[str]:
        """Those of the methods that have left metrics."""
        return [name for name in names if self.result(name).metrics_path.is_file()]

    @property
    def is_there(self) -> bool:
        """Whether this is the folder of a run; those of earlier versions have no files.json."""
        begun = any(self.folder.glob("notebooks/1_data_split*.ipynb"))
        if self.settings_path.is_file() and (begun or self.data_path.is_file()):
            return True
        try:
            return self.files_path.is_file() and bool(self._list())
        except InputError:
            return False

    def claim(
        self, wanted: Mapping[str, Any], *, overwrite: bool = False, inputs: Iterable[Path] = ()
    ) -> None:
        """Make the folder ours, without mixing this run with another one or with what is no run.

        ``inputs`` is what the run is to read: it must not lie where files are removed.
        """
        if not self.is_there:
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise InputError(
                    f"{self.folder} is not empty and not the folder of a run: "
                    "choose another --output."
                )
        elif overwrite:
            self._keep_away_from(inputs)
            self.remove_own()
        else:
            changed = changed_settings(self._asked(), wanted)
            if changed and any(path.name not in LEFT_BY_A_STOP for path in self.own_files()):
                raise InputError(
                    f"{self.folder} holds a run with other settings ({listing(changed)}): "
                    "choose another --output, or pass --overwrite to replace what it has left."
                )
            remove_partial(self.folder)
            if not changed and self.settings_path.is_file():
                return
            self._asked(unchanged=True)
        write_text(self.settings_path, yaml.safe_dump(dict(wanted), sort_keys=False))
        self.seal(SETTINGS, [self.settings_path])

    def _asked(self, *, unchanged: bool = False) -> dict:
        """Settings of the run that lies here; if need be, only as it has written them."""
        try:
            if unchanged and self.settings_path.is_file():
                self._read(self.settings_path, read_yaml)
            return self.settings()
        except InputError as error:
            raise InputError(
                f"{self.settings_path} is not as the run has written it: choose another --output, "
                "or pass --overwrite to replace what the run has left."
            ) from error

    def _keep_away_from(self, inputs: Iterable[Path]) -> None:
        here = self.folder.resolve()
        inside = [path for path in inputs if path.resolve().is_relative_to(here)]
        if inside:
            raise InputError(
                f"{inside[0]} lies in {self.folder}, whose files --overwrite would replace: "
                "choose another --output, or keep it elsewhere."
            )

    def _sums(self) -> dict[str, str]:
        """By path, of the parts that are not being computed."""
        content = self._list()
        parts = [sums for part, sums in content["files"].items() if part != content.get("open")]
        return {name: digest for sums in parts for name, digest in sums.items()}

    def begin(self, part: str) -> None:
        """Say that a part is being computed: it has not ended until it is sealed."""
        try:
            content = self._list()
        except InputError:  # damaged: no part counts as finished
            content = {"files": {SETTINGS: {}}}
        write_json(self.files_path, {**content, "open": part})

    def seal(self, part: str, files: Iterable[Path], **more: Any) -> None:
        """List what a part of a run has left."""
        content = {**self._list(), **more}
        sums = {self._name(path): sha256(path) for path in files}
        for others in content["files"].values():
            for name in sums:
                others.pop(name, None)
        content["files"][part] = sums
        write_json(self.files_path, {**content, "open": None})

    def reseal(self, files: Iterable[Path]) -> None:
        """List files anew that have been written again by hand, where there is a list."""
        if not self.files_path.is_file():
            return
        content = self._list()
        for path in files:
            for sums in content["files"].values():
                if self._name(path) in sums:
                    sums[self._name(path)] = sha256(path)
        write_json(self.files_path, content)

    def trained_on_others(self, manifest: str) -> bool:
        """Whether something was trained here on other cells than those of a manifest's text."""
        path = self.manifest_path
        if not path.is_file() or (self.files_path.is_file() and not self.results()):
            return False
        parts = self._list()["files"].values()
        # As it was written: one that has been damaged since is written again.
        listed = [sums[path.name] for sums in parts if path.name in sums] or [sha256(path)]
        return listed[0] != hashlib.sha256(manifest.encode()).hexdigest()

    def left_by(self, notebook: str, methods: Iterable[str] = ()) -> list[Path]:
        """Files that a notebook has just left: its copy, and those of its methods or of none."""
        if methods:
            files = [path for name in methods for path in self.result(name).own_files()]
        else:
            parts = self._list()["files"]
            taken = {
                name
                for part, sums in parts.items()
                for name, digest in sums.items()
                if part != notebook and self._holds(name, digest)
            }
            others = (self.settings_path, self.files_path)
            files = [
                path
                for path in super().own_files()
                if self._name(path) not in taken
                and path not in others
                and path.parent != self.notebook(notebook).parent
            ]
        return [self.notebook(notebook), *files]

    def change_in(self, part: str) -> str | None:
        """What has changed of a part since it was listed: empty: nothing, ``None``: not ended."""
        try:
            content = self._list()
        except InputError:
            return f"{self.files_path.name} is damaged"
        # A list that was begun with the run knows every part that has ended.
        ended = part in content["files"] or SETTINGS not in content["files"]
        if content.get("open") == part or not ended:
            return None
        for name, digest in content["files"].get(part, {}).items():
            if not self._holds(name, digest):
                there = (self.folder / name).is_file()
                return f"{name} {'has changed since it was written' if there else 'is missing'}"
        return ""

    def _holds(self, name: str, digest: str) -> bool:
        path = self.folder / name
        return path.is_file() and sha256(path) == digest

    def inputs(self) -> str | None:
        """What identified images and table when the cells were read; ``None``: not known."""
        return self._list().get("inputs")


def check_free(path: Path, *, overwrite: bool = False) -> None:
    """Refuse, before any work, to write where something lies; a run's files are never replaced."""
    place = path.resolve()
    homes = [home for home in (Result(place.parent), Run(place.parent)) if home.is_there]
    if path.exists() and any(place in map(Path.resolve, home.own_files()) for home in homes):
        raise InputError(f"{path} is a file of a run: choose another --output.")
    refuse_existing(path, overwrite=overwrite)


def folder(run_folder: str | Path, name: str = "") -> Path:
    """Folder of a run, or of one method in it, made if need be."""
    path = Path(run_folder) / name
    path.mkdir(parents=True, exist_ok=True)
    return path
