"""A model card beside each trained model: what it is, on which data, how good, and what it is not for.

After Mitchell et al. 2019, "Model cards for model reporting".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from .. import RESEARCH_ONLY
from .._core.files import read_json, write_text
from ..data import manifest as manifests
from ..data import splitting
from ..evaluation import words
from ..evaluation.metrics import metric_title
from ..evaluation.resampling import METRICS
from ..networks import registry

TEMPLATE = Path(__file__).with_name("templates") / "model_card.md.jinja"


def write_model_card(run_folder: str | Path, name: str) -> Path:
    """Write ``model_card.md`` from the files of a run.

    Parameters
    ----------
    run_folder : str or Path
    name : str
        Architecture.

    Returns
    -------
    Path
        The card.

    Examples
    --------
    >>> import shutil
    >>> from allhelpers import models
    >>> record = records.describe(network, cells, cells.notes, "", Clock())
    >>> write_json(Path(shutil.copytree(run, "first"), "mobilenet", "parameters.json"), {**record, "model": {}})
    >>> write_model_card("first", "mobilenet").read_text(encoding="utf-8").splitlines()[0]
    '# Model card: MobileNet for ALL (leukaemic), HEM (normal)'
    """
    run_folder = Path(run_folder)
    record, metrics = (
        read_json(run_folder / name / f) for f in ("parameters.json", "metrics.json")
    )
    cells = pd.read_csv(run_folder / "manifest.csv", dtype=str, keep_default_na=False)
    settings = record["settings"]
    shared = splitting.shared_patients(cells)
    template = jinja2.Environment().from_string(TEMPLATE.read_text(encoding="utf-8"))
    card = template.render(
        title=registry.get(name).title,
        classes=record["classes"],
        class_titles=[manifests.class_title(label) for label in record["classes"]],
        warning=RESEARCH_ONLY,
        notes=record["notes"],
        settings=settings,
        weights=record["weights"]["label"],
        trained_part="the new head only"
        if settings["unfreeze"] == "none"
        else f"from {record['cut']} upwards",
        parameters=record["parameters"],
        model=record["model"],
        versions=", ".join(
            f"{package} {version}" for package, version in record["versions"].items()
        ),
        device=record["device"],
        data=read_json(run_folder / "data.json"),
        counts=splitting.describe_splits(cells).to_dict("records"),
        leak=f"{len(shared)} patients stand on more than one side: expect lower figures on new patients."
        if shared
        else "No patient stands on two sides.",
        metrics=[_row(metric, metrics["test"][metric]) for metric in METRICS],
        patients=words.sentence_of_patients(metrics),
    )
    path = run_folder / name / "model_card.md"
    write_text(path, card + "\n")
    return path


def _row(metric: str, entry: Any) -> Any:
    def interval(low: float, high: float) -> Any:
        return "" if entry.get(low) is None else f"{entry[low]:.3f} to {entry[high]:.3f}"

    return {
        "name": metric_title(metric),
        "value": "not defined" if entry["value"] is None else f"{entry['value']:.3f}",
        "wilson": interval("low", "high"),
        "patients": interval("patients_low", "patients_high"),
    }
