"""``python -m allhelpers``: the command line is in `running.cli`."""

import sys

from allhelpers.running.cli import main

if __name__ == "__main__":
    sys.exit(main())
