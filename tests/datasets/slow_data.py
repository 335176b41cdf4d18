"""The command line of `ran` with data sets written slowly; a program for tests that kill it."""

import sys
import time

from ran.cli.main import main
from ran.datasets.container import Container
from ran.datasets.hdf5_file import Hdf5File
from ran.datasets.zarr_file import ZarrFile


def slow_down(kind: type[Container]) -> None:
    """Pause between the numbers of a chunk and the hashes that say that they are whole."""
    write = kind.write_digests

    def slowly(self, chunk, rows):
        time.sleep(0.3)
        write(self, chunk, rows)

    kind.write_digests = slowly


# worker processes import this module too, and are slow as well
slow_down(Hdf5File)
slow_down(ZarrFile)

if __name__ == "__main__":
    sys.exit(main())
