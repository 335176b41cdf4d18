"""The contract of `ran.export.interface.ExportTarget`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ran.errors import InputError
from ran.export.interface import ExportTarget
from ran.export.request import Request
from ran.export.slot_target import SlotTarget

#: Weights that every shipped target for receivers takes.
_WEIGHTS = "pusch-hybrid"
_NUM_PRB = 4


def _unknown(target: ExportTarget) -> str:
    with tempfile.TemporaryDirectory() as folder:
        try:
            target.export(Request("no-such-model", target, Path(folder) / "out"), lambda text: None)
        except InputError:
            left = [path.name for path in Path(folder).iterdir()]
            return f"a model that is not there leaves {left}; allowed: nothing" if left else ""
    return "a model that is not there: got an export; allowed: InputError"


def _does_as_its_origin(target: ExportTarget) -> str:
    if not isinstance(target, SlotTarget):
        return ""  # what models it takes is its own affair
    size = (_NUM_PRB,) if "num_prb" in target.options else ()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        request = Request(_WEIGHTS, target, out, num_prb=size, num_slots=8, latency_slots=2)
        found = target.export(request, lambda text: None)
        missing = [name for name in ("REPORT.md", "contract.json") if not (found.folder / name).is_file()]
        if missing:
            return f"folder: got one without {', '.join(missing)}"
        return "; ".join(found.problems)


def _described(target: ExportTarget) -> str:
    return "" if (type(target).__doc__ or "").strip() else "docstring: got none; allowed: one line for `ran list`"


EXPORT_TARGET_TESTS = {
    "is described": _described,
    "refuses a model that is not there": _unknown,
    "the file does as its origin": _does_as_its_origin,
}
