"""Rows of the benchmark at tiny sizes: both sides do the same work, and the comparison would notice if they did not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ran.bench import cost
from ran.bench.catalogue import ROWS, SCALING, check_peer, select
from ran.bench.channel_rows import CdlWork
from ran.bench.cost import Cost
from ran.bench.ldpc_rows import LdpcWork, ldpc_row, worse_than
from ran.bench.machine import Limits, measure_limits
from ran.bench.measure import measure
from ran.bench.peak_memory import peak_bytes
from ran.bench.row import Effort, Parity, Row, Side, Target
from ran.bench.slot_rows import SlotWork, slot_config
from ran.bench.stage_rows import EncodeWork, LmmseWork, TdlWork
from ran.errors import InputError
from ran.phy.ldpc import LdpcCode

TINY = Effort(rounds=2, sample_s=0.0, parity=1.0)
LIMITS = Limits(int8_per_s=1e12, flops_per_s=1e11, bytes_per_s=1e11, memory_bytes_per_s=1e10)


def small_ldpc_row(**changes: object) -> Row:
    row = ldpc_row(2, 72, ("1/3", 1 / 3), 8, -0.4, Target(ratio=1e9, times_floor=1e9), parity_blocks=40)
    return replace(row, **changes)


class TestChannels:
    def test_both_sides_have_the_moments_of_the_profile(self) -> None:
        work = CdlWork(1, 2, 8, 60)
        assert work.draw().shape == (1, 4, 14, 96)
        assert work.cost.flops > 0
        match = work.against_sionna(TINY)
        assert all(side.run().shape == (side.work, 4, 14, 96) for side in match.candidates)
        parity = match.parity(match.candidates[0])
        assert parity.ok, parity.text
        assert "MiB" in parity.text

    def test_parity_notices_another_power(self, monkeypatch: pytest.MonkeyPatch) -> None:
        work = CdlWork(1, 2, 8, 60)
        draw = work.draw
        monkeypatch.setattr(work, "draw", lambda: 2 * draw())
        assert not work.against_sionna(TINY).parity(work.side).ok

    def test_peak_memory_is_what_is_taken(self) -> None:
        grown = peak_bytes(lambda: np.ones(40 << 20, np.uint8))
        assert 38 << 20 < grown < 60 << 20


class TestLdpc:
    def test_both_sides_meet_the_same_noisy_blocks(self) -> None:
        work = LdpcWork(2, 72, 2160, 8, 0.5, 50)
        wrong = (work.decide(work.llr) != work.bits).any(1).mean()
        hard = (work.llr[:, : 8 * 72] < 0) != work.bits[:, 2 * 72 :]
        # QPSK at 0.5 dB: raw error rate Q(10 ** 0.025) = 0.145, 5 standard errors at 28800 bits
        assert hard.mean() == pytest.approx(0.145, abs=0.012)
        assert wrong < 0.3

    def test_sionna_decodes_clean_blocks_to_the_same_bits(self) -> None:
        work = LdpcWork(2, 72, 2160, 8, 12.0, 8)
        match = work.against_sionna(TINY)
        for side in [*match.candidates, *match.batches(match.candidates[0])]:
            decided = side.run()
            np.testing.assert_array_equal(decided.numpy(), work.bits[: len(decided)])
            assert side.work == len(decided) * 720 / 1e6
        parity = match.parity(match.candidates[0])
        assert parity.ok
        assert "ours 0, Sionna 0" in parity.text

    def test_a_code_that_sionna_would_choose_otherwise_is_refused(self) -> None:
        # 160 information bits take 6 columns of base graph 2, not 10 (TS 38.212 §5.2.2)
        with pytest.raises(ValueError, match="base graph 2, Z=28"):
            LdpcWork(2, 16, 480, 8, 12.0, 2).against_sionna(TINY)

    def test_parity_notices_a_decoder_that_errs_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        work = LdpcWork(2, 72, 2160, 8, 12.0, 16)
        monkeypatch.setattr(work, "decide", lambda llr: work.bits[: len(llr)] ^ 1)
        match = work.against_sionna(TINY)
        assert not match.parity(match.candidates[0]).ok

    def test_measured_row_has_everything(self) -> None:
        found = measure(small_ldpc_row(), TINY, LIMITS, "sionna")
        assert found.ours.num_units == found.peer.num_units == found.ratio.num_units == 2
        assert found.ours.low <= found.ours.value <= found.ours.high
        assert found.parity is not None
        assert found.is_met is False  # nobody is a thousand million times faster
        assert any(name in found.peer_settings for name in ("boxplus", "minsum"))
        assert found.above_floor == pytest.approx(found.floor / found.ours.value)

    def test_without_a_peer_a_ratio_is_open(self) -> None:
        found = measure(small_ldpc_row(), TINY, LIMITS, None)
        assert found.peer is found.ratio is found.parity is None
        assert found.is_met is None
        assert measure(small_ldpc_row(target=Target(times_floor=1e9)), TINY, LIMITS, None).is_met is True
        assert measure(small_ldpc_row(target=Target(ratio=1, times_floor=1e-9)), TINY, LIMITS, None).is_met is False

    def test_a_peer_that_does_not_compile_stays_eager_and_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(model: object) -> object:
            def run(*_: object) -> None:
                raise RuntimeError("no compiler")

            return run

        monkeypatch.setattr(torch, "compile", refuse)
        found = measure(small_ldpc_row(), replace(TINY, compile_peer=True), LIMITS, "sionna")
        assert "eager" in found.peer_settings
        assert found.notes == ("torch.compile failed on the peer: RuntimeError",)


@pytest.mark.parametrize(
    ("only_ours", "only_peer", "worse"), [(0, 0, False), (0, 9, False), (5, 5, False), (3, 0, False), (9, 1, True)]
)
def test_sign_test(only_ours: int, only_peer: int, worse: bool) -> None:
    ours = np.r_[np.ones(only_ours, bool), np.zeros(only_peer, bool), True, False]
    peer = np.r_[np.zeros(only_ours, bool), np.ones(only_peer, bool), True, False]
    assert worse_than(ours, peer) is worse


class TestSlot:
    def test_both_receivers_decode_the_same_slots(self) -> None:
        work = SlotWork(slot_config(4, 14, 4), 30.0, 6, (2,))
        match = work.against_sionna(TINY)
        parity = match.parity(match.candidates[0])
        assert parity.ok
        assert "on the same 6 received slots: ours 0, Sionna 0" in parity.text

    def test_sionna_simulates_the_slots_it_is_timed_for(self) -> None:
        work = SlotWork(slot_config(4, 14, 4), 30.0, 6, (2,))
        match = work.against_sionna(TINY)
        (batch,) = match.batches(match.candidates[0])
        assert batch.work == 2
        assert batch.run() == (0, 0)

    def test_sionna_loses_its_blocks_where_there_is_only_noise(self) -> None:
        work = SlotWork(slot_config(4, 14, 4), -20.0, 6, (2,))
        match = work.against_sionna(TINY)
        bit_errors, block_errors = match.batches(match.candidates[0])[0].run()
        assert block_errors == 2
        assert bit_errors > 100

    def test_parity_notices_a_receiver_that_errs_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        work = SlotWork(slot_config(4, 14, 4), 30.0, 12, (2,))
        match = work.against_sionna(TINY)
        receive = work.link.receive
        monkeypatch.setattr(work.link, "receive", lambda receiver, batch: -receive(receiver, batch))
        assert not match.parity(match.candidates[0]).ok

    def test_slots_are_new_each_time(self) -> None:
        work = SlotWork(slot_config(4, 14, 4), 5.0, 6, (2,))
        first, second = (work.simulate()["ls-linear"].bit_errors for _ in range(2))
        assert len(first) == len(second) == work.side.work
        assert not np.array_equal(first, second)


class TestStages:
    def test_encoders_agree_bit_for_bit(self) -> None:
        match = EncodeWork(slot_config(24, 27, 4), 2).against_sionna(TINY)
        assert match.parity(match.candidates[0]) == Parity("coded bits that differ: 0 of 82944", True)

    def test_encoding_parity_notices_one_bit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        work = EncodeWork(slot_config(24, 27, 4), 2)
        match = work.against_sionna(TINY)
        work.blocks[0, 0, 0] ^= 1
        assert not match.parity(match.candidates[0]).ok

    @pytest.mark.parametrize(("num_rx_ant", "num_layers"), [(4, 4), (8, 4), (2, 1)])
    def test_llrs_agree(self, num_rx_ant: int, num_layers: int) -> None:
        work = LmmseWork(slot_config(4, 20, num_rx_ant, num_layers), 25.0)
        match = work.against_sionna(TINY)
        assert all(match.parity(side).ok for side in match.candidates)
        work.receiver = type("Half", (), {"needs_truth": True, "__call__": lambda _, o, t: 0.5 * reference(o, t)})()
        reference = LmmseWork(slot_config(4, 20, num_rx_ant, num_layers), 25.0).receiver
        assert not match.parity(match.candidates[0]).ok

    def test_channels_have_the_profile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        work = TdlWork(2, 12, 300)
        match = work.against_sionna(TINY)
        parity = match.parity(match.candidates[0])
        assert parity.ok, parity.text
        draw = work.draw
        monkeypatch.setattr(work, "draw", lambda batch: 1.5 * draw(batch))
        assert not match.parity(match.candidates[0]).ok


class TestCosts:
    def test_ldpc_decoding_counts_edges(self) -> None:
        # base graph 2 has 197 edges, 38 of them to a row's own parity column
        code = LdpcCode(2, 72, 720)
        assert cost.ldpc_decoding(code, 8).int8 == (12 * (197 - 38) + 5 * 38) * 72 * 8
        core = LdpcCode(2, 72, 720, rows=(0, 1, 2, 3))
        assert cost.ldpc_decoding(core, 1).int8 < cost.ldpc_decoding(code, 1).int8 / 3

    def test_the_slower_of_arithmetic_and_transfers_is_the_floor(self) -> None:
        assert Cost(flops=1e11, bytes=1e10).seconds(LIMITS) == pytest.approx(1.0)
        assert Cost(flops=1e10, int8=1e12).seconds(LIMITS) == pytest.approx(1.1)
        assert Cost(flops=1e10, bytes=3e11).seconds(LIMITS) == pytest.approx(3.0)
        assert (Cost(flops=1) * 3 + Cost(bytes=2)) == Cost(flops=3, bytes=2)

    def test_more_work_costs_more(self) -> None:
        assert cost.lmmse_detection(8, 4, 6, 100).flops > cost.lmmse_detection(4, 4, 6, 100).flops
        assert cost.lmmse_detection(4, 4, 6, 200).flops == 2 * cost.lmmse_detection(4, 4, 6, 100).flops
        slow, fast = (cost.tdl_response(4, 24, np.arange(14) * 35e-6, f, 600).flops for f in (5.0, 500.0))
        assert slow < fast

    def test_limits_of_this_machine_are_plausible(self) -> None:
        limits = measure_limits(0.02)
        assert 1e8 < limits.int8_per_s < 1e14
        assert 1e8 < limits.flops_per_s < 1e13
        assert 1e7 < limits.memory_bytes_per_s < 1e13
        assert 1e7 < limits.bytes_per_s < 1e14


class TestCatalogue:
    def test_every_row_of_the_plan_is_there(self) -> None:
        assert [row.group for row in ROWS.values()].count("ldpc") == 10
        assert {row.name for row in ROWS.values() if row.group == "slot"} == {
            "slot-273prb-mcs20",
            "slot-51prb-mcs20",
            "slot-51prb-mcs5",
            "slot-4prb-mcs14",
        }
        assert {row.name for row in ROWS.values() if row.group == "stage"} == {
            "tdl-response",
            "lmmse-4x4",
            "lmmse-8x4",
            "tb-encode",
        }
        for name, row in ROWS.items():
            assert row.name == name
            assert row.target.text()
            assert "/s" not in row.target.text()  # a rate would be one machine's

    def test_groups_names_and_nothing(self) -> None:
        rows, scaling = select([], has_cuda=False)
        assert scaling
        assert rows == [row for row in ROWS.values() if not row.cuda]
        assert select([], has_cuda=True)[0] == list(ROWS.values())
        rows, scaling = select(["tb-encode", "slot"], has_cuda=False)
        assert not scaling
        assert [row.group for row in rows] == ["slot"] * 4 + ["stage"]
        assert select([SCALING], has_cuda=False) == ([], True)

    def test_unknown_names(self) -> None:
        with pytest.raises(InputError, match=r"NAME: got 'tb-encod'; .*did you mean 'tb-encode'"):
            select(["slot", "tb-encod"], has_cuda=False)
        with pytest.raises(InputError, match="no CUDA device"):
            select(["gpu"], has_cuda=False)
        with pytest.raises(InputError, match=r"--against: got 'siona'.*did you mean 'sionna'"):
            check_peer("siona")


def test_a_side_is_run_at_least_once_per_sample() -> None:
    from ran.bench.timing import alternate, fastest

    calls: list[str] = []
    sides = [Side(lambda name=name: calls.append(name), 1, name) for name in "ab"]
    rates = alternate(sides, 3, 0.0)
    assert calls == list("abababab")
    assert [len(found) for found in rates] == [3, 3]
    assert fastest(sides[:1]) is sides[0]
