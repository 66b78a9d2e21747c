"""Check a run's report and the page of `serve` in headless Chromium, and photograph them.

python tools/screenshots.py RUN MODEL --images FOLDER

The screenshots go to docs/assets. Fails if a page writes an error to the console, asks for anything
outside this machine, or does not show a picture.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from allhelpers._core.errors import InputError
from allhelpers.data import sources
from allhelpers.inference import page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOCAL = ("file:", "data:", "blob:", "http://127.0.0.1", "ws://127.0.0.1")
WIDTH, HEIGHT = 1100, 1400  # pixels
PORT = 7861
NOT_SHOWN = """[...document.images].filter(i => !i.complete || !i.naturalWidth)
    .map(i => i.alt || i.src.slice(0, 80))"""


@contextlib.contextmanager
def opened(address):
    """Open an address as a playwright page; what is wrong with it afterwards is an error."""
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        wrong = []
        tab.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        tab.on(
            "console",
            lambda line: wrong.append(f"console: {line.text}") if line.type == "error" else None,
        )
        tab.on(
            "request",
            lambda request: (
                request.url.startswith(LOCAL) or wrong.append(f"asked for {request.url}")
            ),
        )
        tab.goto(address)
        tab.wait_for_load_state("load")
        yield tab
        wrong += [f"not shown: {alt}" for alt in tab.evaluate(NOT_SHOWN)]
        browser.close()
    if wrong:
        raise InputError(f"{address}: {'; '.join(wrong)}.")


def report(run, target=None):
    """Check a report, as a file without a network; returns how many images it shows."""
    with opened((run / "report.html").absolute().as_uri()) as tab:
        if target:
            tab.screenshot(path=target)
        return tab.evaluate("document.images.length")


def three_images(images, folder):
    """One cell, one image that is no cell, and one file that is damaged."""
    cell = sources.find_images([images])[0]
    pixels = cv2.imread(str(cell))
    stripes = np.indices(pixels.shape[:2]).sum(axis=0)[..., np.newaxis] // 20 % 2 * 255
    cv2.imwrite(str(folder / "no_cell.bmp"), np.broadcast_to(stripes, pixels.shape).astype("uint8"))
    (folder / "damaged.bmp").write_bytes(cell.read_bytes()[:100_000])
    return [str(cell), str(folder / "no_cell.bmp"), str(folder / "damaged.bmp")]


def served(model, images, output):
    """Check both tabs of the page of `serve`, and take their screenshots."""
    address = page.launch_page(page.page_of(model), port=PORT)
    with tempfile.TemporaryDirectory() as scratch, opened(address) as tab:
        tab.set_input_files("input[type=file]", three_images(images, Path(scratch)))
        tab.get_by_role("button", name="Classify").click()
        tab.wait_for_selector("[data-testid=matplotlib] img", timeout=120_000)
        tab.wait_for_timeout(1000)  # until it has been laid out
        tab.screenshot(path=output / "page.png", full_page=True)
        suspects = tab.get_by_role("tab", name=page.SUSPECTS_TAB)
        if suspects.count():
            suspects.click()
            tab.wait_for_timeout(1000)
            tab.screenshot(path=output / "page_suspects.png", full_page=True)


def main():
    """Check and take both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("model", type=Path, help="folder of a network in it")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "assets")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    print(f"report: {report(options.run, options.output / 'report.png')} images, all shown")
    served(options.model, options.images, options.output)
    print(f"taken: {options.output}/report.png, page.png and page_suspects.png")


if __name__ == "__main__":
    main()
