"""The encoder of a two-sided CSI model as LiteRT: what int8 loses, and which models have no encoder of their own."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from ran.cli.main import main
from ran.errors import InputError
from ran.export.csi_litert import export_encoder


@pytest.mark.parametrize("weights", ["csi-delay-angle", "csi-prediction"])
def test_models_without_an_encoder_of_their_own_are_refused(weights, tmp_path):
    with pytest.raises(InputError, match=rf"{weights}: architecture: got .*; allowed: refinement"):
        export_encoder(weights, tmp_path / "out", "csi-uma-32ports")
    assert not (tmp_path / "out").exists()


def test_another_layout_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="--experiment: got 'csi-uma-32ports'; allowed: 13 PMI units"):
        export_encoder("csi-refined", tmp_path / "out", "csi-uma-32ports", ("panel.n2=4", "feedback=[ideal]"))
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(find_spec("litert_torch") is not None, reason="litert_torch is installed")
def test_without_the_package_the_target_says_how_to_install_it(tmp_path, capsys):
    assert main(["export", "csi-refined", "--target", "csi-litert", "--out", str(tmp_path / "out")]) == 2
    assert "ran6g[litert]" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(find_spec("litert_torch") is None, reason="needs litert_torch (extra litert)")
@pytest.mark.parametrize(("dtype", "most"), [("f32", 0.0005), ("int8", 0.05)])
def test_the_file_reports_what_the_weights_report(dtype, most, tmp_path):
    found = export_encoder("csi-refined", tmp_path / "out", "csi-uma-32ports", (), dtype)
    assert not found.problems
    # of the indices some lie at an edge of the quantiser
    assert found.changed <= most
    assert found.sgcs_before - found.sgcs_after < 0.002
    assert (found.num_bytes < 600_000) == (dtype == "int8")
