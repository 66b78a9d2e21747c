"""One evaluator for every notebook: predictions in, metrics with their intervals out.

Everything here is computed from a table of predictions (``predictions.csv``), so that a reader can do it again.

Two kinds of interval stand side by side. Wilson's takes the cells as independent; the bootstrap resamples patients with
all their cells, because cells of one patient resemble each other. The second is the honest one for new patients.

With two classes, sensitivity, specificity, AUROC, average precision and calibration are about the positive class, which
comes first; with more, each class is set against all others, and the mean over the classes is given.
"""

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from . import RESEARCH_ONLY
from .manifest import title as title_of_class

CONFIDENCE = 0.95
RESAMPLES = 1000
BOOTSTRAP_SEED = 0  # one seed for all, so that two methods are resampled alike and can be compared pairwise
CALIBRATION_BINS = 10

# Metrics in the order of tables. The first three are proportions and have Wilson's interval as well.
PROPORTIONS = ("accuracy", "sensitivity", "specificity")
METRICS = (
    *PROPORTIONS, "balanced_accuracy", "weighted_f1", "auroc", "average_precision", "brier_score",
    "calibration_error", "patient_accuracy",
)  # fmt: skip
TITLES = {
    "auroc": "AUROC",
    "weighted_f1": "weighted F1",
    "brier_score": "Brier score",
    "calibration_error": "expected calibration error",
    "patient_accuracy": "mean accuracy per patient",
}


def title(metric):
    """Name of a metric in figures and tables.

    Examples
    --------
    >>> title("auroc"), title("balanced_accuracy")
    ('AUROC', 'balanced accuracy')
    """
    return TITLES.get(metric, metric.replace("_", " "))


def tabulate(cells, rows, probabilities):
    """Put probabilities beside the cells that they belong to.

    Parameters
    ----------
    cells : loading.Cells
    rows : ndarray of int
        Row numbers in ``cells``.
    probabilities : array of shape (len(rows), classes)

    Returns
    -------
    DataFrame
        Columns file, subject, split, label, and ``p_<class>`` for each class, the positive one first.

    Examples
    --------
    >>> found = tabulate(cells, [0, 1], [[0.7, 0.3], [0.2, 0.8]])
    >>> list(found)
    ['file', 'subject', 'split', 'label', 'p_all', 'p_hem']
    >>> found["p_all"].tolist()
    [0.7, 0.2]
    """
    table = cells.table.iloc[rows][["file", "subject", "split", "label"]].reset_index(drop=True)
    stated = np.asarray(probabilities, float).round(6).T
    return table.assign(**{f"p_{label}": values for label, values in zip(cells.classes, stated, strict=True)})


def classes_of(predictions):
    """Classes of a table of predictions, in the order of its columns: the positive one first.

    Parameters
    ----------
    predictions : DataFrame

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> classes_of(pd.DataFrame({"file": ["a"], "p_sick": [0.7], "p_healthy": [0.3]}))
    ('sick', 'healthy')
    """
    return tuple(column.removeprefix("p_") for column in predictions if column.startswith("p_"))


def scored(classes):
    """The classes that each are set against all others: the positive one of two, every one of more.

    Parameters
    ----------
    classes : tuple of str

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> scored(("sick", "healthy")), scored(("blast", "granulocyte", "lymphocyte"))
    (('sick',), ('blast', 'granulocyte', 'lymphocyte'))
    """
    return classes[:1] if len(classes) == 2 else classes


def stated(predictions):
    """Probabilities as an array.

    Parameters
    ----------
    predictions : DataFrame

    Returns
    -------
    ndarray of shape (cells, classes)

    Examples
    --------
    >>> stated(pd.DataFrame({"file": ["1.bmp"], "p_sick": [0.7], "p_healthy": [0.3]})).tolist()
    [[0.7, 0.3]]
    """
    return predictions[[f"p_{label}" for label in classes_of(predictions)]].to_numpy(float)


def stated_for_truth(predictions):
    """Probability that was stated for the true class of each cell.

    Parameters
    ----------
    predictions : DataFrame

    Returns
    -------
    ndarray of shape (cells,)

    Examples
    --------
    >>> cells = pd.DataFrame({"label": ["sick", "healthy"], "p_sick": [0.7, 0.6], "p_healthy": [0.3, 0.4]})
    >>> stated_for_truth(cells).tolist()
    [0.7, 0.4]
    """
    columns = predictions["label"].map(list(classes_of(predictions)).index).to_numpy(int)
    return stated(predictions)[np.arange(len(predictions)), columns]


def predicted_labels(predictions):
    """Class of each cell: the most probable one, of equals the first.

    Parameters
    ----------
    predictions : DataFrame

    Returns
    -------
    Series of str

    Examples
    --------
    >>> predicted_labels(pd.DataFrame({"p_sick": [0.7, 0.5, 0.1], "p_healthy": [0.3, 0.5, 0.9]})).tolist()
    ['sick', 'sick', 'healthy']
    """
    classes = np.array(classes_of(predictions), dtype=object)
    return pd.Series(classes[stated(predictions).argmax(axis=1)], index=predictions.index, dtype=object)


def confusion(predictions):
    """Confusion matrix.

    Parameters
    ----------
    predictions : DataFrame

    Returns
    -------
    DataFrame of shape (classes, classes)
        Rows: true class; columns: predicted class.

    Examples
    --------
    >>> test = predictions[predictions["split"] == "test"]
    >>> confusion(test).loc["all"].to_dict()
    {'all': 5, 'hem': 1}
    """
    classes = list(classes_of(predictions))
    matrix = sk.confusion_matrix(predictions["label"], predicted_labels(predictions), labels=classes)
    return pd.DataFrame(matrix, index=classes, columns=classes)


def proportion(correct, cells):
    """A proportion with its 95 % interval by Wilson (1927), which keeps its coverage near 0 and 1.

    Parameters
    ----------
    correct, cells : int

    Returns
    -------
    dict
        value, low, high, correct, cells. Without cells there are no values.

    Examples
    --------
    >>> {name: round(value, 2) for name, value in proportion(7, 10).items()}
    {'value': 0.7, 'low': 0.4, 'high': 0.89, 'correct': 7, 'cells': 10}
    """
    counts = {"correct": int(correct), "cells": int(cells)}
    if not cells:
        return {"value": None, "low": None, "high": None, **counts}
    low, high = proportion_confint(correct, cells, alpha=1 - CONFIDENCE, method="wilson")
    return {"value": correct / cells, "low": low, "high": high, **counts}


def patients_of(predictions):
    """What is resampled: the patient of each cell, or the cell itself where no patient is known.

    Parameters
    ----------
    predictions : DataFrame

    Returns
    -------
    Series of str

    Examples
    --------
    >>> patients_of(pd.DataFrame({"file": ["1.bmp", "2.bmp"], "subject": ["7", ""]})).tolist()
    ['7', '2.bmp']
    """
    subject = predictions["subject"].fillna("").astype(str)
    return subject.where(subject != "", predictions["file"].astype(str))


def per_patient(predictions):
    """Cells and accuracy of each patient, as the organisers of C-NMC 2019 asked for.

    Parameters
    ----------
    predictions : DataFrame

    Returns
    -------
    DataFrame
        Columns subject, label, cells, correct, accuracy; worst first within each class. A patient with cells of two
        classes has two rows.

    Examples
    --------
    >>> per_patient(predictions[:10])[["subject", "label", "cells", "correct"]].values.tolist()
    [['2', 'all', 3, 2], ['1', 'all', 3, 3], ['4', 'hem', 2, 0], ['3', 'hem', 2, 2]]
    """
    right = predictions["label"] == predicted_labels(predictions)
    table = predictions.assign(subject=patients_of(predictions), correct=right)
    table = table.groupby(["label", "subject"])["correct"].agg(cells="size", correct="sum").reset_index()
    table = table.assign(accuracy=table["correct"] / table["cells"])
    return table.sort_values(["label", "accuracy"])[["subject", "label", "cells", "correct", "accuracy"]]


def calibration(predictions, label):
    """Stated probability of a class against its observed frequency, in bins of equal width.

    Parameters
    ----------
    predictions : DataFrame
    label : str

    Returns
    -------
    DataFrame
        One row per bin that holds cells: cells, stated (mean probability), observed (share of the class).

    Examples
    --------
    >>> calibration(predictions, "all").loc[9].round(2).to_dict()
    {'cells': 3.0, 'stated': 0.93, 'observed': 0.67}
    """
    table = pd.DataFrame({"stated": predictions[f"p_{label}"], "observed": predictions["label"] == label})
    bins = table.groupby(_bins(table["stated"].to_numpy()))
    return bins.agg(cells=("stated", "size"), stated=("stated", "mean"), observed=("observed", "mean"))


def _bins(probabilities):
    return np.minimum((probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)


class _Patients:
    """Sums over the cells of each patient, from which most metrics follow for any weights of the patients."""

    def __init__(self, predictions):
        units = patients_of(predictions)
        self.names, self.unit = np.unique(units, return_inverse=True)
        classes, self.stated = classes_of(predictions), stated(predictions)
        self.count, self.scored = len(classes), len(scored(classes))
        self.classes = predictions["label"].map(classes.index).to_numpy(int)
        self.per_class = units.groupby(predictions["label"]).nunique()
        self.truth = np.eye(self.count, dtype=bool)[self.classes]
        called = self.stated.argmax(axis=1)
        self.confusion = self._sum(np.eye(self.count**2)[self.classes * self.count + called])
        errors = self.stated - self.truth
        self.squares = self._sum((errors**2).sum(axis=1) / 2)  # with two classes: the square of either error
        in_bin = np.eye(CALIBRATION_BINS)[_bins(self.stated)]
        self.gaps = [self._sum(in_bin[:, k] * errors[:, k, np.newaxis]) for k in range(self.scored)]

    def _sum(self, per_cell):
        per_cell = per_cell.reshape(len(self.unit), -1).astype(float)
        sums = np.zeros((len(self.names), per_cell.shape[1]))
        np.add.at(sums, self.unit, per_cell)
        return sums

    def draws(self, resamples):
        """How often each patient is drawn in each resample; patients of each class are drawn among themselves.

        Returns
        -------
        ndarray of shape (resamples, patients)
        """
        random = np.random.default_rng(BOOTSTRAP_SEED)
        stratum = np.zeros(len(self.names), int)
        np.bitwise_or.at(stratum, self.unit, 1 << self.classes)
        drawn = np.zeros((resamples, len(self.names)))
        for kind in np.unique(stratum):
            members = np.flatnonzero(stratum == kind)
            drawn[:, members] = random.multinomial(len(members), np.full(len(members), 1 / len(members)), resamples)
        return drawn

    def metrics(self, weights):
        """All metrics for each row of weights.

        Parameters
        ----------
        weights : ndarray of shape (n, patients)

        Returns
        -------
        DataFrame of shape (n, metrics)
            NaN where a metric is not defined, as AUROC is without cells of both classes.
        """
        matrix = (weights @ self.confusion).reshape(-1, self.count, self.count)
        cells, right = matrix.sum(axis=(1, 2)), np.diagonal(matrix, axis1=1, axis2=2)
        support, called = matrix.sum(axis=2), matrix.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = right / support
            f1 = np.where(support + called > 0, 2 * right / (support + called), 0)
            others = cells[:, np.newaxis] - support
            specificity = (others - called + right) / others
            accuracy_of_patient = self.confusion[:, :: self.count + 1].sum(axis=1) / self.confusion.sum(axis=1)
            found = {
                "accuracy": right.sum(axis=1) / cells,
                "sensitivity": recall[:, : self.scored].mean(axis=1),
                "specificity": specificity[:, : self.scored].mean(axis=1),
                "balanced_accuracy": recall.mean(axis=1),
                "weighted_f1": (support * f1).sum(axis=1) / cells,
                "brier_score": (weights @ self.squares)[:, 0] / cells,
                "calibration_error": sum(np.abs(weights @ gaps).sum(axis=1) for gaps in self.gaps)
                / cells
                / self.scored,
                "patient_accuracy": weights @ accuracy_of_patient / weights.sum(axis=1),
            }
        rankings = [self._ranking(weights, self.stated[:, k], self.truth[:, k]) for k in range(self.scored)]
        auroc, average_precision = np.mean(rankings, axis=0)
        return pd.DataFrame({**found, "auroc": auroc, "average_precision": average_precision})[list(METRICS)]

    def _ranking(self, weights, probabilities, truth):
        """AUROC and average precision of one class for each row of weights, as scikit-learn defines them.

        Written out because scikit-learn takes one vector of weights per call: a thousand resamples in one go are
        about fifty times quicker. Ties count as one step of the curve.
        """
        order = np.argsort(-probabilities, kind="stable")
        last_of_tie = np.append(np.flatnonzero(np.diff(probabilities[order])), len(order) - 1)
        results = []
        for some in np.array_split(weights, -(-len(weights) // 100)):  # 100 at a time, for the sake of memory
            per_cell = some[:, self.unit[order]]
            true, false = (np.cumsum(per_cell * side[order], axis=1)[:, last_of_tie] for side in (truth, ~truth))
            steps = [np.diff(curve, axis=1, prepend=0) for curve in (true, false)]
            with np.errstate(invalid="ignore", divide="ignore"):
                area = (steps[1] * (true - steps[0] / 2)).sum(axis=1) / (true[:, -1] * false[:, -1])
                precision = np.where(steps[0] > 0, true / (true + false), 0)
                mean_precision = (steps[0] * precision).sum(axis=1) / true[:, -1]
            results.append([area, np.where(np.isnan(area), np.nan, mean_precision)])
        return np.concatenate(results, axis=1)


def bootstrap(predictions, resamples=RESAMPLES):
    """Metrics on resampled patients.

    Patients are drawn with replacement, each with all its cells, among the patients of its class, so that every
    resample has as many patients of each class as the test (Efron & Tibshirani 1993, "An introduction to the
    bootstrap", section 8; clusters as units). Tables of the same cells are resampled alike.

    Parameters
    ----------
    predictions : DataFrame
        Cells of one side of the split.
    resamples : int

    Returns
    -------
    DataFrame of shape (resamples, metrics)
        NaN where the test has one patient of a class: that one would be drawn each time, and an interval without
        width would look like certainty.

    Examples
    --------
    >>> bootstrap(predictions, resamples=100).shape
    (100, 10)
    """
    patients = _Patients(predictions)
    if patients.per_class.min() == 1:
        return pd.DataFrame(np.nan, index=range(resamples), columns=list(METRICS))
    return patients.metrics(patients.draws(resamples))


def measure(predictions, resamples=RESAMPLES):
    """Metrics of one side of the split.

    Parameters
    ----------
    predictions : DataFrame
        Columns file, subject, label and ``p_<class>`` of each class.
    resamples : int
        Of the bootstrap; 0 leaves it out.

    Returns
    -------
    dict
        For each of `METRICS` a dict with value; patients_low and patients_high (bootstrap of patients); and, for
        proportions, low and high (Wilson), correct and cells. Sensitivity is the share of the positive class's cells
        that is found, specificity the share of all other cells that is not called so; with more than two classes both
        are means over the classes and have no Wilson interval. Weighted F1 is the challenge's metric: the F1 of all
        classes, weighted by their cells. Brier score (half the squared distance, so that 1 is the worst with any
        number of classes) and expected calibration error (Naeini et al. 2015, 10 bins of equal width) are 0 at best;
        resampling adds noise to every bin, so the interval of the calibration error leans upwards and may lie above
        the value. And: patients, confusion_matrix, classes (sensitivity, specificity and AUROC of each class against
        all others).

    Examples
    --------
    >>> test = predictions[predictions["split"] == "test"]
    >>> sensitivity = measure(test)["sensitivity"]
    >>> sensitivity["correct"], sensitivity["cells"], round(float(sensitivity["value"]), 2)
    (5, 6, 0.83)
    """
    patients = _Patients(predictions)
    values = patients.metrics(np.ones((1, len(patients.names)))).iloc[0]
    entries = {name: {"value": _number(value)} for name, value in values.items()}
    matrix = confusion(predictions)
    entries["accuracy"] = proportion(np.diag(matrix).sum(), len(predictions))
    each = {label: _one_class(matrix, label, predictions) for label in matrix}
    if len(each) == 2:
        positive = each[matrix.columns[0]]
        entries |= {name: dict(positive[name]) for name in ("sensitivity", "specificity")}
    if resamples:
        limits = bootstrap(predictions, resamples).quantile([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        for name, entry in entries.items():
            entry["patients_low"], entry["patients_high"] = map(_number, limits[name])
    return {
        **entries,
        "patients": {label: int(patients.per_class.get(label, 0)) for label in matrix},
        "confusion_matrix": {"rows_true_columns_predicted": list(matrix), "counts": matrix.to_numpy().tolist()},
        "classes": each,
    }


def _one_class(matrix, label, predictions):
    """One class against all others."""
    truth, found, right = predictions["label"] == label, matrix[label].sum(), matrix.loc[label, label]
    others = len(predictions) - truth.sum()
    both = 0 < truth.sum() < len(truth)
    return {
        "sensitivity": proportion(right, truth.sum()),
        "specificity": proportion(others - found + right, others),
        "auroc": {"value": float(sk.roc_auc_score(truth, predictions[f"p_{label}"])) if both else None},
    }


def in_words(value, low, high, form=".3f"):
    """A metric with its interval over patients.

    Parameters
    ----------
    value, low, high : float or None
    form : str
        How numbers are written.

    Returns
    -------
    str

    Examples
    --------
    >>> in_words(0.69, 0.612, 0.774)
    '0.690 (0.612 to 0.774)'
    >>> in_words(0.69, None, None, ".2f")
    '0.69 (no interval: one test patient of a class)'
    >>> in_words(None, None, None)
    'not defined'
    """
    if pd.isna(value):
        return "not defined"
    interval = "no interval: one test patient of a class" if pd.isna(low) else f"{low:{form}} to {high:{form}}"
    return f"{value:{form}} ({interval})"


def _number(value):
    return None if pd.isna(value) else float(value)


def evaluate(predictions, notes):
    """What metrics.json holds.

    Parameters
    ----------
    predictions : DataFrame
        Cells of validation and test. Only the test is resampled.
    notes : list of str
        What must be said beside every figure.

    Returns
    -------
    dict

    Examples
    --------
    >>> metrics = evaluate(predictions, notes=["synthetic cells"])
    >>> metrics["warning"]
    'Research only, not for diagnosis.'
    >>> metrics["test"]["accuracy"]["correct"], metrics["test"]["accuracy"]["cells"]
    (7, 10)
    """
    sides = {side: measure(group, RESAMPLES if side == "test" else 0) for side, group in predictions.groupby("split")}
    intervals = {
        "low, high": f"Wilson, {CONFIDENCE:.0%}; cells taken as independent",
        "patients_low, patients_high": f"bootstrap of patients, {CONFIDENCE:.0%}, {RESAMPLES:,} resamples",
    }
    return {"warning": RESEARCH_ONLY, "notes": notes, "intervals": intervals, **sides}


def table_of_metrics(metrics, side="test"):
    """Metrics of one side as a table for a notebook.

    Parameters
    ----------
    metrics : dict
        From `evaluate`.
    side : str

    Returns
    -------
    DataFrame
        One row per metric: value; low and high (Wilson); patients_low and patients_high (bootstrap); correct, cells.

    Examples
    --------
    >>> table_of_metrics(evaluate(predictions, [])).loc["accuracy", ["value", "low", "high"]].round(2).tolist()
    [0.7, 0.4, 0.89]
    """
    table = pd.DataFrame({title(name): metrics[side][name] for name in METRICS}).T
    columns = ["value", "low", "high", "patients_low", "patients_high", "correct", "cells"]
    return table.reindex(columns=columns).astype(float).astype({"correct": "Int64", "cells": "Int64"})


def table_of_classes(metrics, side="test"):
    """Each class against all others, as a table for a notebook.

    Parameters
    ----------
    metrics : dict
        From `evaluate`.
    side : str

    Returns
    -------
    DataFrame
        One row per class: cells, sensitivity and specificity with Wilson's intervals (``_low``, ``_high``), auroc.

    Examples
    --------
    >>> table_of_classes(evaluate(predictions, [])).loc["ALL (leukaemic)", ["cells", "sensitivity"]].round(2).tolist()
    [6.0, 0.83]
    """
    rows = {}
    for label, entry in metrics[side]["classes"].items():
        row = {"cells": entry["sensitivity"]["cells"]}
        for name in ("sensitivity", "specificity"):
            row |= {name: entry[name]["value"], f"{name}_low": entry[name]["low"], f"{name}_high": entry[name]["high"]}
        rows[title_of_class(label)] = {**row, "auroc": entry["auroc"]["value"]}
    return pd.DataFrame(rows).T.astype(float).astype({"cells": int})


def sentence_of_patients(metrics, side="test"):
    """How many patients an interval rests on, with a warning where they are few.

    Parameters
    ----------
    metrics : dict
        From `evaluate`.
    side : str

    Returns
    -------
    str

    Examples
    --------
    >>> sentence_of_patients({"test": {"patients": {"all": 30, "hem": 25}}})
    'The bootstrap resamples the patients of the test (30 ALL, 25 HEM).'
    """
    counts = metrics[side]["patients"]
    text = ", ".join(f"{count} {title_of_class(label, short=True)}" for label, count in counts.items())
    few = min(counts.values()) < FEW_PATIENTS
    return f"The bootstrap resamples the patients of the test ({text})" + (
        f"; fewer than {FEW_PATIENTS} of a class, so the true uncertainty is larger than its interval." if few else "."
    )


# With fewer clusters percentile intervals are too narrow (Cameron, Gelbach & Miller 2008, "Bootstrap-based
# improvements for inference with clustered errors").
FEW_PATIENTS = 10
