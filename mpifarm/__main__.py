"""`python -m mpifarm`."""

import sys

from mpifarm.cli import main

if __name__ == "__main__":
    sys.exit(main())
