"""Write the repository's address into notebooks, badges, README, documentation and package.

python tools/publish.py owner/name
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ("notebooks/*.ipynb", "README.md", "docs/**/*.md", "mkdocs.yml", "pyproject.toml")
NAME = r"[\w.-]+/[\w.-]+"


def current():
    """The address that stands in the README's first badge."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.search(rf"colab\.research\.google\.com/github/({NAME})/blob", text)[1]


def rewrite(text, old, new):
    """Replace the address after ``REPOSITORY =``, in links, and as GitHub Pages have it."""
    text = re.sub(rf'(REPOSITORY = \\?"){NAME}', rf"\g<1>{new}", text)
    text = re.sub(
        rf"(github(?:\.com)?/|repo_name: ){re.escape(old)}(?![\w-])", rf"\g<1>{new}", text
    )
    pages = ["{}.github.io/{}".format(*name.split("/")) for name in (old, new)]
    return text.replace(*pages)


def main(arguments):
    """Rewrite all files; returns the exit status."""
    if len(arguments) != 1 or not re.fullmatch(NAME, arguments[0]):
        print(
            "error: give the repository as owner/name: make publish REPOSITORY=owner/name",
            file=sys.stderr,
        )
        return 1
    old = current()
    for path in sorted(path for pattern in FILES for path in ROOT.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        path.write_text(rewrite(text, old, arguments[0]), encoding="utf-8")
    print(f"notebooks, README and documentation now point to {arguments[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
