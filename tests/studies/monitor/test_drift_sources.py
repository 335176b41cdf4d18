"""From data sets of beams and CSI reports to what monitoring says of them."""

import csv
import json

import h5py
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ran.cli.main import app
from ran.errors import InputError
from ran.studies.beams.data import write_beams
from ran.studies.beams.experiment import load as load_beams
from ran.studies.monitor.drift_sources import reports_on
from ran.studies.monitor.windows import WINDOW
from receivers.csi import NeuralCoder, pair_of, sgcs
from receivers.monitoring.outcomes import CSI_STATISTICS

NUM_DROPS = 24


@pytest.fixture(scope="module")
def beams(tmp_path_factory):
    path = tmp_path_factory.mktemp("beams") / "beams.h5"
    write_beams(load_beams("beams-uma-30ghz", ["seed=5"]), NUM_DROPS, (0, 0, 1), path)
    return path


@pytest.fixture(scope="module")
def csi(tmp_path_factory):
    """Two layers of twelve users that report precoders close to what the codebook says of them."""
    coder, generator = NeuralCoder("csi-refined", 24), torch.Generator().manual_seed(1)
    shape = (2 * NUM_DROPS, 13, 32)
    base, noise = (torch.randn(shape, dtype=torch.complex64, generator=generator) for _ in range(2))
    base = base / base.norm(dim=-1, keepdim=True)
    v = base + 0.05 * noise
    v = v / v.norm(dim=-1, keepdim=True)
    path = tmp_path_factory.mktemp("csi") / "csi.h5"
    with h5py.File(path, "w") as file:
        for name, value in (("precoders", v), ("base", base)):
            file[name] = torch.view_as_real(value).numpy()
        file["reports"] = coder.encode(v, base)
        file["split"] = np.zeros(len(v), np.uint8)
        file["drop"] = np.repeat(np.arange(NUM_DROPS), 2)
        of_base = coder.card["base"]
        file.attrs.update({"pair_sha256": pair_of(coder.card), "bits_per_value": coder.model.bits_per_value})
        file.attrs.update({key: of_base[key] for key in ("combination", "n1", "n2")})
    return path, v, base


def test_reports_of_csi_are_the_means_of_users_over_their_layers(csi):
    path, v, base = csi
    found = reports_on(path, "csi-refined", "csi")
    coder = NeuralCoder("csi-refined", 24)
    with h5py.File(path) as file:
        decoded = coder.decode(file["reports"][:], base)
    assert found.values.shape == (NUM_DROPS, len(CSI_STATISTICS))
    similarity = sgcs(v, decoded).mean(1).reshape(-1, 2).mean(1)
    gain = similarity - sgcs(v, base).mean(1).reshape(-1, 2).mean(1)
    np.testing.assert_allclose(found.values[:, 0], gain, atol=1e-5)
    np.testing.assert_allclose(found.values[:, 1], similarity, atol=1e-5)
    assert found.setting == {"ports": 32, "subbands": 13, "latents": 24, "combination": 2}


def test_reports_of_other_weights_are_refused(csi, beams, tmp_path):
    other = tmp_path / "other.h5"
    other.write_bytes(csi[0].read_bytes())
    with h5py.File(other, "a") as file:
        file.attrs["pair_sha256"] = "0" * 64
    with pytest.raises(InputError, match=r"other.h5: got reports of other weights than 'csi-refined'"):
        reports_on(other, "csi-refined", "csi")
    with pytest.raises(InputError, match=r"exchange: .*beams.h5 has no precoders"):
        reports_on(beams, "csi-refined", "csi")
    with pytest.raises(InputError):
        reports_on(csi[0], "beams-geometric", "beams")


def test_beams_as_in_training_are_no_alarm_and_others_are(beams, tmp_path):
    calm = CliRunner().invoke(
        app, ["monitor", str(beams), "--weights", "beams-geometric", "--out", str(tmp_path / "a")]
    )
    assert calm.exit_code == 0, calm.output
    values = json.loads((tmp_path / "a" / "monitor.json").read_text())
    assert values["reports"] == NUM_DROPS
    assert values["windows_with_alarm"] == {"inputs": 0, "worse": 0}
    page = (tmp_path / "a" / "monitor.html").read_text()
    assert "a window of 20 reports" in page
    assert "No label is used" in page
    rows = list(csv.DictReader((tmp_path / "a" / "monitor.csv").open()))
    assert [row["inputs"] == "" for row in rows] == [number < WINDOW - 1 for number in range(NUM_DROPS)]
    # powers that say nothing of where users are
    with h5py.File(beams, "a") as file:
        stored = file["measured_dbm"][:]
        file["measured_dbm"][:] = np.random.default_rng(1).permuted(stored, axis=-1)
    found = reports_on(beams, "beams-geometric", "beams")
    with h5py.File(beams, "a") as file:
        file["measured_dbm"][:] = stored
    calm_gain = np.mean([float(row["gain_over_the_strongest_measured_beam"]) for row in rows])
    assert found.values[:, 0].mean() < calm_gain - 3


def test_precoders_of_no_cell_are_an_alarm(csi, tmp_path):
    result = CliRunner().invoke(app, ["monitor", str(csi[0]), "--weights", "csi-refined", "--out", str(tmp_path / "b")])
    # random precoders are unlike those of any cell
    assert result.exit_code == 1, result.output
    assert "alarm of inputs in 5 of 5 windows" in result.output
