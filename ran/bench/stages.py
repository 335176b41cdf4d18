"""Which part of a slot's work a function belongs to, and a clock that adds up processor time by that."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

#: What a slot's time is spent on, in its order. `network`: layers of a neural receiver, which estimate, equalise and
#: demap in one. `other`: what belongs to none, such as putting the arrays of a batch together.
STAGES = (
    "draw",
    "transmit",
    "channel",
    "noise",
    "estimate",
    "equalise",
    "demap",
    "network",
    "rate recovery",
    "decode",
    "compare",
    "store",
    "other",
)
#: Stages that all receivers of an experiment share.
SHARED_STAGES = STAGES[:4]

#: Functions by stage, MODULE:NAME. What they call belongs to the same stage until it is named itself.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "draw": (
        "ran.link.batch:random_blocks",
        "ran.link.streams:stream",
        "ran.link.streams:DropGenerators.__init__",
        "ran.link.streams:DropGenerators.raw",
        "ran.link.noise:stream_key",
        "ran.link.batch:random_uci",
    ),
    "transmit": (
        "ran.phy.shared_grid:SharedGrid.code",
        "ran.phy.codeword:Codeword.encode",
        "ran.link.grid:transmitted_grid",
        "ran.link.transmitter:Transmitter.precoder",
        "ran.link.downlink:Downlink.precoder",
        "ran.link.downlink:Downlink.antenna_grid",
    ),
    "channel": (
        "ran.link.link_channels:LinkChannels.response",
        "ran.link.link_channels:LinkChannels.grid_modes",
        "ran.link.link_channels:LinkChannels.received",
        "ran.link.uplink:Uplink.layer_channel",
        "ran.link.downlink:Downlink.layer_channel",
        "ran.link.waveform:TimeDomain.received_grid",
    ),
    "noise": ("ran.link.grid:received_grid", "ran.link.waveform:TimeDomain._noise"),
    "estimate": (
        "ran.link.link:Link.receive",
        "receivers.levels:at_unit_level",
        "receivers.classical.linear:estimate_linear",
        "receivers.classical.lmmse:WienerInterpolator.estimate",
        "receivers.classical.blind_estimate:BlindEstimator.__call__",
        "receivers.classical.pilotless:estimate_slot",
    ),
    "equalise": (
        "receivers.classical.equalizer:detect_estimate",
        "receivers.classical.detection:Detection.__call__",
        "receivers.classical.detection:Detection.of_estimate",
    ),
    "demap": (
        "receivers.classical.equalizer:_demap_layers",
        "receivers.classical.expectation_propagation:demap",
        "receivers.classical.points:demap_points",
        "receivers.classical.qam:demap_maxlog",
    ),
    "rate recovery": (
        "ran.phy.codeword:Codeword.decode",
        "ran.phy.transport_block:TransportBlock._combine",
        "ran.phy.transport_block:TransportBlock._recover",
        "ran.phy.transport_block:TransportBlock._combine_into",
    ),
    "decode": ("ran.phy.transport_block:TransportBlock.decode", "ran.link.turbo:TurboDecoder.__call__"),
    "compare": (
        "ran.link.outcomes:compare",
        "ran.link.outcomes:counts_of",
        "ran.link.batch:check_finite",
        "ran.link.untouched:_checksums",
    ),
    "store": ("ran.sim.store:Store.add",),
}
#: Modules all of whose functions belong to a stage.
_PACKAGES = {"receivers.neural.": "network"}
_NAMED = {function: stage for stage, functions in FUNCTIONS.items() for function in functions}

#: The function that hands a slot to a receiver, and those with which what all share begins again.
_RECEIVE, _SHARED = "ran.link.link:Link.receive", frozenset({"ran.link.link:Link.batch", "ran.sim.store:Store.add"})


class StageClock:
    """Processor seconds of this thread by receiver ("" for what all share) and stage, while it is `running`.

    It looks at every call and return in Python, which itself takes time: some thousand calls in a batch, a few percent
    where slots are small. Functions of compiled modules count to what called them.
    """

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], float] = {}
        self._stages: dict[CodeType, tuple[str, str] | None] = {}
        self._stack: list[str] = ["other"]
        self._receiver = ""
        self._since = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of the block."""
        self._stack, self._receiver, self._since = ["other"], "", time.thread_time()
        sys.setprofile(self._look)
        try:
            yield
        finally:
            sys.setprofile(None)
            self._count()

    def _count(self) -> None:
        now, key = time.thread_time(), (self._receiver, self._stack[-1])
        self.seconds[key] = self.seconds.get(key, 0.0) + now - self._since
        self._since = now

    def _look(self, frame: FrameType, event: str, argument: Any) -> None:
        if event not in ("call", "return"):
            return
        code = frame.f_code
        try:
            found = self._stages[code]
        except KeyError:
            found = self._stages[code] = _stage_of(frame.f_globals.get("__name__", ""), code)
        if found is None:
            return
        name, stage = found
        self._count()
        if event == "call":
            if name == _RECEIVE:
                self._receiver = frame.f_locals["label"]
            elif name in _SHARED:
                self._receiver = ""
            self._stack.append(stage or self._stack[-1])
        elif len(self._stack) > 1:
            self._stack.pop()


def _stage_of(module: str, code: CodeType) -> tuple[str, str] | None:
    """Name and stage of a function; None where it belongs to the stage that called it."""
    name = f"{module}:{code.co_qualname}"
    if name in _NAMED:
        return name, _NAMED[name]
    if name in _SHARED:
        return name, "other"
    return next(((name, stage) for package, stage in _PACKAGES.items() if module.startswith(package)), None)
