"""``report.html``: one self-contained file that can be read without Python."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup

from .. import RESEARCH_ONLY, plotting
from .._core.files import read_json, write_text
from ..data import manifest as manifests
from ..data import splitting
from ..evaluation import comparison, gathering, published, words
from ..evaluation.metrics import metric_title
from ..networks import registry
from ..settings import RunSettings, TrainingSettings
from . import conclusions

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from ..settings import ClassicalSettings

# What a network's notebook has kept of its figures, and how each is read.
FIGURES = {
    "patient_strips": "One line per patient, one mark per cell: how probable the true class was. A patient "
    "whose cells are all low is not recognised, however good the average.",
    "patient_cells": "Cells of some patients with what the network said: does it fail on patients, or on odd cells?",
    "mistakes": "The wrong cells of which the network was surest. Look for debris, two cells, bad stain, wrong labels.",
    "uncertain": "The cells between which the network could not decide: a laboratory would look at these itself.",
    "grad_cam": "Where the evidence for the true class lies (Grad-CAM), not why. Evidence on the background or "
    "the rim is a reason to distrust the network.",
    "mean_grad_cam": "The same averaged over cells of each class: a spot outside the cell is a shortcut.",
    "feature_map": "Test cells as the network sees them, alike ones close together (t-SNE), by class and by patient. "
    "Groups by patient mean that it recognises patients. Distances between groups mean nothing.",
}

SPLITS = {
    "paper": "The paper's split, by picture: test cells come from patients who also train.",
    "patient": "By patient: no patient stands on two sides.",
}

CROSSED = "By patient: trained on patients of one part of the data, tested on patients of another."


COMMAND = "python -m allhelpers run --settings settings.yaml --output NEW_FOLDER"

TEMPLATE = Path(__file__).with_name("templates") / "report.html.jinja"


def write_report(run_folder: str | Path, names: list[str]) -> Path:
    """Write the report of a run from the files in its folder.

    Parameters
    ----------
    run_folder : str or Path
    names : list of str
        Architectures.

    Returns
    -------
    Path
        The report.

    Examples
    --------
    Of a finished run, in seconds::

        write("runs/sample", ["mobilenet", "vgg16"])  # runs/sample/report.html
    """
    run_folder = Path(run_folder)
    compared = gathering.compare(run_folder, names)
    cells = pd.read_csv(run_folder / "manifest.csv", dtype=str, keep_default_na=False)
    # autoescape: text from file names and settings cannot become markup
    template = jinja2.Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    data = read_json(run_folder / "data.json")
    predictions = gathering.predictions_of(run_folder, names)
    table, pairs = comparison.compare_methods(predictions), comparison.compare_pairs(predictions)
    notes = gathering.notes_of(compared)
    page = template.render(
        warning=RESEARCH_ONLY,
        notes=notes,
        asked=[registry.title_of(name) for name in names],
        split_in_words=SPLITS.get(data["split"], CROSSED),
        test_cells=int((cells["split"] == "test").sum()),
        test_patients=cells.loc[cells["split"] == "test", "subject"].nunique(),
        audit=_read(run_folder / "audit.json").get("sentences", []),
        possible=conclusions.possible(table, pairs, notes),
        impossible=conclusions.impossible(notes, cells, len(names)),
        changed=_changed(_read_settings(run_folder, names)),
        settings_file=_text(run_folder / "settings.yaml"),
        command=COMMAND,
        data=data,
        classes=[manifests.class_title(label) for label in data["classes"]],
        counts=_as_html(splitting.describe_splits(cells)),
        split_figure=_embed(plotting.cells_per_side(cells)),
        sentences=[words.sentence_of_result(row) for _, row in compared.iterrows()],
        table=_as_html(published.beside_paper(compared).reset_index()),
        accuracy_figure=_embed(plotting.accuracy_with_intervals(compared)),
        methods=_as_html(_short(table)),
        methods_figure=_embed(plotting.methods(table, compared)),
        verdicts=[words.sentence_of_pair(row) for _, row in pairs.iterrows()],
        differences_figure=_embed(plotting.differences(pairs)),
        cost_figure=_embed(plotting.cost(compared, gathering.stages(run_folder, names))),
        sections=[_section(run_folder, name) for name in names],
        official=published.is_official(compared),
        official_files=manifests.is_official(cells),
    )
    path = run_folder / "report.html"
    write_text(path, page)
    return path


def _short(compared: pd.DataFrame) -> Any:
    """The metrics that a reader looks for first, each with its interval in words."""
    table = pd.DataFrame({"method": compared["method"].map(words.method_title)})
    for metric in ("accuracy", "weighted_f1", "auroc", "brier_score", "patient_accuracy"):
        table[metric_title(metric)] = [
            words.row_in_words(row, metric) for row in compared.to_dict("records")
        ]
    return table


def _read(path: Path) -> Any:
    return read_json(path) if path.is_file() else {}


def _text(path: Path) -> Any:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _read_settings(run_folder: str | Path, names: list[str]) -> Any:
    """Settings of a run; where notebooks were run by hand, those that each of them has left."""
    if text := _text(run_folder / "settings.yaml"):
        return yaml.safe_load(text)
    each = {name: read_json(run_folder / name / "parameters.json")["settings"] for name in names}
    known = dict.fromkeys(setting for own in each.values() for setting in own)
    return {
        setting: {name: own[setting] for name, own in each.items() if setting in own}
        for setting in known
    }


def _changed(chosen: TrainingSettings | ClassicalSettings) -> Any:
    """Settings that differ from their defaults."""
    defaults = {**TrainingSettings.model_fields, **RunSettings.model_fields}
    places = ("run_folder", "cache_folder", "overwrite")
    plain = {k: _same_for_all(v) for k, v in chosen.items() if k in defaults and k not in places}
    return {k: v for k, v in plain.items() if v != defaults[k].default}


def _same_for_all(value: float) -> Any:
    """A setting that every network has alike, as one value."""
    values = list(value.values()) if isinstance(value, dict) else [value]
    return values[0] if values.count(values[0]) == len(values) else value


def _figures(folder: Path) -> Iterator[Any]:
    """The network's kept figures with their captions."""
    for name, caption in FIGURES.items():
        path = folder / "figures" / f"{name}.webp"
        if path.is_file():
            yield {"source": _as_uri(path.read_bytes()), "caption": caption}


def _section(run_folder: str | Path, name: str) -> Any:
    folder, title = run_folder / name, registry.title_of(name)
    record, metrics = (read_json(folder / file) for file in ("parameters.json", "metrics.json"))
    predictions = pd.read_csv(
        folder / "predictions.csv", dtype={"subject": str, "label": str}, keep_default_na=False
    )
    test = predictions[predictions["split"] == "test"]
    return {
        "title": title,
        "weights": record.get("weights", {}).get("label"),
        "chosen": record.get("chosen"),
        "settings": record["settings"],
        "seconds": record["seconds"],
        "device": record["device"],
        "metrics": _as_html(words.table_of_metrics(metrics).rename_axis("metric").reset_index()),
        "classes": _classes(metrics),
        "patients_in_words": words.sentence_of_patients(metrics),
        "figures": list(_figures(folder)),
        "curves": _curves(folder / "history.csv", title, record["settings"].get("patience", 0)),
        "versions": record["versions"],
        "confusion": _embed(plotting.confusion_matrix(test, f"{title}: test cells")),
        "ranking": _embed(plotting.ranking_curves(test, f"{title}: test cells")),
        "patients": _embed(plotting.patients(test, f"{title}: test cells")),
    }


def _classes(metrics: dict) -> Any:
    """Each class against all others; with two classes the metrics say the same."""
    table = words.table_of_classes(metrics)
    return _as_html(table.rename_axis("class").reset_index()) if len(table) > 2 else None


def _curves(path: Path, title: str, patience: int) -> Any:
    """Learning curves, of a method that is trained in epochs."""
    return (
        _embed(plotting.learning_curves(pd.read_csv(path), title, patience))
        if path.is_file()
        else None
    )


def _as_html(table: pd.DataFrame) -> Any:
    table = table.astype(object).where(
        table.notna(), ""
    )  # else pandas writes <NA> for a missing whole number
    html = table.to_html(
        index=False, border=0, na_rep="", float_format=lambda value: f"{value:.3g}"
    )
    return Markup(html)  # pandas has escaped the cells


def _embed(figure: Figure) -> Any:
    return _as_uri(plotting.encoded(figure))


def _as_uri(picture: np.ndarray) -> Any:
    return "data:image/webp;base64," + base64.b64encode(picture).decode()
