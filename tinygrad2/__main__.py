"""`python -m tinygrad2` is the command `tinygrad2`."""

import sys

from tinygrad2.cli import main

if __name__ == "__main__":
    sys.exit(main())
