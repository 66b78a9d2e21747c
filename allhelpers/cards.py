"""A model card beside each trained model: what it is, on which data, how good, and what it is not for.

After Mitchell et al. 2019, "Model cards for model reporting".
"""

from pathlib import Path

import jinja2
import pandas as pd

from . import RESEARCH_ONLY, architectures, evaluation, manifest, runs, splitting

TEMPLATE = Path(__file__).with_name("model_card.md.jinja")


def write(run_folder, name):
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
    >>> record = models.describe(network, cells, cells.notes, "", runs.Clock())
    >>> runs.write_json(Path(shutil.copytree(run, "first"), "mobilenet", "parameters.json"), {**record, "model": {}})
    >>> write("first", "mobilenet").read_text(encoding="utf-8").splitlines()[0]
    '# Model card: MobileNet for ALL (leukaemic), HEM (normal)'
    """
    run_folder = Path(run_folder)
    record, metrics = (runs.read_json(run_folder / name / f) for f in ("parameters.json", "metrics.json"))
    cells = pd.read_csv(run_folder / "manifest.csv", dtype=str, keep_default_na=False)
    settings = record["settings"]
    shared = splitting.shared_patients(cells)
    template = jinja2.Environment().from_string(TEMPLATE.read_text(encoding="utf-8"))
    card = template.render(
        title=architectures.get(name).title,
        classes=record["classes"],
        class_titles=[manifest.title(label) for label in record["classes"]],
        warning=RESEARCH_ONLY,
        notes=record["notes"],
        settings=settings,
        weights=record["weights"]["label"],
        trained_part="the new head only" if settings["unfreeze"] == "none" else f"from {record['cut']} upwards",
        parameters=record["parameters"],
        model=record["model"],
        versions=", ".join(f"{package} {version}" for package, version in record["versions"].items()),
        device=record["device"],
        data=runs.read_json(run_folder / "data.json"),
        counts=splitting.describe(cells).to_dict("records"),
        leak=f"{len(shared)} patients stand on more than one side: expect lower figures on new patients."
        if shared
        else "No patient stands on two sides.",
        metrics=[_row(metric, metrics["test"][metric]) for metric in evaluation.METRICS],
        patients=evaluation.sentence_of_patients(metrics),
    )
    path = run_folder / name / "model_card.md"
    runs.write_text(path, card + "\n")
    return path


def _row(metric, entry):
    def interval(low, high):
        return "" if entry.get(low) is None else f"{entry[low]:.3f} to {entry[high]:.3f}"

    return {
        "name": evaluation.title(metric),
        "value": "not defined" if entry["value"] is None else f"{entry['value']:.3f}",
        "wilson": interval("low", "high"),
        "patients": interval("patients_low", "patients_high"),
    }
