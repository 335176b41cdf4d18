"""The soft-pilot receiver as ONNX: parity with torch on every kind of slot, and what is refused."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from safetensors.torch import save

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Ptrs, Pusch, Users
from receivers import NeuralReceiver, OnnxReceiver
from receivers.neural.soft_pilots import SoftPilotReceiver
from receivers.onnx.export import export_generic

OPTIONS = {"num_channels": 8, "dilations": [1, 2], "num_passes": 2}


def write(folder, **more):
    """Random weights as a file with its card."""
    torch.manual_seed(3)
    model = SoftPilotReceiver(**{**OPTIONS, **more})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    data = save(model.state_dict())
    card = {
        "name": "tiny",
        "sha256": hashlib.sha256(data).hexdigest(),
        "architecture": {"name": "soft-pilots", **OPTIONS, **more},
        "bits_per_symbol": [2, 4, 6, 8],
        "num_layers": [1, 2, 3, 4],
    }
    (folder / "tiny.safetensors").write_bytes(data)
    (folder / "tiny.json").write_text(json.dumps(card))
    return str(folder / "tiny.safetensors")


def link(num_prb=4, rx=4, layers=1, users=1, mcs=14, table=1, **pusch) -> Link:
    return Link(
        LinkConfig(
            carrier=Carrier(num_prb=num_prb),
            pusch=Pusch(mcs_index=mcs, mcs_table=table, num_layers=layers, **pusch),
            users=Users(num_users=users),
            num_rx_ant=rx,
            channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 200},
        )
    )


@pytest.mark.parametrize(("bits", "mcs", "table", "layers"), [(6, 20, 1, 1), (8, 20, 2, 2), (2, 4, 1, 4)])
def test_exported_model_gives_the_same_llrs(bits, mcs, table, layers, tmp_path):
    weights = write(tmp_path)
    file = export_generic(weights, tmp_path / "model.onnx", bits_per_symbol=bits, num_layers=layers)
    exported, trained = OnnxReceiver(str(file)), NeuralReceiver(weights, reject_bursts=False)
    assert json.loads(exported.model.metadata["first_estimate"]) == {"name": "blind", "max_cfo_hz": 200.0}
    for num_prb, rx, users, batch in [(1, 4, layers, 2), (3, 5, 1, 3)]:
        per_user = layers // users
        dmrs = Dmrs(config_type=2, additional_position=users % 2)
        tested = link(num_prb, rx, per_user, users, mcs, table, dmrs=dmrs)
        tested.check_receiver("exported", exported)
        observation = tested.batch(range(batch), 12.0, 1, "parity").observation
        found, expected = exported(observation), trained(observation)
        # float32 sums in another order; with several layers a comparison decides which Gaussian a symbol gets, and
        # rounding turns it for few
        same = torch.isclose(found, expected, rtol=1e-3, atol=1e-2).float().mean()
        assert float(same) > (1 - 1e-4 if layers == 1 else 0.98)
        assert float((found - expected).abs().mean()) < 2e-3 * float(expected.abs().mean())


def test_what_no_graph_can_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="re-estimations, whose equations"):
        export_generic(write(tmp_path, reestimate=[1]), tmp_path / "no.onnx")
    weights = write(tmp_path)
    with pytest.raises(ValueError, match="not trained for 5 layers"):
        export_generic(weights, tmp_path / "no.onnx", num_layers=5)
    exported = OnnxReceiver(str(export_generic(weights, tmp_path / "model.onnx")))
    with pytest.raises(ValueError, match="PT-RS; allowed: slots without"):
        link(ptrs=Ptrs()).check_receiver("exported", exported)
