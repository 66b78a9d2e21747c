"""What the library logs, shown on the command line and in notebooks, without a prefix."""

from __future__ import annotations

import logging
import shutil
import sys
import textwrap
import warnings

from .. import __name__ as PACKAGE
from .._core import quiet


class _Terminal(logging.Handler):
    """Prints where ``print`` would now; warnings go to the other stream."""

    def emit(self, record: logging.LogRecord) -> None:
        stream = sys.stderr if record.levelno >= logging.WARNING else sys.stdout
        text = self.format(record)
        print(wrapped(text) if stream.isatty() else text, file=stream, flush=True)


def wrapped(text: str) -> str:
    """A note broken between words where the terminal ends; tables are left alone."""
    if not text.startswith("* "):
        return text
    return textwrap.fill(text, shutil.get_terminal_size().columns, subsequent_indent="  ")


def show() -> None:
    """Show what is logged from now on, and no lines of others; asking twice is harmless."""
    quiet.load_quietly()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of its own tracing
    warnings.filterwarnings("ignore", message="IProgress not found")  # bars are text then
    logger = logging.getLogger(PACKAGE)
    logger.setLevel(logging.INFO)
    if not any(type(handler).__name__ == _Terminal.__name__ for handler in logger.handlers):
        logger.addHandler(_Terminal())
