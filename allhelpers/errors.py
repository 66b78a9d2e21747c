"""The one exception for everything that the user can put right."""

MOST_LETTERS = 1000


class InputError(ValueError):
    """Something given by the user cannot be used; the message says what, where, and what to do.

    Parameters
    ----------
    message : str
        A sentence. What it quotes may be of any length; beyond `MOST_LETTERS` its middle is left out.
    """

    def __init__(self, message):
        if len(message) > MOST_LETTERS:
            message = f"{message[: MOST_LETTERS // 2]} ... {message[-MOST_LETTERS // 2 :]}"
        super().__init__(message)


def counted(number, noun):
    """A number with its noun.

    Parameters
    ----------
    number : int
    noun : str
        In the singular; its plural ends in s.

    Returns
    -------
    str

    Examples
    --------
    >>> counted(1, "run"), counted(1200, "cell")
    ('1 run', '1,200 cells')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listing(names, shown=5):
    """Join the first few names of a long list for an error message.

    Parameters
    ----------
    names : iterable of str
        What to list.
    shown : int, default=5
        How many to spell out.

    Returns
    -------
    str
        For instance ``"a, b and 3 more"``.

    Examples
    --------
    >>> listing(["1.bmp", "2.bmp", "3.bmp"], shown=2)
    '1.bmp, 2.bmp and 1 more'
    """
    names = [str(name) for name in names]
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
