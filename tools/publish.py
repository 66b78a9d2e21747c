"""Write the repository's address into every notebook, its badge, and the README.

python tools/publish.py owner/name
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def rewrite(text, repository):
    """Replace the address in a notebook's or README's text.

    Parameters
    ----------
    text : str
    repository : str
        ``"owner/name"``.

    Returns
    -------
    str
    """
    text = re.sub(r'(REPOSITORY = \\?")[^"\\]+', rf"\g<1>{repository}", text)
    return re.sub(
        r"(colab\.research\.google\.com/github/)[^/]+/[^/]+(/blob/)",
        rf"\g<1>{repository}\g<2>",
        text,
    )


def main(arguments):
    """Rewrite all files; returns the exit status."""
    if len(arguments) != 1 or not re.fullmatch(r"[\w.-]+/[\w.-]+", arguments[0]):
        print(
            "error: give the repository as owner/name: make publish REPOSITORY=owner/name",
            file=sys.stderr,
        )
        return 1
    for path in [*sorted(ROOT.glob("notebooks/*.ipynb")), ROOT / "README.md"]:
        path.write_text(rewrite(path.read_text(encoding="utf-8"), arguments[0]), encoding="utf-8")
    print(f"notebooks and README now point to {arguments[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
