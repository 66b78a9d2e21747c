"""A model card beside each trained model: what it is, on which data, how good, and for what not.

After Mitchell et al. 2019, "Model cards for model reporting".
"""

from __future__ import annotations

import html
from pathlib import Path

import jinja2

from .. import RESEARCH_ONLY
from .._core.files import write_text
from ..data import splitting, tables
from ..data.manifest import class_title
from ..networks import registry
from ..runs import Run
from . import sentences, tabling

# What begins markup in Markdown, as HTML's numbers for it; a line ends where the template says.
HARMLESS = str.maketrans({"\n": " ", "\r": " "} | {each: f"&#{ord(each)};" for each in "[]|`"})
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
        versions=", ".join(f"{package} {v}" for package, v in record["versions"].items()),
        data=run.data(),
        counts=splitting.describe_splits(cells).to_dict("records"),
        known=known,
        shared=len(splitting.shared_patients(cells)),
        metrics=tabling.metrics(metrics, "patients").rows,
        patients=sentences.sentence_of_patients(metrics),
        size=sentences.sentence_of_size(metrics["test"]),
        decided=sentences.sentence_of_calibration(record, metrics["test"]),
    )
    write_text(result.card_path, card + "\n")
    return result.card_path


def harmless(value: object) -> object:
    """Text of a user or of a foreign run stays text: no HTML, no link, no further row or line."""
    if not isinstance(value, str):
        return value
    return html.escape(value, quote=False).translate(HARMLESS)
