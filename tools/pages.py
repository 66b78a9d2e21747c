"""Tables in Markdown, and the parts of pages that are made from kept figures."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def table(heads, rows):
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def rewrite(made, begin, end):
    """Replace what stands between two marks of each page by what its function makes, marks too."""
    for name, make in made.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        text = text.split(begin)[0] + make() + text.split(end)[1]
        (ROOT / name).write_text(text, encoding="utf-8")
