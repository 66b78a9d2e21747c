"""A page that shows a trained model new images: on this machine only, unless the user says so."""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from .. import RESEARCH_ONLY, plotting
from .._core.errors import InputError
from ..data import manifest as manifests
from ..data.images import SUFFIXES
from ..evaluation import words
from ..evaluation.metrics import metric_title
from ..networks import registry
from ..runs import Result
from . import saved, similar

if TYPE_CHECKING:
    import gradio
    from matplotlib.figure import Figure

    from ..networks.building import Network
    from .similar import ReferenceCells

HOST, PORT = "127.0.0.1", 7860
KEPT = 3600  # seconds after which uploaded images are deleted
MOST_PICTURES = 32  # at once
LOCAL = ("127.0.0.1", "localhost", "::1")
# Gradio's own come from the network.
FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["monospace"]}
HELP = (
    "The second picture shows where the evidence for the predicted class lies (Grad-CAM), not why. "
    "The others are the training cells whose features are most alike: neighbours of several "
    "classes are a reason to doubt."
)

logger = logging.getLogger(__name__)


def page_heading(folder: str | Path) -> str:
    """What must be said above every result of a model.

    Parameters
    ----------
    folder : str or Path
        Of a finished architecture: parameters.json, and metrics.json if it was evaluated.

    Returns
    -------
    str
        Markdown.

    Examples
    --------
    >>> from allhelpers._core.files import write_json
    >>> write_json("net/parameters.json", {"architecture": "vgg16", "classes": ["all", "hem"],
    ...                                    "notes": ["synthetic cells"]})
    >>> for line in page_heading("net").splitlines()[::2]:
    ...     print(line)
    # VGG16: ALL (leukaemic) or HEM (normal)?
    **Research only, not for diagnosis.**
    - synthetic cells
    """
    result = Result(folder)
    record = result.record()
    classes = " or ".join(map(manifests.class_title, record["classes"]))
    lines = [f"# {registry.title_of(record['architecture'])}: {classes}?", f"**{RESEARCH_ONLY}**"]
    if result.metrics_path.is_file():
        metrics = result.metrics()["test"]
        lines.append(f"On its {metrics['accuracy']['cells']:,} test cells: {_measured(metrics)}.")
    return "\n\n".join(lines + [f"- {note}" for note in record["notes"]])


def _measured(metrics: dict[str, dict]) -> str:
    """Two metrics of the test, with their intervals over patients."""
    texts = []
    for name in ("accuracy", "auroc"):
        low, high = metrics[name]["patients_low"], metrics[name]["patients_high"]
        value = words.in_words(metrics[name]["value"], low, high, ".2f")
        texts.append(f"{metric_title(name)} {value}")
    return f"{', '.join(texts)} (95 %, patients resampled)"


def build_page(
    network: Network, heading: str, known: ReferenceCells | None = None
) -> gradio.Blocks:
    """Make the page.

    Parameters
    ----------
    network : Network
    heading : str
        From `page_heading`.
    known : ReferenceCells, optional
        Training cells; without them no neighbours are shown.

    Returns
    -------
    gradio.Blocks

    Raises
    ------
    InputError
        If gradio is not installed.

    Examples
    --------
    With gradio, for a model of a finished run::

        network = load("runs/sample/mobilenet")
        page = build_page(network, page_heading("runs/sample/mobilenet"))
    """
    if importlib.util.find_spec("gradio") is None:
        raise InputError("The page needs gradio: pip install -r requirements-page.txt.")
    # Nothing leaves the machine; read when gradio is imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr

    def look(files: list[str] | None) -> tuple[pd.DataFrame, Figure]:
        try:
            return answer(network, files, known)
        except InputError as error:
            raise gr.Error(str(error)) from error

    title = "Cells before a trained network"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(KEPT, KEPT)) as page:
        gr.Markdown(heading)
        upload = gr.File(
            label=f"Pictures of single cells ({', '.join(SUFFIXES)})",
            file_count="multiple",
            file_types=list(SUFFIXES),
            type="filepath",
        )
        button = gr.Button("Classify", variant="primary")
        table = gr.Dataframe(label="Probabilities", interactive=False)
        figure = gr.Plot(show_label=False)
        gr.Markdown(HELP)
        button.click(look, upload, [table, figure], api_name="classify")
    return page


def answer(
    network: Network, files: list[str] | None, known: ReferenceCells | None = None
) -> tuple[pd.DataFrame, Figure]:
    """The table and the figure for uploaded images."""
    if not files or len(files) > MOST_PICTURES:
        given = "no picture" if not files else f"{len(files)} pictures"
        raise InputError(f"There is {given}: choose 1 to {MOST_PICTURES}.")
    explained = similar.explain(network, [Path(file) for file in files], known)
    table = explained.table
    shown = {
        "picture": table["file"].map(lambda file: Path(file).name),
        "predicted": table["predicted"].map(manifests.class_title),
    }
    for label in network.classes:
        title = f"p({manifests.class_title(label, short=True)})"
        shown[title] = table[f"p_{label}"].astype(float).round(3)
    return pd.DataFrame(shown), plotting.new_cells(explained, known)


def launch_page(page: gradio.Blocks, host: str = HOST, port: int = PORT) -> str:
    """Show a page without waiting for its end, as a notebook needs it.

    Parameters
    ----------
    page : gradio.Blocks
        From `build_page`.
    host : str
        Address to listen on; the default can be reached from this machine only.
    port : int

    Returns
    -------
    str
        The page's address.

    Raises
    ------
    InputError
        If the port is taken.

    Examples
    --------
    With gradio, in a notebook::

        launch_page(page)  # 'http://127.0.0.1:7860/'
    """
    import gradio as gr

    if host not in LOCAL:
        logger.warning(
            "The page can be reached from other machines (%s), by anybody, without a password.",
            host,
        )
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            theme=gr.themes.Default(font=FONTS["font"], font_mono=FONTS["font_mono"]),
        )
    except OSError as error:
        raise InputError(
            f"Port {port} on {host} cannot be used: choose another one (--port)."
        ) from error
    return address


def serve(model: str | Path, host: str = HOST, port: int = PORT) -> None:
    """Serve a trained model until interrupted.

    Parameters
    ----------
    model : str or Path
        ``model.keras`` of a finished run, or its folder.
    host : str
    port : int

    Raises
    ------
    InputError
        If the model cannot be used, gradio is not installed, or the port is taken.

    Examples
    --------
    With gradio, until Ctrl-C is pressed::

        serve("runs/sample/mobilenet", port=8000)
    """
    network, folder = saved.load(model), saved.result_of(model).folder
    known = None
    try:
        known = similar.reference_cells(network, similar.cells_of(folder))
    except InputError as error:
        logger.info("No similar training cells will be shown: %s", error)
    address = launch_page(build_page(network, page_heading(folder), known), host, port)
    logger.info("%s shows the page; Ctrl-C ends it. %s", address, RESEARCH_ONLY)
    while True:
        time.sleep(1)
