"""Several methods side by side: what each can do, and whether they can be told apart at all.

Everything is read from the files of a run. Networks stand beside the paper's figures and beside two trivial
baselines; each pair is compared on the same test cells.
"""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from . import baselines, checkpoints, evaluation, runs
from .errors import InputError, counted
from .manifest import OFFICIAL_CLASSES
from .methods import NAMES, notebook_of
from .methods import title as title_of

RESULTS = Path(__file__).resolve().parent.parent / "results"
PAPER_RESULTS = RESULTS / "paper.csv"
OTHER_TABLES = ("paper", "ablation", "collapse", "optimisers", "activations")  # in the same folder, with other columns
SIGNIFICANCE = 0.05
COMPARED = ("auroc", "weighted_f1")


def title(method):
    """Name of a network or baseline in figures and tables.

    Examples
    --------
    >>> title("area"), title("resnet50"), title("svm")
    ('cell area alone', 'ResNet50', 'support vector machine')
    """
    return baselines.TITLES.get(method) or title_of(method)


def compare(run_folder, names):
    """Gather the results of several architectures from a run's files.

    Parameters
    ----------
    run_folder : str or Path
    names : list of str

    Returns
    -------
    DataFrame
        One row per architecture: how it was trained, on which classes, training and validation figures at the chosen
        epoch, every test metric with its intervals (``low`` and ``high`` belong to test_accuracy, by Wilson;
        ``<metric>_low`` and ``<metric>_high`` are from the bootstrap of patients), seconds, parameters, size.

    Raises
    ------
    InputError
        If a result is missing, or belongs to other cells than the run's manifest.

    Examples
    --------
    >>> compare(run, ["mobilenet"])[["architecture", "test_correct", "test_cells", "chosen_epoch"]].values.tolist()
    [['mobilenet', 7, 10, 2]]
    """
    return pd.DataFrame([_row(Path(run_folder), name) for name in names])


def stages(run_folder, names):
    """Where the time of each method went.

    Parameters
    ----------
    run_folder : str or Path
    names : list of str

    Returns
    -------
    DataFrame
        Seconds; one row per method, one column per stage (decoding, frozen part, training ...), 0 where it has none.

    Examples
    --------
    >>> stages(run, ["mobilenet"]).to_dict("index")
    {'mobilenet': {'training': 2.0, 'frozen part': 1.0}}
    """
    seconds = {name: runs.read_json(Path(run_folder) / name / "parameters.json")["seconds"] for name in names}
    return pd.DataFrame(seconds).T.fillna(0)


def _row(run_folder, name):
    folder, notebook = run_folder / name, notebook_of(name)
    if not (folder / "metrics.json").is_file():
        raise InputError(f"{folder} holds no finished result of {title(name)}: run notebook {notebook} first.")
    record, metrics = (runs.read_json(folder / f) for f in ("parameters.json", "metrics.json"))
    if record["manifest_sha256"] != runs.sha256(run_folder / "manifest.csv"):
        raise InputError(f"{folder} was computed on other cells than {run_folder}/manifest.csv: run {notebook} again.")
    test, settings = metrics["test"]["accuracy"], record["settings"]
    return {
        "architecture": name,
        "weights": record.get("weights", {}).get("label"),
        "unfreeze": settings.get("unfreeze"),
        "batch_norm": settings.get("batch_norm"),
        "split": settings["split"],
        "seed": settings["seed"],
        "classes": ",".join(metrics["test"]["patients"]),
        **_chosen_epoch(folder, settings.get("patience", 0)),
        "test_correct": test["correct"],
        "test_cells": test["cells"],
        "test_accuracy": test["value"],
        "low": test["low"],
        "high": test["high"],
        **_metric_columns(metrics["test"]),
        "test_patients": sum(metrics["test"]["patients"].values()),
        "seconds": sum(record["seconds"].values()),
        "parameters": record.get("parameters", {}).get("total"),
        "trained": record.get("parameters", {}).get("trained"),
        "megabytes": record.get("model", {}).get("megabytes"),
        "notes": "; ".join(metrics["notes"]),
    }


def _chosen_epoch(folder, patience):
    """How the training of the network that was kept stood; nothing for methods that are not trained in epochs."""
    columns = {"accuracy": "train_accuracy", "val_accuracy": "valid_accuracy"}
    columns |= {"loss": "train_loss", "val_loss": "valid_loss"}
    if not (folder / "history.csv").is_file():
        return dict.fromkeys(["epochs", "chosen_epoch", *columns.values()])
    history = pd.read_csv(folder / "history.csv")
    chosen = checkpoints.chosen_epoch(history, patience)
    row = history.set_index("epoch").loc[chosen]
    return {"epochs": len(history), "chosen_epoch": chosen, **{ours: row[its] for its, ours in columns.items()}}


def _metric_columns(metrics):
    columns = {}
    for name in evaluation.METRICS:
        entry = metrics[name]
        columns[name] = entry["value"]
        columns[f"{name}_low"], columns[f"{name}_high"] = entry["patients_low"], entry["patients_high"]
    return columns


def notes_of(comparison):
    """Every note of a comparison once, in the order of first appearance.

    Parameters
    ----------
    comparison : DataFrame
        From `compare`.

    Returns
    -------
    list of str

    Examples
    --------
    >>> notes_of(pd.DataFrame({"notes": ["subset; random weights", "subset", None]}))
    ['subset', 'random weights']
    """
    return list(dict.fromkeys(note for notes in comparison["notes"].fillna("") for note in notes.split("; ") if note))


def is_official(compared):
    """Whether methods were tested on the classes of C-NMC 2019, so that the paper's figures can stand beside them.

    Parameters
    ----------
    compared : DataFrame
        From `compare`.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_official(pd.DataFrame({"classes": ["all,hem"]})), is_official(pd.DataFrame({"classes": ["sick,healthy"]}))
    (True, False)
    """
    return all(set(classes.split(",")) == set(OFFICIAL_CLASSES) for classes in compared["classes"])


def paper_results():
    """The paper's own table, with Wilson intervals computed from its counts.

    Returns
    -------
    DataFrame
        One row per architecture, columns as in `compare` where the paper has them.

    Examples
    --------
    >>> paper_results()[["architecture", "test_correct", "test_cells"]].values.tolist()
    [['mobilenet', 64, 70], ['vgg16', 65, 70], ['resnet50', 36, 70]]
    """
    table = pd.read_csv(PAPER_RESULTS)
    intervals = [evaluation.proportion(row.test_correct, row.test_cells) for row in table.itertuples()]
    return table.assign(
        test_accuracy=[i["value"] for i in intervals],
        low=[i["low"] for i in intervals],
        high=[i["high"] for i in intervals],
    )


def paper_rows(compared):
    """The paper's results of the methods that are compared; none where the classes are others than the paper's.

    Parameters
    ----------
    compared : DataFrame
        From `compare`.

    Returns
    -------
    DataFrame
        As from `paper_results`.

    Examples
    --------
    >>> compared = pd.DataFrame({"architecture": ["mobilenet", "svm"], "classes": "all,hem"})
    >>> paper_rows(compared)["architecture"].tolist()
    ['mobilenet']
    """
    table = paper_results()
    return table[table["architecture"].isin(compared["architecture"]) & is_official(compared)]


def beside_paper(comparison):
    """The paper's table and ours, one under the other for each architecture; ours alone for other classes.

    Parameters
    ----------
    comparison : DataFrame
        From `compare`.

    Returns
    -------
    DataFrame
        Rows indexed by architecture and source (paper, this run).

    Examples
    --------
    >>> beside_paper(compare(run, ["mobilenet"]))["right"].to_dict()
    {('mobilenet', 'paper'): '64 of 70', ('mobilenet', 'this run'): '7 of 10'}
    """
    columns = ["train_accuracy", "valid_accuracy", "train_loss", "valid_loss", "test_accuracy", "low", "high", "right"]
    tables = {"paper": paper_rows(comparison), "this run": comparison}
    both = pd.concat({source: table for source, table in tables.items() if len(table)}, names=["source"])
    both["right"] = both["test_correct"].astype(str) + " of " + both["test_cells"].astype(str)
    order = {name: k for k, name in enumerate(comparison["architecture"])}
    both = both.reset_index("source").sort_values(["architecture", "source"], key=lambda s: s.replace(order))
    return both.set_index(["architecture", "source"])[columns]


def sentence(row):
    """One row of a comparison in words.

    Parameters
    ----------
    row : Series
        Of `compare`.

    Returns
    -------
    str

    Examples
    --------
    >>> sentence(compare(run, ["mobilenet"]).iloc[0])
    'MobileNet: 7 of 10 test cells right, 70.0% (95 % interval 39.7% to 89.2%)'
    """
    return (
        f"{title(row['architecture'])}: {row['test_correct']} of {row['test_cells']} test cells right, "
        f"{row['test_accuracy']:.1%} (95 % interval {row['low']:.1%} to {row['high']:.1%})"
    )


def predictions_of(run_folder, names):
    """Test predictions of several architectures and of the baselines.

    Parameters
    ----------
    run_folder : str or Path
    names : list of str
        Architectures.

    Returns
    -------
    dict of str to DataFrame

    Raises
    ------
    InputError
        If a file is missing.

    Examples
    --------
    >>> {name: len(table) for name, table in predictions_of(run, ["mobilenet"]).items()}
    {'mobilenet': 10, 'majority': 10, 'area': 10}
    """
    run_folder = Path(run_folder)
    paths = {name: run_folder / name / "predictions.csv" for name in names}
    paths |= {name: run_folder / baselines.FOLDER / f"{name}.csv" for name in baselines.METHODS}
    found = {}
    for name, path in paths.items():
        if not path.is_file():
            notebook = "1_data_split" if name in baselines.METHODS else notebook_of(name)
            raise InputError(f"{path} does not exist: run notebook {notebook} first.")
        found[name] = _test_rows(path)
    return found


def kept_results():
    """Files of the results that the project keeps, as ``tools/results.py`` writes them.

    Returns
    -------
    list of Path

    Examples
    --------
    >>> kept_results()[0].name
    'classical_patient.csv'
    """
    paths = sorted(RESULTS.glob("*.csv"))
    return [path for path in paths if path.stem not in OTHER_TABLES and not path.stem.endswith("_summary")]


def measured():
    """What the project has measured on real cells so far.

    Returns
    -------
    DataFrame
        One row per recipe (title), network or baseline, split and seed, with metrics, intervals, versions and command.

    Examples
    --------
    >>> table = measured()
    >>> table[table["architecture"] == "svm"][["split", "auroc"]].round(2).values.tolist()
    [['fold_0:fold_1', 0.89], ['fold_1:fold_0', 0.89]]
    """
    return pd.concat([pd.read_csv(path) for path in kept_results()], ignore_index=True)


def summarise(run_folders):
    """Several runs, of other splits or seeds, as one: mean, spread, and metrics over all their test cells.

    Parameters
    ----------
    run_folders : list of str or Path
        Finished runs.

    Returns
    -------
    DataFrame
        One row per architecture: runs, cells, patients; for each metric the mean over the runs (``<metric>_mean``),
        their standard deviation (``<metric>_sd``), and the value over the test cells of all runs together
        (``<metric>``) with its interval from the bootstrap of patients (``<metric>_low``, ``<metric>_high``).

    Raises
    ------
    InputError
        If a folder holds no finished result.

    Examples
    --------
    >>> summarise([run, run])[["architecture", "runs", "cells", "accuracy_mean"]].values.tolist()
    [['mobilenet', 2, 20, 0.7]]
    """
    return pd.DataFrame([_summary(name, tables) for name, tables in tested(run_folders).items()])


def finished_in(run_folder):
    """Methods whose results lie in a run folder, in the order of `methods.NAMES`.

    Parameters
    ----------
    run_folder : str or Path

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        If there is none.

    Examples
    --------
    >>> finished_in(run)
    ['mobilenet']
    """
    names = [name for name in NAMES if (Path(run_folder) / name / "metrics.json").is_file()]
    if not names:
        raise InputError(f"{run_folder} holds no finished result: give folders of finished runs.")
    return names


def tested(run_folders):
    """Test predictions of several runs.

    Parameters
    ----------
    run_folders : list of str or Path

    Returns
    -------
    dict of str to list of DataFrame
        For each network the test cells of each run.

    Raises
    ------
    InputError
        If a folder holds no finished result.

    Examples
    --------
    >>> {name: len(tables) for name, tables in tested([run, run]).items()}
    {'mobilenet': 2}
    """
    found = {}
    for folder in map(Path, run_folders):
        for name in finished_in(folder):
            found.setdefault(name, []).append(_test_rows(folder / name / "predictions.csv"))
    return found


def _summary(name, tables):
    each = [evaluation.measure(table, resamples=0) for table in tables]
    together = pd.concat(tables, ignore_index=True)
    row = {
        "architecture": name,
        "runs": len(tables),
        "cells": len(together),
        "patients": evaluation.patients_of(together).nunique(),
    }
    for metric in evaluation.METRICS:
        values = pd.Series([found[metric]["value"] for found in each], dtype=float)
        row[f"{metric}_mean"], row[f"{metric}_sd"] = values.mean(), values.std()
    return {**row, **_metric_columns(evaluation.measure(together))}


def _test_rows(path):
    table = pd.read_csv(path, dtype={"subject": str, "file": str, "label": str}, keep_default_na=False)
    return table[table["split"] == "test"]


def methods(predictions):
    """Metrics of networks and baselines on the same test cells.

    Parameters
    ----------
    predictions : dict of str to DataFrame
        From `predictions_of`.

    Returns
    -------
    DataFrame
        One row per method: method, every metric with ``<metric>_low`` and ``<metric>_high`` from the bootstrap of
        patients, and beats_area: whether its AUROC lies above the cell area's, with the whole interval of the
        difference above 0 (empty for the baselines themselves, and where there is no interval).

    Examples
    --------
    >>> table = methods(predictions_of(run, ["mobilenet"]))
    >>> table[["method", "accuracy"]].values.tolist()
    [['mobilenet', 0.7], ['majority', 0.6], ['area', 0.6]]
    """
    area = evaluation.bootstrap(predictions["area"])["auroc"]
    rows = []
    for name, table in predictions.items():
        ahead = (evaluation.bootstrap(table)["auroc"] - area).quantile((1 - evaluation.CONFIDENCE) / 2)
        beats = None if name in baselines.METHODS or np.isnan(ahead) else bool(ahead > 0)
        rows.append({"method": name, **_metric_columns(evaluation.measure(table)), "beats_area": beats})
    return pd.DataFrame(rows)


def pairs(predictions):
    """Compare every two methods on the same test cells.

    Parameters
    ----------
    predictions : dict of str to DataFrame
        Test predictions of the same cells.

    Returns
    -------
    DataFrame
        One row per pair: first, second, cells, patients; only_first and only_second (cells that one alone gets
        right) with mcnemar_p (McNemar 1947, exact); for AUROC and weighted F1 the difference, first less second, with
        the interval and the two-sided p of a paired bootstrap that resamples patients. All p are corrected for the
        number of pairs (Holm 1979); ``differ`` says whether both McNemar's test and the bootstrap of weighted F1 are
        below .05.

    Raises
    ------
    InputError
        If two methods were tested on different cells.

    Examples
    --------
    >>> table = pairs(predictions_of(run, ["mobilenet"]))
    >>> table[["first", "second", "only_first", "only_second", "mcnemar_p"]].values.tolist()[0]
    ['mobilenet', 'majority', 2, 1, 1.0]
    """
    drawn = {name: evaluation.bootstrap(table) for name, table in predictions.items()}
    rows = [_pair(first, second, predictions, drawn) for first, second in combinations(predictions, 2)]
    table = pd.DataFrame(rows)
    for column in ["mcnemar_p", *(f"{metric}_p" for metric in COMPARED)] if len(table) else []:
        known = table[column].notna()  # AUROC has no p where the test has one class only
        table.loc[known, column] = multipletests(table.loc[known, column], method="holm")[1] if known.any() else None
    if len(table):
        table["differ"] = (table["mcnemar_p"] < SIGNIFICANCE) & (table["weighted_f1_p"] < SIGNIFICANCE)
    return table


def _pair(first, second, predictions, drawn):
    one, two = predictions[first], predictions[second]
    if one["file"].tolist() != two["file"].tolist():
        raise InputError(f"{title(first)} and {title(second)} were tested on different cells: run both again.")
    right = [table["label"].to_numpy() == evaluation.predicted_labels(table).to_numpy() for table in (one, two)]
    only = [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
    row = {
        "first": first, "second": second, "cells": len(one), "patients": evaluation.patients_of(one).nunique(),
        "only_first": only[0], "only_second": only[1],
        "mcnemar_p": mcnemar([[0, only[0]], [only[1], 0]], exact=True).pvalue,
    }  # fmt: skip
    return row | _differences(one, two, drawn[first], drawn[second])


def differences(one, two):
    """How much one method is ahead of another on the same test cells.

    Parameters
    ----------
    one, two : DataFrame
        Test predictions of the same cells.

    Returns
    -------
    dict of str to float
        For AUROC and weighted F1 the difference, first less second (``<metric>``), with the interval
        (``<metric>_low``, ``<metric>_high``) and the two-sided p (``<metric>_p``) of a paired bootstrap of patients.

    Examples
    --------
    >>> test = predictions[predictions["split"] == "test"]
    >>> perfect = test.assign(p_all=test["label"].eq("all") * 1.0, p_hem=test["label"].eq("hem") * 1.0)
    >>> round(float(differences(perfect, test)["auroc"]), 2)
    0.42
    """
    return _differences(one, two, evaluation.bootstrap(one), evaluation.bootstrap(two))


def _differences(one, two, drawn_one, drawn_two):
    values = [evaluation.measure(table, resamples=0) for table in (one, two)]
    found = {}
    for metric in COMPARED:
        resampled = (drawn_one[metric] - drawn_two[metric]).to_numpy()
        found |= _difference(metric, values[0][metric]["value"], values[1][metric]["value"], resampled)
    return found


def _difference(metric, one, two, resampled):
    value = np.nan if one is None else one - two
    if np.isnan(resampled).all():
        return {metric: value, **dict.fromkeys([f"{metric}_low", f"{metric}_high", f"{metric}_p"], np.nan)}
    low, high = np.nanquantile(resampled, [(1 - evaluation.CONFIDENCE) / 2, (1 + evaluation.CONFIDENCE) / 2])
    # Never 0: with n resamples nothing below 1 / (n + 1) can be shown (Davison & Hinkley 1997, section 4.2.3).
    beyond = min((resampled <= 0).sum(), (resampled >= 0).sum()) + 1
    p = min(1.0, 2 * beyond / (len(resampled) + 1))
    return {metric: value, f"{metric}_low": low, f"{metric}_high": high, f"{metric}_p": p}


def in_words(row, metric, form=".3f"):
    """A metric, or a difference of it, with its interval.

    Parameters
    ----------
    row : Series or dict
        Of a table of this module.
    metric : str
    form : str
        How numbers are written.

    Returns
    -------
    str

    Examples
    --------
    >>> in_words({"auroc": 0.69, "auroc_low": 0.612, "auroc_high": 0.774}, "auroc", ".2f")
    '0.69 (0.61 to 0.77)'
    """
    return evaluation.in_words(*(row[f"{metric}{end}"] for end in ("", "_low", "_high")), form)


def verdict(row):
    """One pair in words.

    Parameters
    ----------
    row : Series
        Of `pairs`.

    Returns
    -------
    str

    Examples
    --------
    >>> row = {"first": "svm", "second": "knn", "cells": 70, "patients": 16, "only_first": 9, "only_second": 8}
    >>> row |= {"mcnemar_p": 1.0, "weighted_f1": 0.01, "weighted_f1_low": -0.05, "weighted_f1_high": 0.06}
    >>> verdict({**row, "weighted_f1_p": 0.8, "differ": False}).split(" (")[0]
    'support vector machine and k-nearest neighbours cannot be told apart on these 70 cells of 16 patients'
    """
    first, second = title(row["first"]), title(row["second"])
    where = f"on these {counted(row['cells'], 'cell')} of {counted(row['patients'], 'patient')}"
    evidence = (
        f"{row['only_first']} cells only the first gets right, {row['only_second']} only the second, p = "
        f"{row['mcnemar_p']:.2g}; difference of weighted F1 over resampled patients "
        f"{in_words(row, 'weighted_f1', '+.3f')}, p = {row['weighted_f1_p']:.2g}"
    )
    if not row["differ"]:
        return f"{first} and {second} cannot be told apart {where} ({evidence})"
    better, worse = (first, second) if row["weighted_f1"] > 0 else (second, first)
    return f"{better} is better than {worse} {where} ({evidence})"
