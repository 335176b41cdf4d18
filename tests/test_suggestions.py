"""What is suggested for a name that does not exist."""

import pytest

from ran.counted import counted
from ran.errors import InputError
from ran.reference.kinds import KINDS, explained_by, registries
from ran.reference.models import model_keys
from ran.reference.options import option_keys
from ran.sim.experiment import Experiment, load
from ran.suggestions import _ALIASES, did_you_mean, suggestions


def keys(block):
    paths = [key.path for key in model_keys(Experiment)]
    return [path.removeprefix(block) for path in paths if path.startswith(block) and "." not in path[len(block) :]]


@pytest.mark.parametrize(
    ("block", "given", "meant"),
    [
        ("pusch.", "mcs", "mcs_index"),
        ("pusch.", "modulation", "mcs_index"),
        ("pusch.", "MCS", "mcs_index"),
        ("pusch.", "rnti", "n_rnti"),
        ("pusch.", "dmrss", "dmrs"),
        ("carrier.", "scs", "subcarrier_spacing_khz"),
        ("carrier.", "numerology", "subcarrier_spacing_khz"),
        ("carrier.", "bandwidth", "num_prb"),
        ("carrier.", "pci", "n_cell_id"),
        ("", "snr", "esn0_db"),
        ("", "EbNo_dB", "esn0_db"),
        ("", "num_rx", "num_rx_ant"),
        ("", "chanel", "channel"),
        ("stopping.", "num_slots", "max_slots"),
    ],
)
def test_keys_of_an_experiment(block, given, meant):
    assert suggestions(given, keys(block)) == (meant,)


@pytest.mark.parametrize(
    ("place", "meant"),
    [
        ("mcs", "'pdsch.mcs_index', 'pusch.mcs_index' or 'users.mcs_index'"),
        ("mcs_index", "'pdsch.mcs_index', 'pusch.mcs_index' or 'users.mcs_index'"),
        ("num_prb", "'carrier.num_prb'"),
        ("pusch.num_prb", "'carrier.num_prb'"),
        ("scs", "'carrier.subcarrier_spacing_khz'"),
        ("max_slots", "'stopping.max_slots'"),
        ("num_slots", "'stopping.max_slots'"),
        ("carrier.mcs", "'pdsch.mcs_index', 'pusch.mcs_index' or 'users.mcs_index'"),
        ("pusch.mcs", "'mcs_index'"),
        ("chanel", "'channel'"),
    ],
)
def test_a_key_of_another_block_is_named_with_its_path(place, meant):
    with pytest.raises(InputError, match="unknown key") as raised:
        load("pusch-receivers", [f"{place}=3"])
    assert str(raised.value).endswith(f"; did you mean {meant}?")


def test_names():
    profiles = ("A", "B", "C", "D", "E", "TDLA30", "TDLB100", "TDLC300")
    assert suggestions("TDL-A", profiles) == ("A",)
    assert suggestions("tdla30", profiles) == ("TDLA30",)
    assert suggestions("TDL-A", ("awgn", "tdl", "cdl")) == ("tdl",)
    # a beginning stands for all that have it
    weights = ("beams-mlp", "pusch-hybrid", "pusch-large")
    assert suggestions("pusch", weights) == ("pusch-hybrid", "pusch-large")
    assert did_you_mean("pusch", weights) == "; did you mean 'pusch-hybrid' or 'pusch-large'?"
    assert did_you_mean("pus", (*weights, "pusch-munich")).endswith("'pusch-hybrid', 'pusch-large' or 'pusch-munich'?")
    assert did_you_mean("pusch-hybird", weights) == "; did you mean 'pusch-hybrid'?"
    assert did_you_mean("xyzzy", weights) == did_you_mean("", weights) == did_you_mean(3, ()) == ""


def test_aliases_stand_for_names_that_exist():
    """An alias is written as it is compared, and what it stands for is a key, an option, a name or a command."""
    known = {"sim"}
    for kind in KINDS.values():
        known |= {key.name for key in model_keys(kind.model())}
    for registry in registries().values():
        known |= set(registry)
        known |= {key.name for cls in registry.values() for key in option_keys(cls, explained_by(cls))}
    for alias, meant in _ALIASES.items():
        assert alias == alias.lower().replace("-", "").replace("_", "")
        assert set(meant) <= known, alias


def test_counted():
    assert [counted(n, "drop") for n in (0, 1, 2)] == ["0 drops", "1 drop", "2 drops"]
    assert counted(2, "entry", "entries") == "2 entries"
