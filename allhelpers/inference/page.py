"""A page that shows a trained model new images: on this machine only, unless the user says so."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pandas as pd

from .. import RESEARCH_ONLY, plotting
from .._core.errors import InputError
from .._core.files import write_for_people
from ..data import manifest as manifests
from ..data.images import MOST_BYTES, SUFFIXES
from ..evaluation import suspects, words
from ..evaluation.metrics import metric_title
from ..networks import registry
from ..runs import Result, Run
from . import saved, similar, uploads

if TYPE_CHECKING:
    import gradio
    from matplotlib.figure import Figure

    from ..data.loading import Cells
    from ..networks.building import Network
    from .similar import ReferenceCells

HOST, PORT = "127.0.0.1", 7860
MOST_PORT = 65535
KEPT = 3600  # seconds after which uploaded images are deleted
MOST_IMAGES = 32  # at once
LOCAL = ("127.0.0.1", "localhost", "::1")
HELP = (
    "The second image shows where the evidence for the predicted class lies (Grad-CAM), not why. "
    "The others are the training cells whose features are most alike: neighbours of several "
    "classes are a reason to doubt, and so is *atypical*: the image is not like the cells "
    "that the network was trained on."
)

SUSPECTS_TAB = "Suspect labels"
MOST_SUSPECTS = 60  # in the page's table, the first 24 as images
SUSPECTS_HELP = (
    "Cells whose label may be wrong, the most suspect first. A confident mistake is a wrong "
    "network or a wrong label: look, and write into the column *mark* `x` (take what is "
    "suggested), the name of a class, or `out`. The corrected table is a new file for "
    "`--manifest`; the original is never touched."
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
    try:
        return _heading(result)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{result.folder} is not a finished run ({type(error).__name__} in parameters.json or "
            "metrics.json): give the folder of a trained network."
        ) from error


def _heading(result: Result) -> str:
    record = result.record()
    classes = " or ".join(map(manifests.class_title, record["classes"]))
    lines = [f"# {registry.title_of(record['architecture'])}: {classes}?", f"**{RESEARCH_ONLY}**"]
    if result.metrics_path.is_file():
        metrics = result.metrics()["test"]
        texts = []
        for name in ("accuracy", "auroc"):
            value, low, high = (
                metrics[name][end] for end in ("value", "patients_low", "patients_high")
            )
            texts.append(f"{metric_title(name)} {words.in_words(value, low, high, form='.2f')}")
        lines.append(
            f"On its {metrics['accuracy']['cells']:,} test cells: {', '.join(texts)} "
            "(95 %, patients resampled)."
        )
    return "\n\n".join(lines + [f"- {note}" for note in record["notes"]])


def build_page(
    network: Network,
    heading: str,
    known: ReferenceCells | None = None,
    *,
    suspected: Suspected | None = None,
) -> gradio.Blocks:
    """Make the page.

    Parameters
    ----------
    network : Network
    heading : str
        From `page_heading`.
    known : ReferenceCells, optional
        Training cells; without them no neighbours are shown.
    suspected : Suspected, optional
        Labels that may be wrong, for a tab of their own.

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
    folder = uploads.private_folder()
    # Nothing leaves the machine; read when gradio is imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    import gradio as gr

    def look(files: list[str] | None) -> tuple[pd.DataFrame, Figure, str]:
        try:
            table, figure = answer(network, files, known)
        except InputError as error:
            raise gr.Error(str(error)) from error
        path = Path(tempfile.mkdtemp(dir=folder)) / "new_cells.csv"
        write_for_people(path, table)
        return table, figure, str(path)

    title = "Cells before a trained network"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(KEPT, KEPT)) as page:
        gr.Markdown(heading)
        with gr.Tab("New images"):
            upload = gr.File(
                label=f"Images of single cells ({', '.join(SUFFIXES)})",
                file_count="multiple",
                file_types=list(SUFFIXES),
                type="filepath",
            )
            button = gr.Button("Classify", variant="primary")
            each = [f"{22 // len(network.classes)}%"] * len(network.classes)
            widths: list[str | int] = ["22%", "14%", *each, "12%", "30%"]
            table = gr.Dataframe(
                label="Probabilities", interactive=False, wrap=True, column_widths=widths
            )
            download = gr.DownloadButton("Download the table (CSV)")
            figure = gr.Plot(show_label=False)
            gr.Markdown(HELP)
            button.click(look, upload, [table, figure, download], api_name="classify")
        if suspected:
            _add_suspects(suspected, folder)
    return page


@dataclass(frozen=True)
class Suspected:
    """Labels of a run that may be wrong."""

    run_folder: Path
    table: pd.DataFrame  # from `suspects.find_suspects`
    cells: Cells  # whose images are shown

    def corrected(self, marked: pd.DataFrame, folder: Path) -> tuple[Path, str]:
        """Write a new table of cells, and say what has changed."""
        marked = marked.astype(object).fillna("").astype(str)
        marked = marked.assign(mark=marked["mark"].str.strip())
        path = Path(tempfile.mkdtemp(dir=folder)) / "corrected.csv"
        return path, suspects.write_corrected(self.run_folder, marked, path)


def _add_suspects(suspected: Suspected, folder: Path) -> None:
    """The tab of labels that may be wrong."""
    import gradio as gr

    def correct(marked: pd.DataFrame) -> tuple[str, str]:
        try:
            path, sentence = suspected.corrected(marked, folder)
        except InputError as error:
            raise gr.Error(str(error)) from error
        return str(path), f"{sentence}."

    columns = {"rank": 8, "file": 36, "label": 9, "suggested": 12, "score": 9, "why": 17, "mark": 9}
    with gr.Tab(SUSPECTS_TAB):
        gr.Markdown(SUSPECTS_HELP)
        gr.Plot(plotting.galleries.suspects(suspected.cells, suspected.table), show_label=False)
        shown = suspected.table[[*columns]].head(MOST_SUSPECTS)
        widths: list[str | int] = [f"{share}%" for share in columns.values()]
        table = gr.Dataframe(
            shown, label="Suspects", interactive=True, wrap=True, column_widths=widths
        )
        button = gr.Button("Write a corrected table", variant="primary")
        said = gr.Markdown()
        download = gr.DownloadButton("Download the corrected table (CSV)")
        button.click(correct, table, [download, said], api_name="correct")


def suspected_of(model: str | Path, cells: Cells) -> Suspected | None:
    """The suspects of the run that a model belongs to; nothing where there are none."""
    result = saved.result_of(model)
    run_folder = result.folder.parent
    if not result.predictions_path.is_file() or not Run(run_folder).manifest_path.is_file():
        return None
    table = suspects.find_suspects(run_folder, [result.name])
    return Suspected(run_folder, table, cells) if len(table) else None


def answer(
    network: Network, files: list[str] | None, known: ReferenceCells | None = None
) -> tuple[pd.DataFrame, Figure]:
    """The table and the figure for uploaded images."""
    if not files or len(files) > MOST_IMAGES:
        given = "no image" if not files else f"{len(files)} images"
        raise InputError(f"There is {given}: choose 1 to {MOST_IMAGES}.")
    try:
        explained = similar.explain(network, files, known)
    except InputError as error:
        raise InputError(_named(str(error), files)) from error
    probabilities = [f"p_{label}" for label in network.classes]
    whole = explained.table[["file", "predicted", *probabilities, "atypical", "note"]].copy()
    whole["predicted"] = whole["predicted"].map(manifests.class_title)
    whole[probabilities] = whole[probabilities].round(3)
    rejected = pd.DataFrame(explained.rejected.items(), columns=["file", "note"])
    whole = pd.concat([whole, rejected], ignore_index=True).astype(object).fillna("")
    for name in ("file", "note"):
        whole[name] = [_named(text, files) for text in whole[name]]
    titles = [f"p({manifests.class_title(label, short=True)})" for label in network.classes]
    whole = whole.set_axis(["image", "predicted", *titles, "atypical", "note"], axis=1)
    return whole, plotting.new_cells(explained, known)


def _named(text: str, files: list[str]) -> str:
    """Without the places where the server keeps uploads."""
    for folder in sorted({str(Path(file).parent) for file in files}, key=len, reverse=True):
        text = text.replace(f"{folder}{os.sep}", "")
    return text


def on_own_host(app: Callable) -> Callable:
    """A page elsewhere, whose name is made to mean this machine, could else read the answers."""

    async def answered(scope: MutableMapping[str, Any], receive: Callable, send: Callable) -> None:
        if scope["type"] not in ("http", "websocket") or _asks_for_us(scope["headers"]):
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            headers = [(b"content-type", b"text/plain")]
            said = b"This page answers on 127.0.0.1 only."
            await send({"type": "http.response.start", "status": 421, "headers": headers})
            await send({"type": "http.response.body", "body": said})

    return answered


def _asks_for_us(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    host = dict(headers).get(b"host", b"").decode("latin-1")
    try:
        return urlsplit(f"//{host}").hostname in LOCAL
    except ValueError:
        return False


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
        If the port is taken or cannot be one.

    Examples
    --------
    With gradio, in a notebook::

        launch_page(page)  # 'http://127.0.0.1:7860/'
    """
    import gradio as gr

    if not 0 < port <= MOST_PORT:
        raise InputError(f"Port {port} cannot be used: choose one from 1 to {MOST_PORT}.")
    if host not in LOCAL:
        logger.warning(
            "The page can be reached from other machines (%s), by anybody, without a password.",
            host,
        )
    try:
        app, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            max_file_size=MOST_BYTES,
            # Gradio's own fonts come from the network.
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        )
    except OSError as error:
        raise InputError(
            f"Port {port} on {host} cannot be used: choose another one (--port)."
        ) from error
    # In Colab the browser comes by a name of Google's, to its user alone.
    if host in LOCAL and "google.colab" not in sys.modules:
        app.middleware_stack = on_own_host(app.middleware_stack or app.build_middleware_stack())
    return address


def page_of(model: str | Path) -> gradio.Blocks:
    """The page of a trained model with all that its run knows: similar cells, suspect labels."""
    opened = saved.find(model)
    heading = page_heading(opened.path.parent)
    network, known, suspected = opened.network(), None, None
    try:
        cells = similar.cells_of(model)
        suspected = suspected_of(model, cells)
        known = similar.reference_cells(network, cells, opened.familiar())
    except InputError as error:
        logger.info("No similar training cells will be shown: %s", error)
    similar.warm_up(network)
    return build_page(network, heading, known, suspected=suspected)


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
    page = page_of(model)
    address = launch_page(page, host, port)
    logger.info("%s shows the page; Ctrl-C ends it. %s", address, RESEARCH_ONLY)
    try:
        while True:
            time.sleep(1)
    finally:
        page.close()
