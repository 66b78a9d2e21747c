"""A trained model as files: saved, loaded without running code from them, used on new pictures."""

import hashlib
import io
import json
import shutil
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from . import architectures, checkpoints, engines, evaluation, loading, networks, pretrained, runs, trunk
from .errors import InputError, listing
from .settings import PLACES, TrainingSettings, validate

FILE = "model.keras"
MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}  # of a file that Keras has saved
MOST_RATIO = 20  # weights can hardly be packed


def finish(network, folder, predictions, metrics, record):
    """Write what a finished training leaves; parameters.json comes last and makes it finished.

    Parameters
    ----------
    network : networks.Network
    folder : str or Path
        Of the architecture's results.
    predictions : DataFrame
    metrics : dict
        From `evaluation.evaluate`.
    record : dict
        From `describe`.

    Examples
    --------
    >>> finish(network, "mobilenet", predictions, metrics={}, record={})
    >>> sorted(path.name for path in Path("mobilenet").iterdir())
    ['metrics.json', 'model.keras', 'parameters.json', 'predictions.csv']
    """
    folder = Path(folder)
    runs.write_csv(folder / "predictions.csv", predictions)
    runs.write_json(folder / "metrics.json", metrics)
    with runs.atomic(folder / FILE) as partial:
        network.full.save(partial)
    model = {"file": FILE, "sha256": runs.sha256(folder / FILE), "megabytes": (folder / FILE).stat().st_size / 1e6}
    runs.write_json(folder / "parameters.json", {**record, "model": model})
    checkpoints.path_in(folder).unlink(missing_ok=True)


def reopen(network, folder, identity):
    """Load the weights of a training that has ended, if there is one.

    Parameters
    ----------
    network : networks.Network
        Gets the weights.
    folder : Path or None
        Of the architecture's results.
    identity : str
        Of the training, from `identify`.

    Returns
    -------
    DataFrame or None
        Its history; ``None`` where there is none.

    Examples
    --------
    >>> finish(network, "mobilenet", predictions, metrics={}, record={"training": "ab12"})
    >>> runs.write_csv("mobilenet/history.csv", pd.DataFrame({"epoch": [1, 2]}))
    >>> reopen(network, Path("mobilenet"), "ab12")["epoch"].tolist()
    mobilenet holds this very training: it is not repeated (overwrite = True repeats it).
    [1, 2]
    """
    record = folder and folder / "parameters.json"
    if not record or not record.is_file() or not (folder / FILE).is_file() or not (folder / "history.csv").is_file():
        return None
    recorded = runs.read_json(record)
    if recorded.get("training") != identity or recorded["model"]["sha256"] != runs.sha256(folder / FILE):
        return None
    network.full.load_weights(folder / FILE)
    print(f"{folder} holds this very training: it is not repeated (overwrite = True repeats it).", flush=True)
    return pd.read_csv(folder / "history.csv")


def claim(run_folder, name, settings):
    """Folder of an architecture's results, which must not hold those of other settings.

    Parameters
    ----------
    run_folder : str or Path
    name : str
        Of the architecture.
    settings : TrainingSettings
        With ``overwrite`` what lies there is removed.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If there are results of other settings, which are named.

    Examples
    --------
    >>> claim("runs/first", "mobilenet", training_settings).as_posix()
    'runs/first/mobilenet'
    """
    folder, wanted = runs.folder(run_folder, name), settings.deciding()
    record = folder / "parameters.json"
    earlier = runs.read_json(record)["settings"] if record.is_file() else checkpoints.settings_in(folder)
    earlier = {key: value for key, value in (earlier or wanted).items() if key not in PLACES}
    changed = sorted(key for key in {*earlier, *wanted} if earlier.get(key) != wanted.get(key))
    if changed and not settings.overwrite:
        raise InputError(
            f"{folder} holds a training with other settings ({listing(changed)}): choose another run_folder, or set "
            "overwrite = True to replace it."
        )
    if settings.overwrite:
        shutil.rmtree(folder)
    return runs.folder(run_folder, name)


def identify(network, cells):
    """Identify a training by everything that decides it, but for the machine and the versions of packages.

    Parameters
    ----------
    network : networks.Network
    cells : loading.Cells

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> len(identify(network, cells))
    64
    """
    sides = cells.table[["sha256", "split", "label"]].to_csv(index=False)
    weights = network.source and network.source.record()
    recipe = [network.architecture.name, weights, cells.key, sides, network.classes, network.settings.deciding()]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def describe(network, cells, notes, manifest_sha256, clock):
    """What parameters.json records of a training, but for the saved model.

    Parameters
    ----------
    network : networks.Network
    cells : loading.Cells
    notes : list of str
        What must be said beside every figure.
    manifest_sha256 : str
        Of the run's manifest.csv.
    clock : runs.Clock

    Returns
    -------
    dict

    Examples
    --------
    >>> recorded = describe(network, cells, ["synthetic cells"], "ab12", runs.Clock())
    >>> recorded["architecture"], recorded["cut"], recorded["parameters"]["trained"]
    ('mobilenet', 'pooled', 2050)
    """
    return {
        "architecture": network.architecture.name,
        "classes": network.classes,
        "notes": notes,
        "training": identify(network, cells),
        "settings": network.settings.model_dump(),
        "weights": network.source.record(),
        "cut": network.cut,
        "parameters": network.parameters(),
        "manifest_sha256": manifest_sha256,
        "device": networks.device(),
        "engine": "none: nothing is frozen" if network.cut == "pixels" else engines.choose(network.settings.engine),
        "versions": runs.versions(),
        "seconds": clock.seconds,
    }


def load(path):
    """Load a model of this project without running code from the file.

    The network is rebuilt from the recorded settings by the project's own code; of the file only the weights are
    read, after its SHA-256 has been compared with the run's record.

    Parameters
    ----------
    path : str or Path
        ``model.keras``, or the folder that holds it beside ``parameters.json``.

    Returns
    -------
    networks.Network

    Raises
    ------
    InputError
        If the file is not one that this project has written.

    Examples
    --------
    >>> recorded = describe(network, cells, ["synthetic cells"], "ab12", runs.Clock())
    >>> finish(network, "mobilenet", predictions, {}, recorded)
    >>> load("mobilenet").classes
    ('all', 'hem')
    """
    path = Path(path)
    path = path / "model.keras" if path.is_dir() else path
    record = path.parent / "parameters.json"
    if not path.is_file() or not record.is_file():
        raise InputError(f"{path} with parameters.json beside it does not exist: give a model.keras of a finished run.")
    try:
        recorded = runs.read_json(record)
        sha256, name, chosen = recorded["model"]["sha256"], recorded["architecture"], recorded["settings"]
        classes = tuple(map(str, recorded["classes"]))
    except (ValueError, KeyError, TypeError) as error:
        problem = f"{record} is not the record of a finished run: give a model.keras of a finished run."
        raise InputError(problem) from error
    if sha256 != runs.sha256(path):
        raise InputError(f"{path} is not the model that {record} records (SHA-256 differs): use an unchanged run.")
    _check_members(path)
    network = networks.build(architectures.get(name), validate(TrainingSettings, chosen), None, classes=classes)
    try:
        network.full.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f"{path} does not hold the weights of {name} ({error}): use an unchanged run.") from error
    return network


def _check_members(path):
    """A forged record fits a forged file; so the file must also look like one that this project writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            problem = _problem_of(archive.infolist(), path)
            if not problem:
                with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as stream:
                    pretrained.check_links(stream, path)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, zlib.error):
        problem = "it is no Keras file"
    if problem:
        raise InputError(f"{path} is refused ({problem}): give a model.keras of a finished run.")


def _problem_of(members, path):
    if len(members) != len(MEMBERS) or {member.filename for member in members} != MEMBERS:
        return "it holds something else than weights and their description"
    if sum(member.file_size for member in members) > MOST_RATIO * path.stat().st_size:
        return "it unpacks to far more than its size"
    return None


def probabilities(network, pixels):
    """Probabilities of some cells, averaged over orientations as in the network's settings.

    Parameters
    ----------
    network : networks.Network
    pixels : ndarray of shape (n, size, size, 3), uint8

    Returns
    -------
    ndarray of shape (n, classes)
        In the order of ``classes``.

    Examples
    --------
    >>> found = probabilities(network, cells.pixels[:3])
    >>> found.shape, found.sum(axis=1).round(3).tolist()
    ((3, 2), [1.0, 1.0, 1.0])
    """
    orientations = range(network.settings.average)
    return np.mean([networks.predict(network.full, trunk.orient(pixels, turn)) for turn in orientations], axis=0)


def classify(network, files):
    """Classify picture files, prepared and averaged over orientations as in the network's settings.

    Parameters
    ----------
    network : networks.Network
    files : list of Path

    Returns
    -------
    DataFrame
        Columns file, ``p_<class>`` of each class, predicted.

    Examples
    --------
    >>> from allhelpers import sources
    >>> files = sources.open_images(training_settings).members[:2]
    >>> list(classify(network, files))
    ['file', 'p_all', 'p_hem', 'predicted']
    """
    settings, found = network.settings, []
    for start in tqdm(range(0, len(files), networks.FORWARD_BATCH), desc="classifying", unit="batch"):
        batch = files[start : start + networks.FORWARD_BATCH]
        pixels = architectures.check_pixels(np.stack([loading.decode_file(path, settings) for path in batch]))
        found.append(probabilities(network, pixels))
    return table_of(network, files, np.concatenate(found))


def table_of(network, files, stated):
    """Probabilities as a table.

    Parameters
    ----------
    network : networks.Network
    files : list of str or Path
    stated : ndarray of shape (files, classes)
        From `probabilities`.

    Returns
    -------
    DataFrame
        Columns file, ``p_<class>`` of each class, predicted.

    Examples
    --------
    >>> table_of(network, ["1.bmp"], np.array([[0.8, 0.2]])).to_dict("records")
    [{'file': '1.bmp', 'p_all': 0.8, 'p_hem': 0.2, 'predicted': 'all'}]
    """
    table = pd.DataFrame(stated, columns=[f"p_{label}" for label in network.classes])
    table.insert(0, "file", [str(path) for path in files])
    return table.assign(predicted=evaluation.predicted_labels(table))
