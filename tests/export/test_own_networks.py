"""Networks of one's own as ONNX, by their own forward pass: parity, and what cannot be written is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import save

import ran
from receivers import OnnxReceiver
from receivers.user_module import imported

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "my_net.py"
SLOTS = {"num_prb": (2,), "num_slots": 8, "latency_slots": 1, "esn0_db": 20.0}
CHANGES = {"pusch.mcs_index": 4, "num_rx_ant": 2}

#: Least squares by complex arithmetic of many kinds, in place of a network.
ARITHMETIC = """
import torch
from torch import nn

class Arithmetic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, observation):
        y, pilots = observation.y, observation.pilots
        at_pilots = (y * pilots[0].conj()).sum((2, 3), keepdim=True)
        h = at_pilots / (pilots[0].abs() ** 2).sum() + 0.1 * torch.polar(at_pilots.abs(), at_pilots.angle())
        size = torch.view_as_real(h).square().sum(-1).sqrt()
        h = torch.complex(h.real, h.imag) / (1e-3 + size) * size
        x = (h.conj() * y).sum(1) / (h.real**2 + h.imag**2).sum(1)
        x = torch.stack([x, x.conj().conj()]).mean(0) + (1j * x - 1j * x) + torch.zeros(1, dtype=torch.complex64)
        x = torch.view_as_complex(torch.view_as_real(x).contiguous())
        scale = 4 * 0.5**0.5 * self.gain / observation.noise_var[:, None, None]
        llr = torch.stack([x.real * scale, x.imag * scale], -1)[:, None].flatten(2, 3)
        return observation.at_data(llr.movedim(-1, 2).unflatten(-1, x.shape[1:])).movedim(2, -1)
"""
#: Bodies of the same forward pass that no ONNX file has a form for.
REFUSED = {
    "y = torch.fft.fft(observation.y)": r"takes torch function 'fft_fft' of complex numbers; allowed: .*--target torch",
    "y = observation.y * self.table": "takes a tensor of complex numbers that the network holds of complex numbers",
    "y = torch.special.bessel_j0(observation.y.real)": r"cannot be written as ONNX: .*bessel_j0.*--target torch",
}


def own_weights(folder: Path, source: str, name: str, **options: object) -> Path:
    """Weights of a class in a file, as `ran train` would have left them."""
    torch.manual_seed(1)
    (folder / "own.py").write_text(source)
    model = getattr(imported(folder / "own.py"), name)(**options)
    data = save(model.state_dict())
    card = {
        "name": "own",
        "sha256": hashlib.sha256(data).hexdigest(),
        "architecture": {"name": f"own.py:{name}", **options},
        "architecture_files": {"own.py": hashlib.sha256(source.encode()).hexdigest()},
        "bits_per_symbol": [2],
        "num_layers": [1],
    }
    (folder / "own.safetensors").write_bytes(data)
    (folder / "own.json").write_text(json.dumps(card))
    return folder / "own.safetensors"


@pytest.mark.parametrize(
    ("source", "name"), [(EXAMPLE.read_text(), "MyNet"), (ARITHMETIC, "Arithmetic")], ids=["example", "arithmetic"]
)
def test_a_network_of_ones_own_becomes_onnx(source, name, tmp_path):
    weights = own_weights(tmp_path, source, name)
    found = ran.export_model(weights, "onnx", tmp_path / "out", CHANGES, **SLOTS)
    assert not found.problems
    (file,) = found.files
    assert file.name == "model-2prb.onnx"
    assert file.bler.before == file.bler.module == file.bler.after
    assert max(llr.max_difference / llr.max_llr for llr in file.llrs) < 1e-5
    model = onnx.load(found.folder / file.name)
    assert model.opset_import[0].version == 17
    assert not [t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.COMPLEX64]
    if name == "Arithmetic":
        assert file.bler.after == 0  # it is a receiver, at 20 dB


@pytest.mark.parametrize("line", REFUSED)
def test_what_has_no_form_is_refused_with_the_way_out(line, tmp_path):
    source = ARITHMETIC.replace("y, pilots = observation.y, observation.pilots", f"pilots = observation.pilots; {line}")
    source = source.replace(
        "nn.Parameter(torch.ones(()))",
        "nn.Parameter(torch.ones(()))\n        self.table = torch.ones(24, dtype=torch.complex64)",
    )
    with pytest.raises(ran.InputError, match=REFUSED[line]) as error:
        ran.export_model(own_weights(tmp_path, source, "Arithmetic"), "onnx", tmp_path / "out", CHANGES, **SLOTS)
    assert "\n" not in str(error.value)
    assert {path.name for path in tmp_path.iterdir() if path.name != "__pycache__"} == {
        "own.py",
        "own.safetensors",
        "own.json",
    }


def test_the_file_of_a_network_of_ones_own_has_one_size(tmp_path):
    weights = own_weights(tmp_path, EXAMPLE.read_text(), "MyNet", num_channels=4)
    found = ran.export_model(weights, "onnx", tmp_path / "out", CHANGES, **SLOTS)
    moved = shutil.copy(found.folder / found.files[0].name, tmp_path / "mine.onnx")
    link = {"carrier": {"num_prb": 3}, "num_rx_ant": 2, "pusch": {"mcs_index": 4}, "esn0_db": [10.0]}
    channel = {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 10}
    with pytest.raises(ran.InputError, match="got num_subcarriers 36; allowed: 24, which the file fixes"):
        ran.simulate({**link, "channel": channel, "receivers": [str(moved)], "stopping": {"max_slots": 4}})
    assert OnnxReceiver(str(moved)).contract.name == "generic"
