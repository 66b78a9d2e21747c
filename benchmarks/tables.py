"""The tables of speed in docs/speed.md and the README, made from results/speed/."""

import pandas as pd

from allhelpers._core.files import read_json
from allhelpers.evaluation import words
from allhelpers.evaluation.published import RESULTS
from benchmarks import cells
from tools import pages

FOLDER = RESULTS / "speed"
BEGIN, END = "<!-- speed: made by python -m benchmarks -->", "<!-- end of speed -->"
RATIOS = {
    "times as fast as the paper's stack": "seconds_of_paper's stack",
    "as today's guide": "seconds_of_today's guide",
    "epoch, as today's guide": "epoch_of_today's guide",
}
COLUMNS = {  # of overhead.csv
    "cpu_s": "CPU (s)",
    "wall_s": "wall (s)",
    "cpu_s_before": "CPU before (s)",
    "wall_s_before": "wall before (s)",
}
PARTS = {"none": "head only", "default": "default part"}
ROWS = (("mobilenet", "none"), ("mobilenet", "default"), ("resnet50", "none"), ("vgg16", "none"))


def block():
    """All tables as they stand in docs/speed.md; a part that has not been measured has none."""
    kinds = {
        "stacks": stacks,
        "engines": engines,
        "loader": loader,
        "memory": memory,
        "growth": growth,
        "overhead": overhead,
    }
    kept = {kind: FOLDER / f"{kind}.csv" for kind in kinds}
    made = [kinds[kind](pd.read_csv(path)) for kind, path in kept.items() if path.is_file()]
    return "\n\n".join([BEGIN, machine(), *made, END])


def short():
    """The README's four rows."""
    table = pd.read_csv(FOLDER / "stacks.csv").set_index(["architecture", "part", "stack"])
    stacks = table.index.get_level_values("stack").unique()
    rows = []
    for name, part in ROWS:
        times = [duration(table.loc[(name, part, stack), "seconds"]) for stack in stacks]
        rows.append([words.method_title(name), PARTS[part], *times])
    return "\n\n".join([BEGIN, pages.table(("", "trained", *stacks), rows), END])


def machine():
    """What the figures were measured on."""
    found = read_json(FOLDER / "machine.json")
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        f"On {found['cores']} cores ({found['processor']}), {found['gpu'] or 'no GPU'}; {versions}."
    )


def stacks(table):
    """100 epochs side by side."""
    heads = ("", "trained", "who", "100 epochs", "cells/s", "memory", *RATIOS)
    rows = [
        [
            words.method_title(row["architecture"]),
            PARTS[row["part"]],
            row["stack"],
            duration(row["seconds"]),
            _figures(row["cells_per_second"]),
            f"{row['memory_gb']:.1f} GB",
            *(_figures(row.get(column)) for column in RATIOS.values()),
        ]
        for row in table.to_dict("records")
    ]
    return f"**100 epochs on {cells.PAPERS_CELLS:,} cells**\n\n{pages.table(heads, rows)}"


def engines(table):
    """Who computes the frozen part."""
    wide = table.pivot(index="engine", columns="architecture", values="cells_per_second")
    wide = wide.reindex(index=table["engine"].unique(), columns=table["architecture"].unique())
    heads = ("frozen part, cells per second", *map(words.method_title, wide.columns))
    return pages.table(heads, wide.map("{:.3g}".format).reset_index().to_numpy())


def loader(table):
    """From files to pixels."""
    row = table.iloc[0]
    return (
        f"Loader, from the disk cache: {row['median']:,.0f} cells per second (median of five; best "
        f"{row['best']:,.0f}); {row['cells']:,.0f} cells opened again in {row['again']:.2f} s."
    )


def memory(table):
    """A tail on features larger than what it may hold."""
    row = table.iloc[0]
    return (
        f"Memory: VGG16's default part trains on {row['cells']:,.0f} cells with "
        f"{row['features_gb']:.1f} GB of features and holds {row['memory_gb']:.2f} GB beside the "
        "pages of files."
    )


def growth(table):
    """Time and memory by the number of cells."""
    stages = ["decoding", "building", "frozen part", "training"]
    heads = (
        "head only, cold",
        "cells",
        *(f"{stage} (s)" for stage in stages),
        "whole process (s)",
        "memory",
    )
    table = pd.concat([table, _whole_runs()]).sort_values(["architecture", "cells"])
    rows = [
        [
            words.method_title(row["architecture"]),
            f"{row['cells']:,.0f}",
            *(f"{row[f'{stage}_s']:.1f}" for stage in stages),
            f"{row['seconds']:.0f}",
            f"{row['memory_gb']:.1f} GB",
        ]
        for row in table.to_dict("records")
    ]
    return pages.table(heads, rows)


def overhead(table):
    """Whole commands on synthetic cells, before and after the seconds beside the network went."""
    shown = table.filter(COLUMNS).map(lambda number: "" if pd.isna(number) else f"{number:.1f}")
    heads = ("whole process, its kernels too", *(COLUMNS[name] for name in shown))
    shown.insert(0, "what", table["what"])
    return pages.table(heads, shown.to_numpy())


def _whole_runs():
    """The stacks' own head-only runs on all cells, not scaled."""
    table = pd.read_csv(FOLDER / "stacks.csv")
    whole = table[(table["stack"] == "this project, cold") & (table["part"] == "none")]
    return whole.assign(seconds=whole["seconds"] * whole["cells"] / cells.PAPERS_CELLS)


def duration(seconds):
    """Seconds in the unit that suits them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _figures(number):
    """A number to two digits or to the nearest whole; nothing for one that is missing."""
    if number is None or pd.isna(number):
        return ""
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"


PAGES = {"docs/speed.md": block, "README.md": short}


def rewrite_pages():
    """Replace the tables of speed."""
    pages.rewrite(PAGES, BEGIN, END)
