"""``report.html``: one self-contained file that can be read without Python."""

import base64
import io
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from . import RESEARCH_ONLY, comparison, evaluation, manifest, methods, plotting, runs, splitting

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def write(run_folder, names):
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
    """
    run_folder = Path(run_folder)
    compared = comparison.compare(run_folder, names)
    cells = pd.read_csv(run_folder / "manifest.csv", dtype=str, keep_default_na=False)
    # autoescape: text from file names and settings cannot become markup
    template = jinja2.Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    data = runs.read_json(run_folder / "data.json")
    predictions = comparison.predictions_of(run_folder, names)
    table, pairs = comparison.methods(predictions), comparison.pairs(predictions)
    page = template.render(
        warning=RESEARCH_ONLY,
        notes=comparison.notes_of(compared),
        data=data,
        classes=[manifest.title(label) for label in data["classes"]],
        counts=_as_html(splitting.describe(cells)),
        shared_patients=splitting.shared_patients(cells),
        split_figure=_embed(plotting.cells_per_side(cells)),
        sentences=[comparison.sentence(row) for _, row in compared.iterrows()],
        table=_as_html(comparison.beside_paper(compared).reset_index()),
        accuracy_figure=_embed(plotting.accuracy_with_intervals(compared)),
        methods=_as_html(_short(table)),
        methods_figure=_embed(plotting.methods(table, compared)),
        verdicts=[comparison.verdict(row) for _, row in pairs.iterrows()],
        differences_figure=_embed(plotting.differences(pairs)),
        not_beating_area=[comparison.title(name) for name in table.loc[table["beats_area"].eq(False), "method"]],
        cost_figure=_embed(plotting.cost(compared, comparison.stages(run_folder, names))),
        sections=[_section(run_folder, name) for name in names],
        versions=runs.versions(),
    )
    path = run_folder / "report.html"
    runs.write_text(path, page)
    return path


def _short(compared):
    """The metrics that a reader looks for first, each with its interval in words."""
    table = pd.DataFrame({"method": compared["method"].map(comparison.title)})
    for metric in ("accuracy", "weighted_f1", "auroc", "brier_score", "patient_accuracy"):
        limits = compared[[metric, f"{metric}_low", f"{metric}_high"]].astype(float).to_numpy()
        table[evaluation.title(metric)] = [f"{v:.3f} ({low:.3f} to {high:.3f})" for v, low, high in limits]
    return table


def _section(run_folder, name):
    folder, title = run_folder / name, methods.title(name)
    record = runs.read_json(folder / "parameters.json")
    predictions = pd.read_csv(folder / "predictions.csv", dtype={"subject": str, "label": str})
    test = predictions[predictions["split"] == "test"]
    return {
        "title": title,
        "weights": record.get("weights", {}).get("label"),
        "chosen": record.get("chosen"),
        "settings": record["settings"],
        "seconds": record["seconds"],
        "device": record["device"],
        "metrics": _as_html(
            evaluation.table_of_metrics(runs.read_json(folder / "metrics.json")).rename_axis("metric").reset_index()
        ),
        "curves": _curves(folder / "history.csv", title),
        "confusion": _embed(plotting.confusion_matrix(test, f"{title}: test cells")),
        "ranking": _embed(plotting.ranking_curves(test, f"{title}: test cells")),
        "patients": _embed(plotting.patients(test, f"{title}: test cells")),
    }


def _curves(path, title):
    """Learning curves, of a method that is trained in epochs."""
    return _embed(plotting.learning_curves(pd.read_csv(path), title)) if path.is_file() else None


def _as_html(table):
    table = table.astype(object).where(table.notna(), "")  # else pandas writes <NA> for a missing whole number
    html = table.to_html(index=False, border=0, na_rep="", float_format=lambda value: f"{value:.3g}")
    return Markup(html)  # pandas has escaped the cells


def _embed(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
