"""A model card beside each trained model: what it is, on which data, how good, and for what not.

After Mitchell et al. 2019, "Model cards for model reporting".
"""

from __future__ import annotations

from pathlib import Path

import jinja2

from .. import RESEARCH_ONLY
from .._core.files import write_text
from ..data import splitting, tables
from ..data.manifest import class_title
from ..evaluation.definitions import METRICS
from ..networks import registry
from ..runs import Run
from . import words

# What begins markup in Markdown, as HTML's names for it; a line ends where the template says.
HARMLESS = {
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    "[": "&#91;",
    "]": "&#93;",
    "|": "&#124;",
    "`": "&#96;",
    "\n": " ",
    "\r": " ",
}
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
    Beside the model of a finished run::

        write_model_card("runs/sample", "mobilenet")  # runs/sample/mobilenet/model_card.md
    """
    run = Run(run_folder)
    result, cells = run.result(name), run.manifest()
    record, metrics = result.record(), result.metrics()
    shared = len(splitting.shared_patients(cells))
    known = tables.patients_known(cells)
    template = jinja2.Environment(finalize=harmless).from_string(
        TEMPLATE.read_text(encoding="utf-8")
    )
    card = template.render(
        record,
        title=registry.title_of(name),
        class_titles=[class_title(label) for label in record["classes"]],
        warning=RESEARCH_ONLY,
        weights=record["weights"]["label"],
        trained_part=_trained_part(record),
        versions=", ".join(f"{package} {v}" for package, v in record["versions"].items()),
        data=run.data(),
        counts=splitting.describe_splits(cells).to_dict("records"),
        known=known,
        leak=_leak(shared, known),
        metrics=[_row(metric.title, metrics["test"][key]) for key, metric in METRICS.items()],
        patients=words.sentence_of_patients(metrics),
        size=words.sentence_of_size(metrics["test"]),
        decided=words.sentence_of_calibration(record, metrics["test"]),
    )
    write_text(result.card_path, card + "\n")
    return result.card_path


def _trained_part(record: dict) -> str:
    if record.get("members"):
        return "the members', each on its own"
    alone = record["settings"]["unfreeze"] == "none"
    return "the new head only" if alone else f"from {record['cut']} upwards"


def _leak(shared: int, known: bool) -> str:
    if not known:
        return "Patients are unknown: whether one is in two splits cannot be said."
    if not shared:
        return "No patient is in two splits."
    whose = "patient stands" if shared == 1 else "patients stand"
    return f"{shared} {whose} in more than one split: expect lower figures on new patients."


def harmless(value: object) -> object:
    """Text of a user or of a foreign run, so that it is text wherever the card is shown: no HTML,
    no link, no further row or line.
    """
    return "".join(HARMLESS.get(each, each) for each in value) if isinstance(value, str) else value


def _row(title: str, entry: dict) -> dict[str, str]:
    def interval(low: str, high: str) -> str:
        return "" if entry.get(low) is None else f"{entry[low]:.3f} to {entry[high]:.3f}"

    value = "not defined" if entry["value"] is None else f"{entry['value']:.3f}"
    patients = interval("patients_low", "patients_high")
    return {"name": title, "value": value, "wilson": interval("low", "high"), "patients": patients}
