"""YAML by the core schema of YAML 1.2.2 §10.3: what a plain scalar is, and that what is written is read back."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from ran.config.yaml_file import dump, parse
from ran.errors import InputError
from ran.sim.experiment import load

MINIMAL = "channel: awgn\nreceivers: [ls-linear]\nesn0_db: [0]\n"

#: Text and value by the tables of §10.3.2; the second half is what YAML 1.1 read otherwise.
SCALARS: list[tuple[str, Any]] = [
    ("null", None),
    ("~", None),
    ("", None),
    ("true", True),
    ("FALSE", False),
    ("12", 12),
    ("-7", -7),
    ("0x1F", 31),
    ("0o17", 15),
    ("1.5", 1.5),
    (".5", 0.5),
    ("1.", 1.0),
    ("1e4", 1e4),
    ("-2E-3", -2e-3),
    (".inf", math.inf),
    ("-.INF", -math.inf),
    ("010", 10),
    ("-010", -10),
    ("1:30", "1:30"),
    ("1:30.5", "1:30.5"),
    ("1_000", "1_000"),
    ("0b11", "0b11"),
    ("yes", "yes"),
    ("No", "No"),
    ("on", "on"),
    ("off", "off"),
    ("2026-11-29", "2026-11-29"),
    ("=", "="),
    ("1.5e", "1.5e"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars_are_those_of_the_core_schema(text: str, value: Any) -> None:
    read = parse(text, "x")
    assert read == value
    assert type(read) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(parse(".nan", "x"))


def test_keys_are_as_they_are_written() -> None:
    assert parse("{on: 1, 010: 2, true: 3, 1.0: 4}", "x") == {"on": 1, "010": 2, "true": 3, "1.0": 4}


@pytest.mark.parametrize("value", [text for text, _ in SCALARS] + ["two words", "a: b", "é"])
def test_text_is_read_back_as_text(value: str) -> None:
    assert parse(dump({"key": value}), "x") == {"key": value}


@pytest.mark.parametrize("value", [0, -3, 1e17, 1e-7, 0.1, True, None, [1, 2.5], {"a": {"b": "no"}}])
def test_values_are_read_back(value: Any) -> None:
    assert parse(dump({"key": value}), "x") == {"key": value}


@pytest.mark.parametrize("text", ["!!binary aGk=", "!!timestamp 2026-11-29", "!!python/name:os.system"])
def test_other_types_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="not valid YAML: line 1"):
        parse(text, "x")


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("carrier.num_prb=010", 10),
        ("carrier.num_prb=0x10", 16),
        ("carrier.num_prb=24.0", 24),
        ("stopping.max_slots=1e4", 10_000),
        ("carrier.subcarrier_spacing_khz=6e1", 60),
    ],
)
def test_whole_numbers_count_by_their_value(tmp_path: Path, change: str, value: int) -> None:
    (tmp_path / "x.yaml").write_text(MINIMAL)
    block, key = change.partition("=")[0].split(".")
    found = getattr(getattr(load(tmp_path / "x.yaml", [change]), block), key)
    assert found == value
    assert type(found) is int


@pytest.mark.parametrize(
    ("change", "given"),
    [
        ("seed=1:30", "'1:30'"),
        ("stopping.max_slots=1.5", "1.5"),
        ("carrier.num_prb=1_0", "'1_0'"),
        ("carrier.num_prb=true", "True"),
        ("carrier.num_prb=.nan", "nan"),
        ("carrier.num_prb=1e400", "inf"),
        ("pusch.transform_precoding=yes", "'yes'"),
        ("pusch.transform_precoding=off", "'off'"),
        ("pusch.transform_precoding=1", "1"),
    ],
)
def test_what_is_no_whole_number_or_no_truth_value_is_refused(tmp_path: Path, change: str, given: str) -> None:
    (tmp_path / "x.yaml").write_text(MINIMAL)
    with pytest.raises(InputError, match=f"{change.partition('=')[0]}: got {given}; allowed: "):
        load(tmp_path / "x.yaml", [change])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # an option that may be left out was taken for one that is: JSON has null for numbers that are none
        (
            "channel={name: tdl, profile: A, delay_spread_ns: 30, speed_mps: 1, carrier_frequency_hz: 3.0e9, "
            "max_doppler_hz: .nan}",
            "channel.max_doppler_hz: got nan; allowed: a finite number",
        ),
        ("receivers=[{name: own.py:Own, clip: [1, -.inf]}]", "receivers.0.clip.1: got -inf; allowed: a finite number"),
    ],
)
def test_options_of_blocks_are_finite(tmp_path: Path, change: str, expected: str) -> None:
    (tmp_path / "x.yaml").write_text(MINIMAL)
    with pytest.raises(InputError, match=re.escape(expected)):
        load(tmp_path / "x.yaml", [change])


def test_whole_numbers_count_by_their_value_inside_lists_and_unions(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(MINIMAL)
    loaded = load(tmp_path / "x.yaml", ["harq={rv: [0.0, 2e0]}", "esn0_db={auto: {probe_slots: 1e2}}"])
    assert loaded.harq is not None
    assert loaded.harq.rv == (0, 2)
    assert loaded.snr_search is not None
    assert loaded.snr_search.probe_slots == 100
