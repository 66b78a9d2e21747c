"""A run's folder: its files have one name, one reader and one writer, and they are here.

::

    RUN/
      settings.yaml                   what was asked
      notebooks/*.ipynb               executed copies
      manifest.csv, data.json         the cells and splits this run used, and where they came from
      baselines/*.csv                 predictions of the majority class and of the cell's area
      <method>/parameters.json        every setting, seed, versions, hashes of manifest and weights
               history.csv            one row per epoch
               predictions.csv        one row per cell of validation and test
               metrics.json           each metric with its interval
               model.keras            pixels in, probabilities out
               familiar.npy           features of training cells, to tell images unlike them
               figures/*.webp         what the notebook has shown, for the report
               model_card.md          what it is, on which data, how good, and what it is not for
               checkpoint.npz         only while training: what it takes to go on
      audit.json                      leaks and shortcuts in the data, in sentences
      missing.csv, rejected.csv       images that are not there or cannot be used, if there are some
      comparison.csv                  one row per method
      methods.csv, pairs.csv          networks and baselines; every two of them compared
      report.html
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ._core.errors import InputError, listing
from ._core.files import (
    atomic,
    read_json,
    remove_partial,
    sha256,
    write_csv,
    write_json,
    write_text,
)
from ._core.renaming import renamed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Result", "Run", "changed_settings"]

# What a run has left that was stopped before its cells were known.
LEFT_BY_A_STOP = {"settings.yaml", "1_data_split.ipynb", "missing.csv", "rejected.csv"}
# Ids and labels are text, whatever they look like: a patient called 007 or NA keeps the name.
AS_TEXT = {"file": str, "subject": str, "label": str, "split": str, "sha256": str}


def changed_settings(
    earlier: Mapping[str, Any], wanted: Mapping[str, Any], *, ignoring: Iterable[str] = ()
) -> list[str]:
    """Names of the settings that differ.

    Parameters
    ----------
    earlier, wanted : mapping of str to value
        A setting that one of them lacks differs.
    ignoring : iterable of str
        Names that do not count.

    Returns
    -------
    list of str
        Sorted.

    Examples
    --------
    >>> changed_settings({"epochs": 5, "seed": 1}, {"epochs": 9, "seed": 1})
    ['epochs']
    """
    earlier, wanted = renamed(earlier), renamed(wanted)
    names = {*earlier, *wanted} - set(ignoring)
    absent = object()
    return sorted(name for name in names if earlier.get(name, absent) != wanted.get(name, absent))


class Result:
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

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.name = self.folder.name
        self.model_path = self.folder / "model.keras"
        self.record_path = self.folder / "parameters.json"
        self.metrics_path = self.folder / "metrics.json"
        self.history_path = self.folder / "history.csv"
        self.predictions_path = self.folder / "predictions.csv"
        self.checkpoint_path = self.folder / "checkpoint.npz"
        self.familiar_path = self.folder / "familiar.npy"
        self.card_path = self.folder / "model_card.md"
        self.figures_folder = self.folder / "figures"

    @property
    def outputs(self) -> list[Path]:
        """Files without which a training counts as unfinished."""
        return [self.predictions_path, self.metrics_path, self.record_path, self.model_path]

    def record(self) -> dict:
        """What parameters.json holds: settings, weights, versions, times."""
        record = read_json(self.record_path)
        if "settings" in record:
            record["settings"] = renamed(record["settings"])
        return record

    def metrics(self) -> dict:
        """What metrics.json holds, by split."""
        return read_json(self.metrics_path)

    def history(self) -> pd.DataFrame:
        """One row per epoch."""
        import pandas as pd

        return pd.read_csv(self.history_path)

    def predictions(self, split: str | None = None) -> pd.DataFrame:
        """Predictions of one split, or of all."""
        import pandas as pd

        table = pd.read_csv(self.predictions_path, dtype=AS_TEXT, keep_default_na=False)
        return table if split is None else table[table["split"] == split]

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

        Parameters
        ----------
        wanted : mapping of str to value
            Settings that decide the training.
        earlier : mapping of str to value, or None
            Settings of a training that was stopped before it had a record.
        ignoring : iterable of str
            Settings that only say where things are.
        overwrite : bool
            Remove what lies there.

        Raises
        ------
        InputError
            If there are results of other settings, which are named.
        """
        if self.record_path.is_file():
            earlier = self.record()["settings"]
        changed = changed_settings(earlier or wanted, wanted, ignoring=ignoring)
        if changed and not overwrite:
            raise InputError(
                f"{self.folder} holds a training with other settings ({listing(changed)}): "
                "choose another run_folder, or set overwrite = True to replace it."
            )
        if overwrite and self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def finish(
        self,
        predictions: pd.DataFrame,
        metrics: dict,
        record: dict,
        *,
        save: Callable[[Path], Any] | None = None,
    ) -> None:
        """Write what a finished training leaves; parameters.json comes last and makes it finished.

        Parameters
        ----------
        predictions : DataFrame
        metrics, record : dict
        save : callable, optional
            Writes the model to the path that it is given.
        """
        write_csv(self.predictions_path, predictions)
        write_json(self.metrics_path, metrics)
        if save:
            with atomic(self.model_path) as partial:
                save(partial)
            size = self.model_path.stat().st_size / 1e6
            model = {"file": self.model_path.name, "sha256": sha256(self.model_path)}
            record = {**record, "model": {**model, "megabytes": size}}
        write_json(self.record_path, record)
        self.checkpoint_path.unlink(missing_ok=True)


class Run:
    """A run's folder.

    Parameters
    ----------
    folder : str or Path

    Examples
    --------
    >>> Run(run).manifest()["split"].value_counts().to_dict()
    {'test': 10, 'valid': 2}
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.settings_path = self.folder / "settings.yaml"
        self.manifest_path = self.folder / "manifest.csv"
        self.data_path = self.folder / "data.json"
        self.audit_path = self.folder / "audit.json"
        self.missing_path = self.folder / "missing.csv"
        self.rejected_path = self.folder / "rejected.csv"
        self.report_path = self.folder / "report.html"
        self.figures_folder = self.folder / "figures"

    def result(self, method: str) -> Result:
        """What one method has left."""
        return Result(self.folder / method)

    def notebook(self, name: str) -> Path:
        """The executed copy of a notebook."""
        return self.folder / "notebooks" / f"{name}.ipynb"

    def baseline(self, name: str) -> Path:
        """Predictions of a trivial method."""
        return self.folder / "baselines" / f"{name}.csv"

    def table_path(self, name: str) -> Path:
        """comparison, methods or pairs."""
        return self.folder / f"{name}.csv"

    def manifest(self) -> pd.DataFrame:
        """The cells of this run, with their splits."""
        import pandas as pd

        return pd.read_csv(self.manifest_path, dtype=str, keep_default_na=False)

    def data(self) -> dict:
        """Where the cells came from, and what must be said about them."""
        return read_json(self.data_path)

    def settings(self) -> dict:
        """What was asked, or nothing where notebooks were run by hand."""
        if not self.settings_path.is_file():
            return {}
        return yaml.safe_load(self.settings_path.read_text(encoding="utf-8")) or {}

    def finished(self, names: Iterable[str]) -> list[str]:
        """Those of the methods that have left metrics."""
        return [name for name in names if self.result(name).metrics_path.is_file()]

    def holds_results(self) -> bool:
        """Whether a run has left more than what stopped it before its cells were known."""
        return any(
            path.is_file() and path.name not in LEFT_BY_A_STOP for path in self.folder.rglob("*")
        )

    def claim(self, wanted: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Make the folder ours, without mixing this run with another one.

        Parameters
        ----------
        wanted : mapping of str to value
            What settings.yaml will hold.
        overwrite : bool
            Remove an earlier run with other settings.

        Raises
        ------
        InputError
            If another run, or anything that is not a run, lies there.
        """
        if self.settings_path.exists():
            changed = changed_settings(self.settings(), wanted)
            if changed and self.holds_results() and not overwrite:
                raise InputError(
                    f"{self.folder} holds a run with other settings ({listing(changed)}): "
                    "choose another --output, or pass --overwrite to delete it."
                )
            if overwrite:
                shutil.rmtree(self.folder)
            else:
                remove_partial(self.folder)
        elif self.folder.is_dir() and any(self.folder.iterdir()):
            raise InputError(
                f"{self.folder} is not empty and not the folder of a run: choose another --output."
            )
        write_text(self.settings_path, yaml.safe_dump(dict(wanted), sort_keys=False))


def folder(run_folder: str | Path, name: str = "") -> Path:
    """Folder of a run, or of one method in it, made if need be."""
    path = Path(run_folder) / name
    path.mkdir(parents=True, exist_ok=True)
    return path
