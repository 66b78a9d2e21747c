"""Keep finished runs, or a sweep's variants, as results/NAME.csv; then rewrite tables and figures.

    python tools/results.py [NAME "TITLE" "COMMAND" RUN [RUN ...]]
    python tools/results.py --sweep NAME "TITLE" "COMMAND" FOLDER

One row per network (or baseline), split and seed. Rows on random weights keep their times and sizes
but claim nothing: they are "not measured".
"""

import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
sys.path.insert(0, str(ROOT))
from allhelpers import plotting
from allhelpers._core.files import write_csv
from allhelpers.evaluation import gathering, published, words
from allhelpers.evaluation.baselines import METHODS
from allhelpers.evaluation.definitions import METRICS, metric_title
from allhelpers.networks.registry import ARCHITECTURES
from allhelpers.runs import Run
from tools import pages

BEGIN, END = "<!-- results: made by tools/results.py -->", "<!-- end of results -->"
# Figures of the cross-validation by patient, in this order
CROSSED = ("weighted_f1", "auroc", "auroc_by_patient", "auroc_equal_size")
FINAL = ["train_accuracy", "val_accuracy", "train_loss", "val_loss"]
TESTED = ["test_correct", "test_accuracy", "low", "high"]


def keep(name, title, command, folders):
    """Write results/NAME.csv and, for several runs, results/NAME_summary.csv."""
    table = pd.concat([rows_of(Path(folder)) for folder in folders], ignore_index=True)
    table.insert(0, "title", title)
    write_csv(RESULTS / f"{name}.csv", table.assign(command=command))
    if len(folders) > 1:
        summary = gathering.summarize(folders, baselines=False)
        write_csv(RESULTS / f"{name}_summary.csv", summary.assign(title=title))


def rows_of(folder):
    """Networks of a run, then the baselines on the same cells."""
    names = gathering.finished_in(folder)
    table = gathering.compare(folder, names)
    records = [Run(folder).result(name).record() for name in names]
    versions = [record["versions"].items() for record in records]
    table["device"] = [record["device"] for record in records]
    table["versions"] = [", ".join(f"{name} {v}" for name, v in items) for items in versions]
    methods, _ = gathering.compare_methods(folder, names)
    methods = methods.rename(columns={"method": "architecture"})
    table = table.merge(methods[["architecture", "beats_area"]])
    same = table.loc[0, ["split", "seed", "test_cells", "test_patients"]]
    trivial = methods[methods["architecture"].isin(METHODS)].assign(**same)
    metrics = [f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")]
    table.loc[table["weights"] == "random", FINAL + TESTED + metrics + ["beats_area"]] = None
    # all but the last block: see docs/results.md
    partial = table["weights"].str.contains("_neutral_", na=False)
    table["weights"] = table["weights"].mask(partial, "ImageNet without the last block")
    complete = table["weights"].str.fullmatch(r"\w+_imagenet_notop\.h5", na=False)
    table["weights"] = table["weights"].mask(complete, "ImageNet")
    return pd.concat([table, trivial], ignore_index=True)


def value(row, metric):
    """A metric with its interval over resampled patients."""
    number, low, high = (row[f"{metric}{end}"] for end in ("", "_low", "_high"))
    return "" if pd.isna(number) else f"{number:.3f} ({low:.3f} to {high:.3f})"


def text(value, form=""):
    """A value in words, or nothing."""
    return "" if pd.isna(value) else format(value, form)


COLUMNS = ("", "weights", "split", "epochs", "accuracy (Wilson)")
COLUMNS += ("weighted F1 (patients)", "AUROC (patients)", "min")


def markdown(table, summary):
    """One table, with the command that made it."""
    by_image = (table["split"] == "paper").all()
    columns = [*COLUMNS, "paper"] if by_image else COLUMNS
    rows = [method_row(row)[: len(columns)] for row in table.to_dict("records")]
    together = [
        f"{words.method_title(row['architecture'])}, {row['runs']} runs: weighted F1 "
        f"{row['weighted_f1_mean']:.3f} on average (SD {row['weighted_f1_sd']:.3f}), all test "
        f"cells together {value(row, 'weighted_f1')}; AUROC {row['auroc_mean']:.3f} on "
        f"average, together {value(row, 'auroc')}; {row['patients']} patients."
        for row in ([] if summary is None else summary.to_dict("records"))
    ]
    title = f"{table['title'].iloc[0]}; tested by {'image' if by_image else 'patient'}"
    return made(title, pages.table(columns, rows), *together, command=table["command"].iloc[0])


def made(title, *blocks, command):
    """Blocks below their title, and above the command that makes them."""
    return "\n\n".join([f"**{title}**", *blocks, f"```\n{command}\n```"])


RECIPES = {
    "by image": ("paper", "paper"),
    "by patient": ("recipe", ",".join(f"patient:{part}/5" for part in range(1, 6))),
}


def missing():
    """Networks that no kept table has measured, with the commands that would."""
    measured = published.measured()
    measured = measured[measured["weighted_f1"].notna()]
    done = {
        "by image": set(measured.loc[measured["split"] == "paper", "architecture"]),
        "by patient": set(pd.read_csv(RESULTS / "cross_validation.csv")["architecture"]),
    }
    lacking = {kind: [name for name in ARCHITECTURES if name not in done[kind]] for kind in done}
    names = [name for name in ARCHITECTURES if any(name in lacks for lacks in lacking.values())]
    rows = []
    for name in names:
        states = ["not measured" if name in lacking[kind] else "above" for kind in RECIPES]
        rows.append([words.method_title(name), *states])
    commands = [
        f"python -m allhelpers run --settings settings/{recipe}.yaml --architectures "
        f"{','.join(lacking[kind])} --images FOLDER --split {split}"
        for kind, (recipe, split) in RECIPES.items()
    ]
    table = pages.table(["", *(f"tested {kind}" for kind in RECIPES)], rows)
    return made("Not measured, for want of weights", table, command="\n".join(commands))


def ablation():
    """What each part of the recipe brings, from results/ablation.csv; empty where there is none."""
    path = RESULTS / "ablation.csv"
    if not path.is_file():
        return ""
    table = pd.read_csv(path)
    shown = ("weighted_f1", "auroc_by_patient", "auroc_equal_size")
    heads = ["", *map(metric_title, shown)]
    heads += [f"gain in {metric_title(metric)}" for metric in shown[1:]]
    rows = []
    for number, row in enumerate(table.to_dict("records")):
        gains = [value(row, f"{metric}_gain") if number else "" for metric in shown[1:]]
        rows.append([row["variant"], *(value(row, metric) for metric in shown), *gains])
    title, command = table.loc[0, ["title", "command"]]
    return made(title, pages.table(heads, rows), command=command)


def method_row(row):
    """Cells of one method's or baseline's row."""
    name, trained = row["architecture"], row["architecture"] not in METHODS
    title, accuracy = words.method_title(name), "not measured"
    if pd.notna(row["weighted_f1"]):
        accuracy = f"{row['accuracy']:.1%}"
        if trained:
            accuracy = (
                f"{row['test_correct']:.0f} of {row['test_cells']:.0f}, {accuracy} "
                f"({row['low']:.1%} to {row['high']:.1%})"
            )
            title += "" if row["beats_area"] in (True, "True") else " *(no better than the area)*"
    paper = published.paper_results().set_index("architecture")["test_accuracy"]
    return [
        title,
        text(row["weights"]),
        row["split"],
        text(row["epochs"], ".0f"),
        accuracy,
        value(row, "weighted_f1"),
        value(row, "auroc"),
        f"{row['seconds'] / 60:.1f}" if trained else "",
        f"{paper[name]:.1%}" if name in paper else "",
    ]


def crossed():
    """Every patient tested once, by what has not met them: one row per method."""
    table = pd.read_csv(RESULTS / "cross_validation.csv")
    rows = [
        [words.method_title(row["architecture"]), *(value(row, metric) for metric in CROSSED)]
        for row in table.to_dict("records")
    ]
    return pages.table(("", *map(metric_title, CROSSED)), rows)


def short():
    """The README's table."""
    return between(crossed())


def crossed_with_command():
    """The same for docs/results.md."""
    facts = pd.read_csv(RESULTS / "cross_validation.csv").iloc[0]
    title = (
        f"Cross-validation by patient, settings/recipe.yaml: {facts['cells']:,} cells of "
        f"{facts['patients']} patients, each tested once in {facts['runs']} parts"
    )
    return made(title, crossed(), command=facts["command"])


def patients():
    """How far a figure moves with so few patients: docs/own_cells.md."""
    table = pd.read_csv(RESULTS / "patients.csv")
    heads = ("patients of each class", "AUROC lay between", "width", "interval that was claimed")
    rows = [
        (
            f"{row['patients']:.0f}",
            f"{row['low']:.2f} and {row['high']:.2f}",
            f"{row['high'] - row['low']:.2f}",
            f"{row['claimed']:.2f}",
        )
        for row in table.to_dict("records")
    ]
    return between(pages.table(heads, rows))


def planted():
    """What is found of labels that were turned round: docs/reading_results.md."""
    table = pd.read_csv(RESULTS / "suspects.csv")
    heads = ("labels turned round", "among the first 20", "among the first 50", "of all suspects")
    turned = table["planted"].astype(str) + " of " + table["cells"].map("{:,}".format)
    rows = table[["first_20", "first_50", "suspects"]].astype(str)
    rows.insert(0, "turned", turned + ", draw " + table["seed"].astype(str))
    return between(pages.table(heads, rows.to_numpy()))


def block():
    """All tables as they stand in docs/results.md."""
    tables = [crossed_with_command()]
    for path in published.kept_results():
        summary = path.with_name(f"{path.stem}_summary.csv")
        tables.append(
            markdown(pd.read_csv(path), pd.read_csv(summary) if summary.is_file() else None)
        )
    return between(*filter(None, [*tables, missing(), ablation()]))


def between(*blocks):
    """Blocks between the marks by which a page is rewritten."""
    return "\n\n".join([BEGIN, *blocks, END])


PAGES = {
    "docs/results.md": block,
    "README.md": short,
    "docs/own_cells.md": patients,
    "docs/reading_results.md": planted,
}


def rewrite_pages():
    """Replace the tables by those of all kept runs, and draw what the size and the split bring."""
    pages.rewrite(PAGES, BEGIN, END)
    table = pd.read_csv(RESULTS / "cross_validation.csv")
    table = table.rename(columns={"architecture": "method"})
    figures = {"size_gap": plotting.comparison.size_gap(table[table["method"] != "majority"])}
    measured = published.measured()
    if measured["split"].nunique() > 1:
        figures["split_gap"] = plotting.comparison.split_gap(measured)
    for name, figure in figures.items():
        figure.savefig(ROOT / "docs" / "assets" / f"{name}.png", dpi=110)


def main(arguments):
    """Keep runs if some are given; then rewrite the pages."""
    of_sweep = arguments[:1] == ["--sweep"]
    given = arguments[1:] if of_sweep else arguments
    if given and len(given) < 4:
        print(
            'error: python tools/results.py [[--sweep] NAME "TITLE" "COMMAND" FOLDER ...]',
            file=sys.stderr,
        )
        return 1
    if of_sweep:
        name, title, command, folder = given
        table = pd.read_csv(Path(folder) / "variants.csv").assign(title=title, command=command)
        write_csv(RESULTS / f"{name}.csv", table)
    elif given:
        keep(*given[:3], given[3:])
    rewrite_pages()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
