"""Keep a finished run's figures as data: results/NAME.csv, and the README's tables made from all of them.

    python tools/results.py RUN NAME "TITLE" "COMMAND"    keep a run, then rewrite the README's tables
    python tools/results.py                               rewrite the README's tables only

Rows on random weights keep their times and sizes but claim no accuracy.
"""

import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
sys.path.insert(0, str(ROOT))

from allhelpers import architectures, comparison, runs  # noqa: E402

BEGIN, END = "<!-- results: made by tools/results.py -->", "<!-- end of results -->"
CLAIMS = [
    "train_accuracy",
    "valid_accuracy",
    "train_loss",
    "valid_loss",
    "test_correct",
    "test_accuracy",
    "low",
    "high",
]


def keep(run_folder, name, title, command):
    """Write results/NAME.csv from a run's comparison."""
    table = pd.read_csv(Path(run_folder) / "comparison.csv")
    record = [runs.read_json(Path(run_folder) / a / "parameters.json") for a in table["architecture"]]
    table.loc[table["weights"] == "random", CLAIMS] = None
    partial = table["weights"].str.contains("_neutral_")  # all but the last block: see the README
    table["weights"] = table["weights"].mask(partial, "ImageNet without the last block (" + table["weights"] + ")")
    table["device"] = [r["device"] for r in record]
    table["versions"] = [", ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in record]
    table.insert(0, "title", title)
    table["command"] = command
    runs.write_csv(RESULTS / f"{name}.csv", table)


def markdown(table):
    """One README table: the paper's figure and ours for each architecture."""
    paper = comparison.paper_results().set_index("architecture")
    lines = [f"**{table['title'].iloc[0]}** ({table['notes'].iloc[0].split('; ')[0]}).", ""]
    lines += [
        "| | weights | epochs | test accuracy | 95 % interval | paper | 95 % interval | minutes |",
        "|" + "---|" * 8,
    ]
    for row in table.itertuples():
        theirs = paper.loc[row.architecture]
        ours = "no accuracy claimed | " if pd.isna(row.test_accuracy) else (
            f"{row.test_accuracy:.1%} ({row.test_correct:.0f} of {row.test_cells}) | {row.low:.1%} to {row.high:.1%}"
        )  # fmt: skip
        lines.append(
            f"| {architectures.get(row.architecture).title} | {row.weights} | {row.epochs} | {ours} | "
            f"{theirs.test_accuracy:.1%} | {theirs.low:.1%} to {theirs.high:.1%} | {row.seconds / 60:.1f} |"
        )
    return "\n".join([*lines, "", "```", table["command"].iloc[0], "```"])


def rewrite_readme():
    """Replace the README's tables by those of all kept runs."""
    tables = [pd.read_csv(path) for path in sorted(RESULTS.glob("*.csv")) if path.name != "paper.csv"]
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    block = "\n\n".join(markdown(table) for table in tables)
    path.write_text(f"{before}{BEGIN}\n\n{block}\n\n{END}{after}", encoding="utf-8")


def main(arguments):
    """Keep a run if one is given; then rewrite the README."""
    if len(arguments) not in (0, 4):
        print('error: python tools/results.py [RUN NAME "TITLE" "COMMAND"]', file=sys.stderr)
        return 1
    if arguments:
        keep(*arguments)
    rewrite_readme()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
