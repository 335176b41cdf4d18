"""Arrays of MATLAB files before version 7.3, read in a process of its own.

`scipy.io.loadmat` (1.17 and before) ends in a segmentation fault on some damaged files; there it takes no caller along.
"""

from __future__ import annotations

import io
import math
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Exit status of the process for a file that it refuses, and for one of version 7.3, which is HDF5.
_REFUSED, _IS_HDF5 = 3, 4


class IsHdf5(ValueError):
    """A MATLAB file of version 7.3."""


def read_matlab(path: Path, names: Collection[str] = (), most_bytes: int = 4 * 2**30) -> dict[str, NDArray[Any]]:
    """The arrays of these names, or all. `ValueError` in one line for a file that is damaged or whose arrays are larger
    than `most_bytes` in all; `IsHdf5` for version 7.3."""
    # -P: what lies beside this file shadows no module that scipy imports
    command = [sys.executable, "-P", str(Path(__file__).resolve()), str(path), str(most_bytes), *names]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode == _IS_HDF5:
        raise IsHdf5(f"{path}: is a MATLAB file of version 7.3")
    if done.returncode == _REFUSED:
        raise ValueError(done.stderr.decode(errors="replace").strip())
    if done.returncode:
        raise ValueError(f"damaged: reading it ended the process that read it (status {done.returncode})")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _main(path: str, most_bytes: str, *names: str) -> int:
    from scipy.io import loadmat, whosmat

    try:
        # numbers of 16 bytes are the largest that there are
        total = sum(math.prod(shape) * 16 for name, shape, _ in whosmat(path) if not names or name in names)
        if total > int(most_bytes):
            raise ValueError(f"claims {total} bytes; allowed: up to {most_bytes}")
        found = loadmat(path, variable_names=list(names) or None)
        arrays = {k: v for k, v in found.items() if isinstance(v, np.ndarray) and not k.startswith("__")}
        if missing := set(names) - set(arrays):
            raise ValueError(f"got no array {min(missing)!r}; allowed: {', '.join(arrays) or 'none is in it'}")
        packed = io.BytesIO()
        np.savez(packed, allow_pickle=False, **arrays)
    except NotImplementedError:
        return _IS_HDF5
    except Exception as error:  # scipy tells damage by errors of every kind
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return _REFUSED
    sys.stdout.buffer.write(packed.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
