"""Data sets with a link budget: state of every drop, verified, evaluated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from ran.cli.main import main
from ran.datasets.reader import DropDataset
from ran.sim.results import load_results

EXPERIMENT = {
    "name": "budget-data",
    "carrier": {"num_prb": 2},
    "num_rx_ant": 2,
    "channel": {"name": "umi", "carrier_frequency_hz": 3.5e9, "pathloss": True},
    "receivers": ["ls-linear"],
    "link_budget": {"tx_power_dbm": [10, 23]},
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("budget-data")
    (folder / "case.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    out = folder / "set.h5"
    assert main(["data", str(folder / "case.yaml"), "--out", str(out), "--drops", "24", "--workers", "1"]) == 0
    return out


def test_every_drop_carries_its_state(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    batch = DropDataset(file).batch(range(24))
    assert batch["tx_power_dbm"].tolist() == [10.0, 23.0] * 12
    for name in ("received_esn0_db", "path_gain_db", "distance_2d_m", "condition", "user_power_dbm"):
        assert batch[name].shape == (24, 1)
    noise = 10 ** (-batch["received_esn0_db"][:, 0].numpy() / 10)
    np.testing.assert_allclose(batch["noise_var"].numpy(), noise, rtol=1e-4)
    assert (batch["path_gain_db"] < -50).all()
    assert (batch["distance_2d_m"] > 0).all()
    assert main(["data", "verify", str(file)]) == 0
    assert main(["data", "info", str(file)]) == 0
    assert "10, 23 dBm; received Es/N0" in capsys.readouterr().out


def test_receivers_on_the_file_keep_the_state(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "evaluated"
    assert main(["data", "evaluate", str(file), "--out", str(out), "--workers", "1"]) == 0
    results = load_results(out)
    stored = DropDataset(file).batch(range(24))["received_esn0_db"].numpy()
    for point in results.points:
        expected = stored[0::2] if point.esn0_db == 10 else stored[1::2]
        np.testing.assert_allclose(point.received[..., 0], expected[: point.drops], rtol=1e-5)


def test_an_interval_of_snr_is_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case, out = file.parent / "case.yaml", file.parent / "other.h5"
    assert main(["data", str(case), "--out", str(out), "--drops", "4", "--esn0-db", "0:10"]) == 2
    assert "--esn0-db: got 0:10 with link_budget" in capsys.readouterr().err
