"""A page on which pictures are put before a trained model: on this machine only, unless the user says otherwise."""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import RESEARCH_ONLY, plotting
from .._core.errors import InputError
from .._core.files import read_json
from ..data import manifest as manifests
from ..data.images import SUFFIXES
from ..evaluation import words
from ..evaluation.metrics import metric_title
from ..networks import registry
from . import saved, similar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..networks.building import Network
    from .similar import ReferenceCells

HOST, PORT = "127.0.0.1", 7860

KEPT = 3600  # seconds after which uploaded pictures are deleted

MOST_PICTURES = 32  # at once

LOCAL = ("127.0.0.1", "localhost", "::1")

FONTS = {
    "font": ["system-ui", "sans-serif"],
    "font_mono": ["monospace"],
}  # gradio's own come from the network


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
    >>> recorded = {"architecture": "mobilenet", "classes": ["all", "hem"], "notes": ["synthetic cells"]}
    >>> write_json("mobilenet/parameters.json", recorded)
    >>> page_heading("mobilenet").splitlines()[::2]
    ['# MobileNet: ALL (leukaemic) or HEM (normal)?', '**Research only, not for diagnosis.**', '- synthetic cells']
    """
    folder = Path(folder)
    recorded = read_json(folder / "parameters.json")
    lines = [
        f"# {registry.get(recorded['architecture']).title}: {' or '.join(map(manifests.class_title, recorded['classes']))}?"
    ]
    lines.append(f"**{RESEARCH_ONLY}**")
    if (folder / "metrics.json").is_file():
        metrics = read_json(folder / "metrics.json")["test"]
        lines.append(f"On its {metrics['accuracy']['cells']:,} test cells: {_measured(metrics)}.")
    return "\n\n".join(lines + [f"- {note}" for note in recorded["notes"]])


def _measured(metrics: dict) -> Any:
    """Two metrics of the test, with their intervals over patients."""
    rows = [(metric_title(name), metrics[name]) for name in ("accuracy", "auroc")]
    texts = [
        words.in_words(row["value"], row["patients_low"], row["patients_high"], ".2f")
        for _, row in rows
    ]
    named = [f"{name} {text}" for (name, _), text in zip(rows, texts, strict=True)]
    return f"{', '.join(named)} (95 %, patients resampled)"


def build_page(network: Network, said: str, known: ReferenceCells | None = None) -> Any:
    """Make the page.

    Parameters
    ----------
    network : networks.Network
    said : str
        From `heading`.
    known : new_cells.Known, optional
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

        network = models.load("runs/sample/mobilenet")
        page = build(network, heading("runs/sample/mobilenet"))
    """
    if importlib.util.find_spec("gradio") is None:
        raise InputError("The page needs gradio: pip install -r requirements-page.txt.")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = (
        "False"  # nothing leaves the machine; read when gradio is imported
    )
    import gradio as gr

    def look(files: Any) -> Any:
        try:
            return answer(network, files, known)
        except InputError as error:
            raise gr.Error(str(error)) from error

    with gr.Blocks(
        title="Cells before a trained network", analytics_enabled=False, delete_cache=(KEPT, KEPT)
    ) as page:
        gr.Markdown(said)
        upload = gr.File(
            label=f"Pictures of single cells ({', '.join(SUFFIXES)})",
            file_count="multiple",
            file_types=list(SUFFIXES),
            type="filepath",
        )
        button = gr.Button("Classify", variant="primary")
        table = gr.Dataframe(label="Probabilities", interactive=False)
        figure = gr.Plot(show_label=False)
        gr.Markdown(
            "The second picture shows where the evidence for the predicted class lies (Grad-CAM), not why. The others "
            "are the training cells whose features are most alike: neighbours of several classes are a reason to doubt."
        )
        button.click(look, upload, [table, figure], api_name="classify")
    return page


def answer(
    network: Network, files: list[str], known: ReferenceCells | None = None
) -> tuple[pd.DataFrame, Figure]:
    """The table and the figure for some uploaded pictures."""
    if not files or len(files) > MOST_PICTURES:
        given = "no picture" if not files else f"{len(files)} pictures"
        raise InputError(f"There is {given}: choose 1 to {MOST_PICTURES}.")
    seen = similar.explain(network, [Path(file) for file in files], known)
    stated = seen.table.filter(regex="^p_").astype(float).round(3)
    shares = {
        f"p({manifests.class_title(label, short=True)})": stated[f"p_{label}"]
        for label in network.classes
    }
    names = seen.table["file"].map(lambda file: Path(file).name)
    predicted = seen.table["predicted"].map(manifests.class_title)
    return pd.DataFrame({"picture": names, "predicted": predicted, **shares}), plotting.new_cells(
        seen, known
    )


def launch_page(page: Any, host: str = HOST, port: int = PORT) -> str:
    """Show a page without waiting for its end, as a notebook needs it.

    Parameters
    ----------
    page : gradio.Blocks
        From `build`.
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

        launch(page)  # 'http://127.0.0.1:7860/'
    """
    import gradio as gr

    if host not in LOCAL:
        print(
            f"The page can be reached from other machines ({host}), by anybody, without a password.",
            flush=True,
        )
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            theme=gr.themes.Default(**FONTS),
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
    network, folder = saved.load(model), Path(model)
    folder = folder if folder.is_dir() else folder.parent
    try:
        known = similar.reference_cells(network, similar.cells_of(folder))
    except InputError as error:
        print(f"No similar training cells will be shown: {error}", flush=True)
        known = None
    address = launch_page(build_page(network, page_heading(folder), known), host, port)
    print(f"{address} shows the page; Ctrl-C ends it. {RESEARCH_ONLY}", flush=True)
    while True:
        time.sleep(1)
