"""The tables of speed in docs/speed.md and the README, made from results/speed/."""

import pandas as pd

from allhelpers._core.files import read_json
from allhelpers.evaluation import words
from allhelpers.evaluation.published import RESULTS
from benchmarks import cells
from benchmarks.measuring import ROOT

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
PAGES = {"docs/speed.md": lambda: block(), "README.md": lambda: short()}
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
    made = [
        make(pd.read_csv(FOLDER / f"{kind}.csv")) for kind, make in kinds.items() if _is_kept(kind)
    ]
    return "\n\n".join([BEGIN, machine(), *made, END])


def short():
    """The README's four rows."""
    table = pd.read_csv(FOLDER / "stacks.csv").set_index(["architecture", "part", "stack"])
    stacks = table.index.get_level_values("stack").unique()
    lines = [_line(("", "trained", *stacks)), _line(["---"] * (2 + len(stacks)))]
    for name, part in ROWS:
        times = [duration(table.loc[(name, part, stack), "seconds"]) for stack in stacks]
        lines.append(_line([words.method_title(name), PARTS[part], *times]))
    return "\n\n".join([BEGIN, "\n".join(lines), END])


def _is_kept(kind):
    return (FOLDER / f"{kind}.csv").is_file()


def machine():
    """What the figures were measured on."""
    found = read_json(FOLDER / "machine.json")
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        f"On {found['cores']} cores ({found['processor']}), {found['gpu'] or 'no GPU'}; {versions}."
    )


def stacks(table):
    """100 epochs side by side."""
    lines = [f"**100 epochs on {cells.PAPERS_CELLS:,} cells**", ""]
    heads = ("", "trained", "who", "100 epochs", "cells/s", "memory", *RATIOS)
    lines += [_line(heads), _line(["---"] * len(heads))]
    for row in table.to_dict("records"):
        ratios = [_figures(row.get(column)) for column in RATIOS.values()]
        texts = [
            words.method_title(row["architecture"]),
            PARTS[row["part"]],
            row["stack"],
            duration(row["seconds"]),
        ]
        lines.append(
            _line(
                [*texts, _figures(row["cells_per_second"]), f"{row['memory_gb']:.1f} GB", *ratios]
            )
        )
    return "\n".join(lines)


def engines(table):
    """Who computes the frozen part."""
    wide = table.pivot(index="engine", columns="architecture", values="cells_per_second")
    wide = wide.reindex(index=table["engine"].unique(), columns=table["architecture"].unique())
    heads = ("frozen part, cells per second", *map(words.method_title, wide.columns))
    lines = [_line(heads), _line(["---"] * len(heads))]
    return "\n".join(
        lines + [_line([name, *(f"{value:.3g}" for value in row)]) for name, row in wide.iterrows()]
    )


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
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row in (
        pd.concat([table, _whole_runs()]).sort_values(["architecture", "cells"]).to_dict("records")
    ):
        seconds = [f"{row[f'{stage}_s']:.1f}" for stage in stages] + [f"{row['seconds']:.0f}"]
        texts = [words.method_title(row["architecture"]), f"{row['cells']:,.0f}", *seconds]
        lines.append(_line([*texts, f"{row['memory_gb']:.1f} GB"]))
    return "\n".join(lines)


def overhead(table):
    """Whole commands on synthetic cells, before and after the seconds beside the network went."""
    columns = [name for name in COLUMNS if name in table]
    heads = ("whole process, its kernels too", *(COLUMNS[name] for name in columns))
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row in table.to_dict("records"):
        lines.append(_line([row["what"], *(_seconds(row[name]) for name in columns)]))
    return "\n".join(lines)


def _seconds(number):
    return "" if pd.isna(number) else f"{number:.1f}"


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


def _line(texts):
    return "| " + " | ".join(texts) + " |"


def rewrite_pages():
    """Replace the tables of speed."""
    for name, made in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        text = text.split(BEGIN)[0] + made() + text.split(END)[1]
        (ROOT / name).write_text(text, encoding="utf-8")
