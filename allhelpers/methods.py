"""Every method by its name: networks, and the classical classifiers that the paper's literature names."""

from . import architectures
from .errors import InputError

CLASSICAL = {"svm": "support vector machine", "knn": "k-nearest neighbours", "mlp": "feed-forward network"}
NAMES = (*architectures.ARCHITECTURES, *CLASSICAL)


def title(name):
    """Name of a method in figures and tables.

    Parameters
    ----------
    name : str

    Returns
    -------
    str

    Examples
    --------
    >>> title("svm")
    'support vector machine'
    """
    return CLASSICAL.get(name) or architectures.get(name).title


def notebook_of(name):
    """The notebook that trains a method.

    Parameters
    ----------
    name : str

    Returns
    -------
    str
        Without folder and suffix.

    Examples
    --------
    >>> notebook_of("mobilenet"), notebook_of("svm")
    ('2_mobilenet', '2_classical')
    """
    return "2_classical" if name in CLASSICAL else f"2_{name}"


def check(name):
    """Refuse what is no method.

    Parameters
    ----------
    name : str

    Raises
    ------
    InputError

    Examples
    --------
    >>> check("lenet")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    allhelpers.errors.InputError: 'lenet' is not an architecture or classifier: choose from ...
    """
    if name not in NAMES:
        raise InputError(f"{name!r} is not an architecture or classifier: choose from {', '.join(NAMES)}.")
