"""Classes of installed packages: an entry point of the group `ran6g.<kind>`."""

import shutil
import sys
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path

import pytest

from ran.cli.main import main
from ran.errors import InputError
from ran.export.catalogue import target_of
from ran.link.catalogue import build_channel, channel_catalogue, channel_fingerprint
from ran.link.user_source import source_digest
from ran.reference.schema import schema
from ran.registry import KINDS, find_class
from ran.studies.beams.catalogue import build_predictor
from ran.studies.catalogue import build_study
from ran.training.catalogue import load_recipe
from ran.training.kind import write_weight_files
from ran.training.slot_train import build_model
from ran.training.slot_weights import architecture_of
from receivers.neural.weights import load_weights


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A distribution on the path, as pip would have left it."""
    (tmp_path / "acme_radio.py").write_text(
        "from channels import RayleighBlock\n"
        'class Acme(RayleighBlock):\n    """Channel of a package."""\n    name = "acme"\n'
    )
    about = tmp_path / "acme_radio-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-radio\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[ran6g.channels]\nacme = acme_radio:Acme\nlost = acme_radio:Lost\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("acme_radio", None)


def test_an_entry_point_is_listed_built_and_hashed_by_its_source(package):
    assert isinstance(entry_points(group="ran6g.channels"), EntryPoints)
    assert channel_catalogue()["acme"] == "Channel of a package."
    assert build_channel({"name": "acme"}).name == "acme"
    assert channel_fingerprint({"name": "acme"}) == source_digest(package / "acme_radio.py")


def test_an_entry_point_without_its_class_is_one_line(package):
    with pytest.raises(InputError, match="'lost' of acme_radio:Lost cannot be imported"):
        build_channel({"name": "lost"})


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
#: The worked examples as an installed package has them: kind, name, class.
OFFERED = {
    "channels": ("two-paths", "my_channel:TwoPaths"),
    "impairments": ("clipping", "my_impairment:Clipping"),
    "receivers": ("prb-average", "my_receiver:PrbAverage"),
    "architectures": ("my-net", "my_net:MyNet"),
    "beam-predictors": ("nearest-beams", "my_predictor:NearestBeams"),
    "export-targets": ("optimised", "my_target:Optimised"),
    "studies": ("dmrs-symbols", "own_study:DmrsSymbols"),
}


@pytest.fixture
def examples_package(tmp_path, monkeypatch):
    """A distribution that offers the examples."""
    about = tmp_path / "acme_examples-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-examples\nVersion: 1.0\n")
    lines = [f"[{KINDS[kind].group}]\n{name} = acme_examples.{place}\n" for kind, (name, place) in OFFERED.items()]
    (about / "entry_points.txt").write_text("".join(lines))
    package = tmp_path / "acme_examples"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for _, place in OFFERED.values():
        shutil.copy(EXAMPLES / f"{place.partition(':')[0]}.py", package)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_examples"]:
        del sys.modules[name]


def test_every_kind_has_an_example():
    assert set(OFFERED) == set(KINDS)


@pytest.mark.parametrize("kind", OFFERED)
def test_every_kind_takes_an_entry_point(examples_package, capsys, kind):
    name, place = OFFERED[kind]
    assert main(["list", kind]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.split()[0] == name)
    assert len(line.split()) > 2  # with its description
    found = find_class(KINDS[kind], name)
    assert found.__name__ == place.partition(":")[2]


def test_names_of_entry_points_are_taken_where_shipped_ones_are(examples_package, tmp_path):
    assert target_of("optimised").name == "optimised"
    properties = schema()["$defs"]["impairments/clipping"]["properties"]
    assert properties["clipping_db"]["default"] == 6.0
    assert [part.facts["dmrs_symbols"] for part in build_study("dmrs-symbols", {"num_prb": 1}).parts()][:3] == [1, 2, 3]
    assert build_predictor({"name": "nearest-beams", "width": 0.3}).name == "nearest-beams"
    with pytest.raises(InputError, match=r"--target: got 'optimized'; .*did you mean 'optimised'"):
        target_of("optimized")


NET = """
import torch
from torch import nn
from .layers import Gain

class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = Gain()

    def forward(self, observation):
        shape = (len(observation.y), observation.num_layers, observation.num_data_re, observation.bits_per_symbol)
        return self.gain(torch.ones(shape))
"""
LAYERS = """
import torch
from torch import nn

class Gain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.factor * x
"""


@pytest.fixture
def network(examples_package):
    (examples_package / "my_net.py").write_text(NET.replace("Small", "MyNet"))
    (examples_package / "layers.py").write_text(LAYERS)
    return examples_package


def _recipe(tmp_path, name):
    text = (EXAMPLES / "my_net.yaml").read_text().replace('"my_net.py:MyNet", num_channels: 16', name)
    (tmp_path / "net.yaml").write_text(text)
    return load_recipe(str(tmp_path / "net.yaml"), [])


def test_a_network_of_a_package_loads_from_beside_its_weights(network, tmp_path):
    recipe = _recipe(tmp_path, "my-net")
    model = build_model(recipe)
    out = tmp_path / "weights"
    out.mkdir()
    card = {
        "name": "net",
        "licence": "Apache-2.0",
        "bits_per_symbol": [2],
        "num_layers": [1],
        **architecture_of(recipe, model, out),
    }
    assert set(card["architecture_files"]) == {"my_net.py", "layers.py"}
    write_weight_files(out, model, card)
    (network / "layers.py").unlink()  # what is beside the weights is enough
    loaded = load_weights(str(out / "net.safetensors")).model("net", {})
    assert loaded.gain.factor.item() == 2.0


def test_a_network_that_needs_what_is_above_its_folder_is_refused_before_training(network, tmp_path):
    (network / "deep").mkdir()
    (network / "deep" / "__init__.py").write_text("")
    (network / "deep" / "my_net.py").write_text(NET.replace("Small", "MyNet").replace("from .", "from .."))
    file = next(tmp_path.glob("*.dist-info")) / "entry_points.txt"
    file.write_text(file.read_text() + "[ran6g.architectures]\ndeep-net = acme_examples.deep.my_net:MyNet\n")
    with pytest.raises(InputError, match=r"model\.name: got 'deep-net'; allowed: .*above its folder.*layers\.py"):
        build_model(_recipe(tmp_path, "deep-net"))
