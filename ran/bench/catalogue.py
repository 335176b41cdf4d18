"""All rows by name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from ran.bench.channel_rows import CHANNEL_ROWS
from ran.bench.equal_bler import EQUAL_BLER_ROWS
from ran.bench.ldpc_rows import LDPC_ROWS
from ran.bench.receiver_rows import RECEIVER_ROWS
from ran.bench.row import Row
from ran.bench.slot_rows import SLOT_ROWS
from ran.bench.stage_rows import STAGE_ROWS
from ran.errors import InputError, bad_value, unknown_name

#: Name of the measurement that is no row: cost over work.
SCALING = "scaling"
PEERS = ("sionna",)
_GROUPS = (LDPC_ROWS, EQUAL_BLER_ROWS, SLOT_ROWS, STAGE_ROWS, CHANNEL_ROWS, RECEIVER_ROWS)
ROWS: dict[str, Row] = {row.name: row for group in _GROUPS for row in group}


def select(names: Sequence[str], has_cuda: bool) -> tuple[list[Row], bool]:
    """Rows by name or group, in the order of the table, and whether to measure scaling; no name means everything.

    `InputError` for an unknown name, and for a row that needs a GPU where there is none.
    """
    groups = {row.group for row in ROWS.values()}
    for name in names:
        if name not in {*ROWS, *groups, SCALING}:
            raise unknown_name("NAME", name, [*ROWS, *groups, SCALING])
    wanted = [row for row in ROWS.values() if not names or row.name in names or row.group in names]
    refused = [row.name for row in wanted if row.cuda and not has_cuda]
    if names and refused:
        raise bad_value("NAME", refused[0], "rows without a GPU: no CUDA device is here")
    return [row for row in wanted if has_cuda or not row.cuda], not names or SCALING in names


def check_peer(name: str | None) -> None:
    """`InputError` unless `name` is a peer or None."""
    if name is not None and name not in PEERS:
        raise unknown_name("--against", name, PEERS)
    if name == "sionna" and find_spec("sionna") is None:
        raise InputError("--against: sionna: not installed; allowed: after pip install 'ran6g[sionna]'")
