"""AODT's tables of impulse responses: ports, links, the channel of them, and what is said of tables that are none.

The tables are made here, after the published columns: no file of the program itself was at hand.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from channels import Recorded
from channels.datasets import impulse_responses
from channels.datasets.aodt import read_aodt
from channels.datasets.impulse_responses import read_impulse_responses, write_impulse_responses
from ran.cli.main import main

RNG = np.random.default_rng(12)
RU = [(h, v, p) for h in range(2) for v in range(1) for p in range(2)]
UE = [(0, 0, 0), (0, 0, 1)]


def rows() -> list[dict[str, Any]]:
    """Two times, one radio unit, three users of which the last meets nothing; up to 5 taps per pair."""
    found = []
    for time in range(2):
        for user in range(3):
            for ru in RU:
                for ue in UE:
                    count = int(RNG.integers(1, 6)) if user < 2 else 0
                    taps = RNG.standard_normal((2, count)) * 1e-5
                    found.append(
                        {
                            "time_idx": time,
                            "ru_id": 7,
                            "ue_id": user,
                            "ru_ant_el": {"1": ru[0], "2": ru[1], "3": ru[2]},
                            "ue_ant_el": {"1": ue[0], "2": ue[1], "3": ue[2]},
                            "cir_re": taps[0].tolist(),
                            "cir_im": taps[1].tolist(),
                            "cir_delay": RNG.uniform(2e-7, 1e-6, count).tolist(),
                        }
                    )
    return found


def folder_of(path: Path, table: list[dict[str, Any]]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(table), path / "cirs.parquet")
    return path


@pytest.fixture(scope="module")
def table() -> list[dict[str, Any]]:
    return rows()


@pytest.fixture(scope="module")
def file(table: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aodt")
    shuffled = [table[place] for place in RNG.permutation(len(table))]
    out = folder / "responses.npz"
    write_impulse_responses(out, read_aodt(folder_of(folder / "tables", shuffled)))
    return out


def test_links_and_ports(file: Path) -> None:
    found = read_impulse_responses(file)
    assert found.gains.shape == (4, 4, 2, 5)
    assert found.places.tolist() == [[0, 7, 0], [0, 7, 1], [1, 7, 0], [1, 7, 1]]
    assert found.details["links_without_taps"] == 2


@pytest.mark.parametrize("direction", ["uplink", "downlink"])
def test_the_response_is_the_sum_over_taps(file: Path, table: list[dict[str, Any]], direction: Any) -> None:
    model = Recorded(str(file), direction, normalise="none", absolute_delays=True)
    generators = [np.random.default_rng(draw) for draw in range(20)]
    links = model.sites([np.random.default_rng(draw) for draw in range(20)])
    assert set(links.tolist()) == {0, 1, 2, 3}
    frequencies = (np.arange(24) - 11.5) * 30e3
    antennas = (4, 2) if direction == "uplink" else (2, 4)
    h = model.response(generators, *antennas, np.zeros(3), frequencies).numpy()
    places = read_impulse_responses(file).places[links]
    for draw, (time, _, user) in enumerate(places):
        for row in table:
            if (row["time_idx"], row["ue_id"]) != (time, user):
                continue
            base, end = RU.index(tuple(row["ru_ant_el"].values())), UE.index(tuple(row["ue_ant_el"].values()))
            gains = np.array(row["cir_re"]) + 1j * np.array(row["cir_im"])
            turned = np.exp(-2j * np.pi * np.outer(row["cir_delay"], frequencies))
            pair = (base, end) if direction == "uplink" else (end, base)
            np.testing.assert_allclose(h[draw][pair], np.broadcast_to(gains @ turned, (3, 24)), atol=2e-10)


def test_normalisation_and_first_delays(file: Path) -> None:
    model = Recorded(str(file))
    # the mean over all frequencies is the sum of the taps' powers
    wide = np.arange(4000) * 1e6 / 7
    h = model.response([np.random.default_rng(draw) for draw in range(6)], 4, 2, np.zeros(1), wide).numpy()
    np.testing.assert_allclose(np.square(np.abs(h)).mean((1, 2, 3, 4)), 1, rtol=0.05)
    assert model._delays_s[model._gains != 0].min() == 0


def test_in_an_experiment(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "again.npz"
    assert main(["data", "rays", str(file.with_name("tables")), "--out", str(out)]) == 0
    assert "4 links of 4 x 2 antennas" in capsys.readouterr().out
    channel = f"channel={{name: recorded, responses: {out}}}"
    settings = ["--set", channel, "--set", "carrier.num_prb=4", "--set", "num_rx_ant=4", "--set", "users.num_users=2"]
    arguments = [
        "data",
        "pusch-receivers",
        *settings,
        "--out",
        str(tmp_path / "slots.h5"),
        "--drops",
        "8",
        "--esn0-db",
        "0:5",
    ]
    assert main([*arguments, "--workers", "1"]) == 0


def without(column: str) -> Any:
    return lambda table: [{key: value for key, value in row.items() if key != column} for row in table]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (without("cir_delay"), "got no column cir_delay"),
        (lambda table: [*table[:-1], table[-1] | {"cir_re": [1.0]}], "got 1, 0 and 0 numbers"),
        (lambda table: table[1:], "time 0, radio unit 7, user 0: got 7 pairs of elements; allowed: 8"),
        (lambda table: [*table, table[0]], "got a pair of elements twice"),
        (
            lambda table: [table[0] | {"cir_re": [float("nan")] * len(table[0]["cir_re"])}, *table[1:]],
            r"row 0: cir_re\[0\]: got nan",
        ),
        (
            lambda table: [table[0] | {"cir_re": [1e300] * len(table[0]["cir_re"])}, *table[1:]],
            r"row 0: cir_re\[0\]: got 1e\+300.*allowed: finite numbers from -1e\+18 to 1e\+18",
        ),
        (
            lambda table: [table[0] | {"cir_delay": [-1e-9] * len(table[0]["cir_re"])}, *table[1:]],
            r"row 0: cir_delay\[0\]: got -1e-09.*allowed: finite delays in seconds from 0 to 0.001",
        ),
        (
            lambda table: [row | {"cir_delay": [d * 1e9 for d in row["cir_delay"]]} for row in table],
            r"row 0: cir_delay\[0\]: got .*allowed: finite delays in seconds",
        ),
        (lambda table: [table[0] | {"ue_id": None}, *table[1:]], "row 0: ue_id: got None; allowed: a whole number"),
        (lambda table: [row for row in table if row["ue_id"] == 2], "got no taps"),
    ],
)
def test_bad_tables(change: Any, text: str, table: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "tables", change(table))
    with pytest.raises(ValueError, match=text) as error:
        read_aodt(folder)
    assert "\n" not in str(error.value)


def test_files_that_are_none(file: Path, tmp_path: Path) -> None:
    (tmp_path / "cirs.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(ValueError, match="allowed: a folder of AODT's tables"):
        read_aodt(tmp_path)
    bad = tmp_path / "bad.npz"
    bad.write_bytes(file.read_bytes()[:-200])
    for path in (bad, tmp_path / "missing.npz"):
        with pytest.raises(ValueError, match="allowed: ") as error:
            Recorded(str(path))
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="num_rx_ant: got 8; allowed: up to 4"):
        Recorded(str(file)).check(8, 2)


def test_names_and_values_that_are_no_text(table: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, table)
    path = folder / "cirs.parquet"
    path.write_bytes(path.read_bytes().replace(b"time_idx", b"\xb0ime_idx"))
    with pytest.raises(ValueError, match="damaged: names of columns are no UTF-8; allowed: ") as error:
        read_aodt(folder)
    assert not isinstance(error.value, UnicodeError)
    read = pa.Table.from_pylist(table)
    times = pa.array([b"\xff\xfe"] * read.num_rows).view(pa.string())
    parquet.write_table(read.set_column(0, "time_idx", times), path)
    with pytest.raises(ValueError, match="damaged: got text that is no UTF-8; allowed: ") as error:
        read_aodt(folder)
    assert not isinstance(error.value, UnicodeError)


@pytest.mark.parametrize("partitioned", [False, True])
def test_the_table_itself_is_no_folder_of_deepmimo(
    table: list[dict[str, Any]], tmp_path: Path, partitioned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """`cirs.parquet` may be a folder of parts, and may be what is given."""
    if partitioned:
        folder = tmp_path / "tables"
        (folder / "cirs.parquet").mkdir(parents=True)
        half = len(table) // 2
        for number, part in enumerate((table[:half], table[half:])):
            parquet.write_table(pa.Table.from_pylist(part), folder / "cirs.parquet" / f"part-{number}.parquet")
    else:
        folder = folder_of(tmp_path / "tables", table)
    for number, given in enumerate((folder, folder / "cirs.parquet")):
        out = tmp_path / f"{number}.npz"
        assert main(["data", "rays", str(given), "--out", str(out)]) == 0, capsys.readouterr().err
        assert "4 links of 4 x 2 antennas" in capsys.readouterr().out


def changed(responses: Any, field: str, value: complex) -> Any:
    array = getattr(responses, field).copy()
    array[0, 0, 0, 0] = value
    return replace(responses, **{field: array})


def test_responses_with_values_that_make_no_sense_are_refused(file: Path, tmp_path: Path) -> None:
    """Also in files: their hash holds, whoever wrote them."""
    good, out = read_impulse_responses(file), tmp_path / "bad.npz"
    silent = replace(good, gains=np.concatenate([good.gains[:3], np.zeros_like(good.gains[:1])]))
    for bad, text in (
        (changed(good, "delays_s", -1e-9), r"bad.npz: delays_s\[0, 0, 0, 0\]: got -9.*finite delays in seconds"),
        (changed(good, "delays_s", np.inf), r"bad.npz: delays_s\[0, 0, 0, 0\]: got inf"),
        (changed(good, "gains", np.nan), r"bad.npz: gains\[0, 0, 0, 0\]: got \(nan"),
        (silent, r"bad.npz: gains\[3\]: got no tap but zeros"),
    ):
        with pytest.raises(ValueError, match=text):
            write_impulse_responses(out, bad)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(impulse_responses, "check_responses", lambda source, responses: None)
            write_impulse_responses(out, bad)
        with pytest.raises(ValueError, match=text):
            read_impulse_responses(out)


@pytest.mark.parametrize("level", [1e-9, 1e9])
def test_a_normalised_channel_does_not_depend_on_the_level(file: Path, tmp_path: Path, level: float) -> None:
    responses = read_impulse_responses(file)
    other = tmp_path / "level.npz"
    write_impulse_responses(other, replace(responses, gains=(responses.gains * level).astype(np.complex64)))
    for normalise in ("link", "set"):
        grids = [
            Recorded(str(path), normalise=normalise).response(  # type: ignore[arg-type]
                [np.random.default_rng(1)], 4, 2, np.zeros(1), np.arange(6) * 1e6
            )
            for path in (file, other)
        ]
        torch.testing.assert_close(grids[1], grids[0], rtol=1e-4, atol=1e-5)
