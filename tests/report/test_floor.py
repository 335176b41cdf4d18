"""Where a curve flattens is decided by the intervals, and why is said only as far as counts and experiment tell."""

from types import SimpleNamespace

import pytest

from ran.report.floor import flat_part, floors, lasting_parts
from ran.sim.experiment import load
from ran.stats import wilson


def curve(receiver: str, *points: tuple[float, int, int]) -> list[SimpleNamespace]:
    """Points of a receiver: Es/N0 in dB, blocks in error, blocks."""
    return [
        SimpleNamespace(receiver=receiver, esn0_db=e, block_errors=k, blocks=n, bler=k / n, error_rate=wilson(k / n, n))
        for e, k, n in points
    ]


FLAT = curve("lmmse", (0, 950, 1000), (4, 400, 1000), (8, 110, 1000), (12, 100, 1000), (16, 104, 1000))
FALLING = curve("lmmse", (0, 950, 1000), (4, 400, 1000), (8, 110, 1000), (12, 40, 1000), (16, 15, 1000))
GENIE = curve("perfect-csi", (0, 900, 1000), (4, 90, 1000), (8, 1, 1000))


def run(*points: SimpleNamespace, **changes: object) -> SimpleNamespace:
    sets = [f"{key.replace('__', '.')}={value}" for key, value in changes.items()]
    experiment = load("pusch-receivers", sets)
    return SimpleNamespace(experiment=experiment, points=list(points), genie_receivers={"perfect-csi"})


def test_the_flat_part_is_what_does_not_halve() -> None:
    assert [p.esn0_db for p in flat_part(FLAT)] == [8, 12, 16]
    assert flat_part(FALLING) == []


def test_rayleigh_fading_on_one_antenna_is_no_floor() -> None:
    """BLER inversely proportional to SNR: the slowest fall without a floor."""
    points = [(e, round(40_000 * 10 ** (-e / 10)), 100_000) for e in range(0, 21, 2)]
    assert flat_part(curve("one antenna", *points)) == []


@pytest.mark.parametrize(
    "points",
    [
        [(0, 10, 1000), (4, 0, 1000)],  # no error left
        [(0, 1000, 1000), (4, 1000, 1000)],  # not in the waterfall yet
        [(0, 1, 10), (4, 1, 10)],  # too few blocks to tell
        [(0, 100, 1000), (2, 100, 1000)],  # too close to tell
        [(4, 100, 1000)],
    ],
)
def test_what_is_no_floor(points) -> None:
    assert flat_part(curve("lmmse", *points)) == []
    assert floors(run(*curve("lmmse", *points))) == []


def test_a_genie_below_says_that_the_channel_estimate_is_the_limit() -> None:
    first, last = floors(run(*FLAT, *GENIE))
    assert first.startswith(
        "lmmse has an error floor: 10.4 % [8.66 %, 12.4 %] BLER at 16 dB, 11 % [9.21 %, 13.1 %] at 8 dB"
    )
    assert "perfect-csi, which knows the channel, has 0.1 % [" in first
    assert first.endswith("due to what the receiver does not know of the channel.")
    assert "a Doppler shift of up to 400 Hz (0.2 of a cycle per slot)" in last
    assert "a delay spread of 100 ns" in last


def test_a_genie_with_the_same_floor_says_that_it_is_not() -> None:
    same = curve("perfect-csi", *((p.esn0_db, p.block_errors, p.blocks) for p in FLAT))
    found = floors(run(*FLAT, *same))
    assert found[0].endswith("a known channel does not take the floor away.")
    assert found[1].startswith("perfect-csi has an error floor")
    assert "which knows the channel" not in found[1]


def test_a_genie_that_was_not_simulated_so_high_says_nothing() -> None:
    found = floors(run(*FLAT, *curve("perfect-csi", (0, 800, 1000), (4, 300, 1000))))
    assert found[0].endswith("at 4 dB and was not simulated higher.")


def test_a_receiver_that_never_works_where_the_genie_does_has_a_floor() -> None:
    never = curve("lmmse", *((e, 1000, 1000) for e in (0, 4, 8, 12)))
    (first, *_) = floors(run(*never, *GENIE))
    assert first.startswith(
        "lmmse has an error floor: 100 % [99.6 %, 100 %] BLER at 12 dB, 100 % [99.6 %, 100 %] at 4 dB."
    )
    assert floors(run(*never, *curve("perfect-csi", (0, 1000, 1000), (12, 900, 1000)))) == []


def test_without_a_genie_it_is_said_what_would_tell() -> None:
    assert "No genie was simulated beside it" in floors(run(*FLAT))[0]


def test_curves_that_fall_say_nothing() -> None:
    assert floors(run(*FALLING, *GENIE)) == []


def test_parts_that_last_are_named_with_their_numbers() -> None:
    settings = load(
        "pusch-impaired-radios", ["waveform.cfo_max_hz=600", "waveform.timing_offset_max_s=2e-7"]
    ).resolved()
    found = lasting_parts(settings)
    for words in (
        "rapp at the transmitter (input_back_off_db 5",
        "converter at the receiver (bits 5, clip_db 10)",
        "a carrier frequency offset of up to 600 Hz",
        "a timing offset of up to 0.2 µs",
        "a Doppler shift of up to 75 Hz",
        "64QAM",
    ):
        assert any(words in part for part in found), (words, found)
    settings = load("target-two-users").resolved()
    assert "2 layers on 4 receive antennas" in lasting_parts(settings)
    assert lasting_parts(load("harq-chase").resolved()) == []


def test_modulations_of_users_that_differ_are_named() -> None:
    changes = ["users={num_users: 3, mcs_index: [4, 22, 20]}"]
    found = lasting_parts(load("pusch-receivers", changes).resolved())
    assert [part for part in found if "QAM" in part] == ["64QAM 666/1024", "64QAM 567/1024"]
