"""``report.html``, one self-contained file: the tables of a run and the figures that its notebooks
kept, each under the name of the function that drew it. It computes and draws nothing.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from PIL import Image

from .. import RESEARCH_ONLY
from .._core.errors import InputError, counted
from .._core.files import read_json, write_text
from .._core.renaming import FIGURES_RENAMED, renamed_table
from ..data import manifest as manifests
from ..data import splitting, tables
from ..evaluation import published
from ..evaluation.words import joined, notes_of
from ..networks import registry
from ..runs import Result, Run
from ..settings import RunSettings, TrainingSettings
from . import conclusions, sentences, tabling

# Figures of the whole run, from notebooks 1 and 3, and how each is read.
RUN_FIGURES = {
    "cells_per_split": "Cells and patients per class in each split. The figures rest on "
    "the patients of the test, however many cells they gave.",
    "accuracy_with_intervals": "Share of test cells that each network predicts correctly, with "
    "its 95 % interval over cells (Wilson). Where intervals overlap, other cells could turn the "
    "order round.",
    "methods": "AUROC and weighted F1 with intervals over resampled patients. A network whose "
    "interval reaches the cell area’s has not shown that it sees more than size.",
    "size_gap": "AUROC on all test cells, on cells of equal size, and with patients weighing the "
    "same. The longer the grey line, the more of the figure is the size of the cells, which new "
    "patients need not share.",
    "differences": "Difference of weighted F1 between every two methods, over resampled patients. "
    "An interval that touches 0 does not tell the two apart; one that does not counts only where "
    "McNemar's test agrees and the number of pairs is allowed for, and else is grey too.",
    "suspects": "Cells whose label may be wrong, the most suspect first: their label, what is more "
    "probable, and how suspect they are (0 to 1). suspects.csv lists all; a person decides.",
    "cost": "Time of each stage, parameters, and size of the file: what a higher figure costs.",
}

# Figures of one network or classifier, in the report's order.
FIGURES = {
    "learning_curves": "Loss and accuracy per epoch; the mark is the epoch that was kept. Training "
    "far ahead of validation: learnt by heart. Validation still improving: more epochs may help.",
    "confusion_matrix": "Test cells: rows are the true class, columns the predicted one, "
    "shares are of the row.",
    "ranking_curves": "ROC and precision-recall curve, over all thresholds: how well the "
    "probabilities rank the cells, whatever threshold is chosen.",
    "reliability": "Predicted probability against the share of cells that have the class. Points "
    "below the line: the network is surer than it should be.",
    "patients": "Share of each test patient’s cells that is correct; a larger dot has more cells. "
    "Patients far below the mean are those whom an average hides.",
    "patient_strips": "One line per patient, one mark per cell: how probable the true class was. A "
    "patient whose cells are all low is not recognised, however good the average.",
    "patient_cells": "Cells of some patients with what the network said: does it fail on patients, "
    "or on odd cells?",
    "mistakes": "The wrong cells of which the network was surest. Look for debris, two cells, bad "
    "stain, wrong labels.",
    "uncertain": "The cells between which the network could not decide: a laboratory would look at "
    "these itself.",
    "grad_cam": "Where the evidence for the true class lies (Grad-CAM), not why. Evidence on the "
    "background or the rim is a reason to distrust the network.",
    "mean_grad_cam": "The same averaged over cells of each class: a spot outside the cell is a "
    "shortcut.",
    "feature_map": "Test cells as the network sees them, alike ones close together (t-SNE), by "
    "class and by patient. Groups by patient mean that it recognises patients. Distances between "
    "groups mean nothing.",
}

# Where patients are unknown: figures that show nothing, and other captions.
BY_PATIENT = ("patients", "patient_strips", "patient_cells")
WITHOUT_PATIENTS = {
    "cells_per_split": "Cells per class in each split.",
    "feature_map": "Test cells as the network sees them, alike ones close together (t-SNE), by "
    "class. Distances between groups mean nothing.",
}

SPLITS = {
    "paper": "The paper's split, by image: test cells come from patients who also train.",
    "patient": "By patient: no patient is in two splits.",
}
GIVEN = "As the table of cells says: no patient is in two splits."
CROSSED = "By patient: trained on patients of one part of the data, tested on patients of another."

COMMAND = "python -m allhelpers run --settings settings.yaml --output NEW_FOLDER"
TEMPLATE = Path(__file__).with_name("templates") / "report.html.jinja"


def write_report(run_folder: str | Path, names: Sequence[str]) -> Path:
    """Write the report of a run from the files in its folder.

    Parameters
    ----------
    run_folder : str or Path
    names : sequence of str
        Architectures.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    InputError
        If the third notebook has not left its tables, or has compared other methods.

    Examples
    --------
    Of a finished run, in seconds::

        write_report("runs/sample", ["mobilenet", "vgg16"])  # runs/sample/report.html
    """
    run = Run(run_folder)
    cells = run.manifest()
    known = tables.patients_known(cells)
    comparison = _comparison(run, cells, names)
    records = {name: run.result(name).record() for name in names}
    alike, own = tabling.settings(records)
    asked = run.settings_path
    # autoescape: text from file names and settings cannot become markup
    template = jinja2.Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    page = template.render(
        warning=RESEARCH_ONLY,
        figures=_figures(run.figures_folder, _fitting(RUN_FIGURES, known), "all methods"),
        asked=names,
        asked_in_words=joined([registry.title_of(name) for name in names]),
        sections=[_section(run.result(name), records[name], known) for name in names],
        settings=alike,
        own_settings=own,
        patients_known=known,
        changed=_changed(run.settings() or _by_setting(records)),
        settings_file=asked.read_text(encoding="utf-8") if asked.is_file() else "",
        command=COMMAND,
        **_cells(run, cells, known),
        **comparison,
    )
    write_text(run.report_path, page)
    return run.report_path


def _cells(run: Run, cells: pd.DataFrame, known: bool) -> dict[str, Any]:
    """What the report says of the cells."""
    data, test = run.data(), cells[cells["split"] == "test"]
    audit = read_json(run.audit_path) if run.audit_path.is_file() else {}
    return {
        "data": data,
        "classes": [manifests.class_title(label) for label in data["classes"]],
        "split_in_words": _split_in_words(data["split"], cells, known),
        "test_cells": len(test),
        "test_patients": test["patient"].nunique(),
        "counts": tabling.splits(cells, known),
        "official_files": manifests.is_official(cells),
        "audit": audit.get("sentences", []),
    }


def _split_in_words(split: str, cells: pd.DataFrame, known: bool) -> str:
    """How the split was drawn, and whether patients are in two splits of it, as counted."""
    if not known:
        return "Patients are unknown, so that a patient can be in several splits."
    if split == "paper":
        return SPLITS[split]
    if shared := len(splitting.shared_patients(cells)):
        return f"{counted(shared, 'patient')} in two splits: expect lower figures on new patients."
    return SPLITS.get(split, GIVEN if split.startswith("column") else CROSSED)


def _comparison(run: Run, cells: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """What the report says of the methods side by side."""
    compared, methods, pairs = (_table(run, name) for name in ("comparison", "methods", "pairs"))
    if compared["architecture"].tolist() != list(names):
        raise InputError(
            f"{run.table_path('comparison')} compares {', '.join(compared['architecture'])}, not "
            f"{', '.join(names)}: run notebook 3_comparison again."
        )
    notes = notes_of(compared)
    return {
        "notes": notes,
        "answer": conclusions.answer(methods, cells, notes),
        "methods": tabling.methods(methods, compared),
        "official": published.is_official(compared),
        "beside_paper": tabling.beside_paper(compared),
        "possible": conclusions.possible(methods, pairs, notes),
        "impossible": conclusions.impossible(notes, cells, len(names)),
        "pairs": tabling.pairs(pairs) if len(pairs) else None,
    }


def _table(run: Run, name: str) -> pd.DataFrame:
    path = run.table_path(name)
    if not path.is_file():
        raise InputError(f"{path} does not exist: run notebook 3_comparison first.")
    return renamed_table(pd.read_csv(path))


def _by_setting(records: Mapping[str, dict]) -> dict[str, dict]:
    """What each notebook was given, by setting and method, where they were run by hand."""
    table: dict[str, dict] = {}
    for name, record in records.items():
        for setting, value in record["settings"].items():
            table.setdefault(setting, {})[name] = value
    return table


def _changed(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that differ from their defaults."""
    defaults = {**TrainingSettings.model_fields, **RunSettings.model_fields}
    places = ("run_folder", "cache_folder", "overwrite")
    plain = {k: _same_for_all(v) for k, v in asked.items() if k in defaults and k not in places}
    return {k: v for k, v in plain.items() if v != defaults[k].default}


def _same_for_all(value: Any) -> Any:
    """A setting that every network has alike, as one value."""
    values = list(value.values()) if isinstance(value, dict) else [value]
    return values[0] if values.count(values[0]) == len(values) else value


def _fitting(captions: Mapping[str, str], known: bool) -> dict[str, str]:
    """The figures that say something, and captions without patients where these are unknown."""
    if known:
        return dict(captions)
    plain = {n: text.replace("patients", "images") for n, text in captions.items()}
    kept = {name: text for name, text in plain.items() if name not in BY_PATIENT}
    return {name: WITHOUT_PATIENTS.get(name, text) for name, text in kept.items()}


def _section(result: Result, record: Mapping[str, Any], known: bool) -> dict[str, Any]:
    """What the report says of one method, beside its record."""
    metrics, title = result.metrics(), registry.title_of(result.name)
    test = metrics["test"]
    return {
        **record,
        "name": result.name,
        "title": title,
        "metrics": tabling.metrics(metrics, "patients" if known else "images"),
        # with two classes the metrics say the same
        "classes": tabling.classes(metrics) if len(test["classes"]) > 2 else None,
        "patients_in_words": sentences.sentence_of_patients(metrics),
        "size_in_words": sentences.sentence_of_size(test),
        "figures": _figures(result.figures_folder, _fitting(FIGURES, known), title),
    }


def _figures(folder: Path, captions: Mapping[str, str], whose: str) -> dict[str, dict[str, Any]]:
    """The figures that notebooks have kept, with their captions, by name."""
    figures = {}
    former = {now: name for name, now in FIGURES_RENAMED.items()}
    for name, caption in captions.items():
        paths = [folder / f"{each}.webp" for each in (name, former.get(name, name))]
        if path := next(filter(Path.is_file, paths), None):
            content = path.read_bytes()
            width, height = Image.open(io.BytesIO(content)).size
            figures[name] = {
                "source": f"data:image/webp;base64,{base64.b64encode(content).decode()}",
                "caption": caption,
                "alt": f"Figure: {name.replace('_', ' ')}, {whose}",
                "width": width,
                "height": height,
            }
    return figures
