"""`ran bench profile`: every stage is where it belongs, and nothing of a slot's time is lost or counted twice."""

from __future__ import annotations

import csv
import importlib
import json
import sys
import time
from contextlib import suppress
from functools import reduce
from pathlib import Path

import pytest

from ran.bench import stages
from ran.bench.machine import Limits
from ran.bench.profile import Profile, profile
from ran.bench.profile_page import COLUMNS, SHARED, as_csv, as_json, as_markdown
from ran.bench.stage_floors import shared_floors
from ran.bench.stages import FUNCTIONS, SHARED_STAGES, STAGES, StageClock
from ran.cli.main import main
from ran.link import Link, LinkConfig

LIMITS = Limits(int8_per_s=1e12, flops_per_s=1e11, bytes_per_s=1e11, memory_bytes_per_s=1e10)
SMALL = ["carrier.num_prb=4", "channel.max_doppler_hz=50"]


@pytest.fixture(scope="module")
def found() -> Profile:
    return profile("pusch-receivers", SMALL, 64, 3.0, limits=LIMITS)


def of(found: Profile, receiver: str) -> dict[str, float]:
    return {stage.stage: stage.seconds for stage in found.stages if stage.receiver == receiver}


def test_every_function_of_a_stage_is_there() -> None:
    for names in FUNCTIONS.values():
        for name in names:
            module, _, path = name.partition(":")
            function = reduce(getattr, path.split("."), importlib.import_module(module))
            # a class method has its function inside
            code = getattr(function, "__func__", function).__code__
            assert f"{module}:{code.co_qualname}" == name
    assert set(FUNCTIONS) | {"network", "other"} == set(STAGES)


def test_stages_of_every_receiver(found: Profile) -> None:
    assert found.receivers == ("", "ls-linear", "lmmse", "blind", "neural", "perfect-csi")
    assert set(SHARED_STAGES) | {"store"} <= set(of(found, ""))
    for title in found.receivers[1:]:
        assert {"estimate", "rate recovery", "decode", "compare"} <= set(of(found, title)), title
        assert not set(SHARED_STAGES) & set(of(found, title))
    for title in ("ls-linear", "lmmse", "blind", "perfect-csi"):
        assert "equalise" in of(found, title)
        assert "network" not in of(found, title)
    assert "network" in of(found, "neural")
    assert {stage.stage for stage in found.stages} <= set(STAGES)


def test_shares_and_sums(found: Profile) -> None:
    assert all(stage.seconds >= 0 for stage in found.stages)
    assert sum(found.share(stage) for stage in found.stages) == pytest.approx(1)
    assert sum(map(found.seconds_of, found.receivers)) == pytest.approx(found.total_s)
    assert len({(stage.receiver, stage.stage) for stage in found.stages}) == len(found.stages)
    assert found.num_slots == 64
    assert found.plain_s > 0
    assert set(found.blers) == set(found.receivers) - {""}


def test_floors(found: Profile) -> None:
    floors = {(stage.receiver, stage.stage): stage.floor_s for stage in found.stages}
    assert all(floors["", stage] > 0 for stage in SHARED_STAGES)
    for title in ("ls-linear", "lmmse", "blind", "perfect-csi"):
        assert floors[title, "estimate"] > 0
        assert floors[title, "equalise"] > 0
    # the network's layers are counted, not only the bytes of its input: 4 antennas, 14 symbols, 48 subcarriers
    assert floors["neural", "network"] > 10 * 8 * 4 * 14 * 48 / LIMITS.memory_bytes_per_s
    assert floors["neural", "other"] is None
    for stage in found.stages:
        assert stage.times_floor is None or stage.times_floor == pytest.approx(stage.seconds / stage.floor_s)


@pytest.mark.parametrize("name", ["cdl", "umi"])
def test_floors_of_channels(name: str) -> None:
    """A clustered channel from a panel costs at least its response written once, at the speed of arithmetic."""
    panel = {"rows": 1, "columns": 2, "polarisation": "cross"}
    block = {"name": name, "carrier_frequency_hz": 3.5e9, "speed_mps": 3.0, "rx_array": panel}
    block |= {"profile": "C", "delay_spread_ns": 100.0} if name == "cdl" else {}
    link = Link(LinkConfig(carrier={"num_prb": 4}, num_rx_ant=4, channel=block))
    floor = shared_floors(link)["channel"]
    assert floor.bytes == 8 * 4 * 14 * 48
    assert floor.flops > 8 * 4 * 14 * 48


def test_files(found: Profile) -> None:
    rows = list(csv.DictReader(as_csv(found).splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(found.stages)
    assert sum(float(row["ms_per_slot"]) for row in rows) == pytest.approx(1e3 * found.total_s)
    assert rows[0]["receiver"] == SHARED
    values = json.loads(json.dumps(as_json(found)))
    assert values["ms_per_slot"] == pytest.approx(1e3 * found.total_s)
    assert values["stages"][0]["stage"] == "draw"
    page = as_markdown(found, "ran bench profile pusch-receivers")
    for stage in found.stages:
        assert f"| {stage.receiver or SHARED} | {stage.stage} |" in page


def test_a_function_counts_to_the_nearest_stage_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is counted where it passes, through calls of functions that are named nowhere and through exceptions."""
    ticks = iter(range(1000))

    def outer() -> None:
        unnamed()

    def unnamed() -> None:
        with suppress(KeyError):
            inner()

    def inner() -> None:
        raise KeyError

    names = {f"{__name__}:{f.__code__.co_qualname}": s for f, s in ((outer, "channel"), (inner, "noise"))}
    monkeypatch.setattr(stages, "_NAMED", names)
    monkeypatch.setattr(time, "thread_time", lambda: next(ticks))
    clock = StageClock()
    with clock.running():
        outer()
    # begin, into outer, into inner, out of inner, out of outer, end: one tick between each
    assert clock.seconds == {("", "other"): 2, ("", "channel"): 2, ("", "noise"): 1}
    assert sys.getprofile() is None


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = [argument for change in (*SMALL, "receivers=[ls-linear]") for argument in ("--set", change)]
    assert main(["bench", "profile", "pusch-receivers", *changes, "--slots", "1", "--out", str(tmp_path)]) == 0
    assert "| ls-linear | decode |" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"profile.{e}" for e in ("csv", "json", "md", "png")]
    assert (tmp_path / "profile.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["pusch-receiver"], "did you mean 'pusch-receivers'"),
        (["pusch-uma-link-budget"], "link_budget: got one with"),
        (["pusch-receivers", "--esn0-db", "nan"], "--esn0-db: got nan; allowed: -60 to 100"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], text: str, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert main(["bench", "profile", *arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
