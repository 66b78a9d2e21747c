"""What the library logs, shown on the command line and in notebooks, without a prefix."""

from __future__ import annotations

import logging
import sys

from .. import __name__ as PACKAGE


class _Terminal(logging.Handler):
    """Prints where ``print`` would now; warnings go to the other stream."""

    def emit(self, record: logging.LogRecord) -> None:
        stream = sys.stderr if record.levelno >= logging.WARNING else sys.stdout
        print(self.format(record), file=stream, flush=True)


def show() -> None:
    """Show what is logged from now on; asking twice is harmless."""
    logger = logging.getLogger(PACKAGE)
    logger.setLevel(logging.INFO)
    if not any(type(handler).__name__ == _Terminal.__name__ for handler in logger.handlers):
        logger.addHandler(_Terminal())
