"""One key of a file: what its page says of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: What the end of a name says of its unit (the longest that fits holds).
_UNITS = {
    "_db": "dB",
    "_dbm": "dBm",
    "_dbc_hz": "dBc/Hz",
    "_hz": "Hz",
    "_khz": "kHz",
    "_s": "s",
    "_ms": "ms",
    "_ns": "ns",
    "_m": "m",
    "_mps": "m/s",
    "_kmh": "km/h",
    "_deg": "degrees",
    "_rad": "rad",
    "_rad2_per_s": "rad²/s",
    "_db_per_s15": "dB/s^1.5",
    "_k": "K",
    "_ppm": "ppm",
    "_re": "resource elements",
    "_prb": "resource blocks",
    "_slots": "slots",
    "_samples": "samples",
}
_CLAUSE = re.compile(
    r"(?:T[SR] )?\d\d\.\d{3}(?:-\d)?(?: V[\d.]+)?,? (?:§|table |tables |annex |eq\. )[\w.()]*\w[\w.()-]*"
)


@dataclass(frozen=True)
class Key:
    """A key of a file.

    path: from the top of the file, parts joined by dots, `[]` after a list of blocks. variant: the name of the block
    that has the key, where only one of several has. default: as YAML has it; None: the key has to be given.
    allowed: values, in words. text: what it means.
    """

    path: str
    default: str | None
    allowed: str
    text: str
    clause: str
    variant: str = ""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2].removesuffix("[]")

    @property
    def unit(self) -> str:
        """Unit that the name states; empty for pure numbers, names and blocks."""
        return unit_of(self.name)


def unit_of(name: str) -> str:
    """Unit by the suffix of a name, as all names of the toolkit have it."""
    found = [suffix for suffix in _UNITS if name.endswith(suffix)]
    return _UNITS[max(found, key=len)] if found else ""


def clause_of(*texts: str) -> str:
    """The first clause of a specification that one of the texts names, in their order; empty where none does."""
    for text in texts:
        found = _CLAUSE.search(text)
        if found:
            clause = found.group().rstrip(".-(")
            if clause.count(")") > clause.count("("):
                clause = clause.rpartition(")")[0]
            return clause if clause.startswith("T") else f"TS {clause}"
    return ""
