"""Make the pictures and the terminal's text of docs/tour.md from a finished run.

    python tools/tour.py RUN

Needs a Chromium, and pypdfium2 for the pages on paper. The report is photographed on a desk, in the
dark, on a phone and as it is printed; it fails where the report has more pages than it may.
"""

import argparse
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from allhelpers.running import cli

TOUR, ASSETS = ROOT / "docs" / "tour.md", ROOT / "docs" / "assets"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
DARK = ("--force-dark-mode", "--blink-settings=preferredColorScheme=0")
SIZES = {"desk": (1100, 900, ()), "dark": (1100, 900, DARK), "phone": (390, 844, ())}
MOST_PAGES, SHOWN_PAGES = 12, 4
BLOCK = "<!-- made by tools/tour.py: {} -->"


def chromium(*arguments):
    """Run a browser without a window."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    subprocess.run([browser, *FLAGS, *arguments], check=True, capture_output=True)


def photograph(page, scratch):
    """The report on each kind of screen."""
    for name, (width, height, more) in SIZES.items():
        shot = scratch / f"{name}.png"
        chromium(*more, f"--window-size={width},{height}", f"--screenshot={shot}", page)
        keep(Image.open(shot), f"tour_{name}")


def print_out(page, scratch):
    """The report on paper: how many pages, and the first of them side by side."""
    import pypdfium2

    chromium("--no-pdf-header-footer", f"--print-to-pdf={scratch / 'report.pdf'}", page)
    pages = pypdfium2.PdfDocument(scratch / "report.pdf")
    shown = [pages[number].render(scale=0.9).to_pil() for number in range(SHOWN_PAGES)]
    width, height = shown[0].size
    sheet = Image.new("RGB", (SHOWN_PAGES * (width + 6), height), "grey")
    for number, picture in enumerate(shown):
        sheet.paste(picture, (number * (width + 6), 0))
    keep(sheet, "tour_paper")
    return len(pages)


def keep(picture, name):
    """A small file in docs/assets."""
    picture.convert("RGB").save(ASSETS / f"{name}.webp", quality=80, method=6)


def terminal(*arguments):
    """What a command prints in a terminal of 80 columns."""
    os.environ["COLUMNS"] = "80"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        cli.main([str(argument) for argument in arguments])
    return out.getvalue().rstrip()


def write(blocks):
    """Put the terminal's text into the page."""
    text = TOUR.read_text(encoding="utf-8")
    for name, content in blocks.items():
        begin = re.escape(BLOCK.format(name))
        new = f"{BLOCK.format(name)}\n\n{content}\n\n<!-- end -->"
        text = re.sub(rf"{begin}.*?<!-- end -->", lambda _, new=new: new, text, flags=re.DOTALL)
    TOUR.write_text(text, encoding="utf-8")


def main():
    """Make all of it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run.absolute()
    page = (run / "report.html").as_uri()
    with tempfile.TemporaryDirectory() as scratch:
        photograph(page, Path(scratch))
        pages = print_out(page, Path(scratch))
    again = terminal("run", "--settings", run / "settings.yaml", "--output", run)
    shown = again.replace(str(run), "runs/sample")
    helped = re.sub(r"Usage: .*? \[", "Usage: allhelpers [", terminal("--help"))
    command = "allhelpers run --settings settings/sample.yaml --output runs/sample"
    write(
        {
            "help": f"```\n$ allhelpers --help\n{helped}\n```",
            "run": f"```\n$ {command}\n{shown}\n```",
            "pages": f"Printed, the report of this run has {pages} pages.",
        }
    )
    print(f"{TOUR}: {pages} pages on paper, at most {MOST_PAGES}")
    return int(pages > MOST_PAGES)


if __name__ == "__main__":
    sys.exit(main())
