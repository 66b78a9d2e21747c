"""The one exception for everything that the user can put right."""


class InputError(ValueError):
    """Something given by the user cannot be used; the message says what, where, and what to do."""


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
    """
    names = [str(name) for name in names]
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
