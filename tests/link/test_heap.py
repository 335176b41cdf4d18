"""Memory that is freed is kept; looked at by counting page faults, not by a clock."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource
import numpy as np
from ran.link.heap import keep_freed_memory

kept = keep_freed_memory() if {keep} else None
def batch():
    arrays = [np.ones(3 << 20, np.uint8) for _ in range(20)]  # below 4 MiB numpy asks for no huge pages
for _ in range(4):
    batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    batch()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is of glibc")
def test_freed_memory_is_kept():
    def run(keep: bool) -> tuple[str, int]:
        code = COUNT_FAULTS.format(keep=keep)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        kept, faults = done.stdout.split()
        return kept, int(faults)

    kept, with_it = run(True)
    if kept == "False":
        pytest.skip("this C library has no mallopt")
    _, without = run(False)
    assert 10 * with_it < without
