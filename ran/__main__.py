"""`python -m ran`: the command line, where the script `ran` is not on the path."""

import sys

from ran.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
