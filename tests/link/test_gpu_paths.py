"""What is done on a GPU gives the numbers of a processor, and it is waited for only where that is named.

On the stand-in of `stand_in_gpu`, whose tensors are on another device than those of the host: see there for what it is
not. `gpu` marks what needs a real one.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import gpu_cases
import numpy as np
import pytest
import torch
from stand_in_gpu import DEVICE, OnGpu, Wait, missing, on_host, stand_in_gpu

from ran.link import Link, LinkConfig
from ran.link.catalogue import build_receiver
from ran.phy import ldpc
from ran.phy.config import Decoder, Harq
from ran.phy.ldpc import decoder as ldpc_decoder

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

#: What a GPU is waited for within a batch, by FILE:FUNCTION, and why that stays.
NAMED: dict[str, str] = {
    "ran/link/batch.py:check_finite": "one number tells whether all are finite",
    "ran/phy/transport_block.py:_on_host": "decisions are counted on the host",
    "ran/link/harq.py:run_processes": "soft buffers are on the host",
    "ran/link/turbo.py:TurboDecoder.__call__": "soft decoding between the rounds is on the host",
    "receivers/classical/tree_search.py:_array": "the tree search is a compiled loop on the host",
    "ran/phy/precoders.py:best_of_codebook": "the index of the best precoder names it",
    # the same REs for every slot of a link: shapes that the mask of data REs and the pilots tell
    "ran/phy/pusch.py:PuschGrid.map_to_grid": "data REs",
    "ran/phy/pdsch.py:PdschGrid.map_to_grid": "data REs",
    "ran/link/parts.py:cuts": "data REs of a rectangle",
    "receivers/interface.py:SlotObservation.num_data_re": "data REs",
    "receivers/interface.py:SlotObservation._data_places": "data REs",
    "receivers/classical/equalizer.py:_detect_symbols": "data REs",
    "receivers/classical/detection.py:_detect_by": "data REs",
    "receivers/classical/data_aided.py:refine_with_data": "data REs",
    "receivers/classical/soft_grid.py:soft_grid": "data REs",
    "receivers/classical/symbol_phase.py:_equalised": "data REs",
    "receivers/classical/symbol_phase.py:_Equalised.__init__": "data REs",
    "receivers/neural/refined_blind.py:RefinedBlindReceiver._llr_scale": "data REs",
    "receivers/classical/phase_tracking.py:tracked": "whether there are PT-RS",
    "receivers/classical/phase_tracking.py:common_phase": "whether there are PT-RS",
    "receivers/classical/phase_tracking.py:_angles": "symbols with PT-RS",
    "receivers/classical/delay_statistics.py:set_pilots": "level of the pilots",
    "receivers/classical/delay_statistics.py:empty_res": "REs without any signal",
    "receivers/classical/interference.py:residual_covariance": "symbols with pilots",
    "receivers/classical/expectation_propagation.py:demap": "levels by the value of a bit",
    "receivers/classical/two_layer_list.py:TwoLayerList._block": "points by the value of a bit",
    "ran/link/waveform.py:TimeDomain._convolve": "the shortest and the longest delay bound the loop over samples",
    # decided by what was received, for all slots of a batch together
    "receivers/classical/timing.py:coarse_delay": "whether any slot is far off in time",
    "receivers/classical/delay_grid.py:CombGrid.powers": "delays within the window",
    "receivers/classical/delay_statistics.py:DelayEstimator._first_profile": "whether any delay is left",
    "receivers/classical/detection.py:Detection._in_turns": "which slots are decoded",
    "receivers/classical/bursts.py:_hit": "symbols that hold anything",
    "receivers/classical/bursts.py:bursts_rejected": "which slots a burst hits, so that the others are detected once",
}


@cache
def config(name: str) -> LinkConfig:
    fields = {**gpu_cases.SMALL, **gpu_cases.LINKS[name]}
    return LinkConfig(**{key: value for key, value in fields.items() if value is not None})


@cache
def here(name: str) -> tuple[Link, Any]:
    with torch.no_grad():
        link = Link(config(name))
        return link, link.batch(range(2), 10.0, 1, "s")


@cache
def there(name: str) -> tuple[Link, Any, tuple[Wait, ...]]:
    """The same on the stand-in, the second time: what is kept for a link is there."""
    with torch.no_grad(), stand_in_gpu() as waits:
        link = Link(config(name), device=DEVICE)
        link.batch(range(2), 10.0, 1, "s")
        waits.clear()
        return link, link.batch(range(2), 10.0, 1, "s"), tuple(waits)


def unnamed(waits: tuple[Wait, ...] | list[Wait]) -> set[str]:
    return {f"{wait.kind} in {wait.place}" for wait in waits if wait.place not in NAMED}


@pytest.mark.parametrize("name", gpu_cases.LINKS)
def test_a_batch_is_the_same(name: str) -> None:
    _, expected = here(name)
    _, found, waits = there(name)
    for tensor in (found.observation.y, found.h, found.x, found.coded_bits, found.observation.noise_var):
        assert isinstance(tensor, OnGpu)
    np.testing.assert_array_equal(found.transport_blocks, expected.transport_blocks)
    assert torch.equal(on_host(found.coded_bits), expected.coded_bits)
    for mine, other in ((found.observation.y, expected.observation.y), (found.h, expected.h), (found.x, expected.x)):
        torch.testing.assert_close(on_host(mine), other, rtol=0, atol=2e-5)
    assert not unnamed(waits)


SLOW = {"large", "turbo", "impaired", "k-best", "reestimated"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in gpu_cases.RECEIVERS]
)
def test_a_receiver_gives_the_same_llrs(name: str) -> None:
    on, block = gpu_cases.RECEIVERS[name]
    link, batch = here(on)
    with torch.no_grad():
        expected = link.receive(build_receiver(block), batch)
    link, batch, _ = there(on)
    with torch.no_grad(), stand_in_gpu() as waits:
        receiver = build_receiver(block).to(DEVICE)
        link.receive(receiver, batch)
        waits.clear()
        llr = link.receive(receiver, batch)
    assert isinstance(llr, OnGpu)
    # single precision, through sums in another order
    assert float((on_host(llr) - expected).abs().max()) < 2e-3 * float(expected.square().mean().sqrt())
    assert not unnamed(waits)


def decode_there(llr: Any, code: Any, num_iterations: int, early_stop: bool, precision: Any, soft: bool) -> Any:
    """In place of the Triton kernel, which needs a GPU: its numbers are those of the processor's by its own tests."""
    found = ldpc.decode(
        on_host(llr).numpy(), code, num_iterations, early_stop=early_stop, precision=precision, soft=soft
    )
    fields = {name: value for name, value in vars(found).items() if value is not None}
    moved = {name: torch.from_numpy(value).to(DEVICE) for name, value in fields.items()}
    return type(found)(**{**vars(found), **moved})


@pytest.mark.parametrize("harq", [None, Harq(max_transmissions=2)], ids=["", "harq"])
def test_counts_are_the_same(harq: Harq | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """From bits to counts, as `ran sim --device cuda` runs it."""
    monkeypatch.setattr(ldpc_decoder, "_decode_on_device", decode_there)
    of = config("tdl").model_copy(update={"harq": harq})
    blocks = {name: {"name": name} for name in ("ls-linear", "perfect-csi")}
    expected = Link(of, Decoder()).simulate({k: build_receiver(b) for k, b in blocks.items()}, range(64), 4.0, 1, "s")
    with stand_in_gpu() as waits:
        link = Link(of, Decoder(), DEVICE)
        receivers = {k: build_receiver(b).to(DEVICE) for k, b in blocks.items()}
        found = link.simulate(receivers, range(64), 4.0, 1, "s")
    for title in blocks:
        errors = found[title].block_errors, expected[title].block_errors
        assert 0 < errors[1].sum() < 64
        # a decision may fall otherwise where rounding decides
        assert np.count_nonzero(errors[0] != errors[1]) <= 1
    places = {wait.place for wait in waits}
    assert "ran/link/batch.py:check_finite" in places
    assert ("ran/link/harq.py:run_processes" if harq else "ran/phy/transport_block.py:_on_host") in places


def test_what_is_named_is_there() -> None:
    for place in NAMED:
        file, _, function = place.partition(":")
        source = (Path(__file__).parents[2] / file).read_text(encoding="utf-8")
        assert f"def {function.rpartition('.')[2]}(" in source, place


class TestStandIn:
    """The stand-in refuses what a GPU would refuse, and writes down what it would be waited for."""

    def test_two_devices_do_not_mix(self) -> None:
        with stand_in_gpu(), pytest.raises(RuntimeError, match="same device"):
            torch.ones(3, device=DEVICE) + torch.ones(3)

    def test_no_numpy(self) -> None:
        with stand_in_gpu(), pytest.raises(RuntimeError, match="numpy"):
            torch.ones(3, device=DEVICE).numpy()

    def test_waits_are_written_down(self) -> None:
        with stand_in_gpu() as waits:
            x = torch.arange(4, device=DEVICE)
            assert x.is_cuda
            assert int(x.sum()) == 6
            assert x[x > 1].shape == (2,)
            assert x.cpu().tolist() == [0, 1, 2, 3]
        assert [wait.kind for wait in waits] == ["value", "shape", "copy"]

    def test_nothing_is_left_behind(self) -> None:
        with stand_in_gpu():
            pass
        with pytest.raises((AssertionError, RuntimeError)):
            torch.ones(3, device=DEVICE)
