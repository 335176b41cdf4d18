"""Classes of installed packages: an entry point of the group `ran6g.<kind>`."""

import sys
from importlib.metadata import EntryPoints, entry_points

import pytest

from ran.errors import InputError
from ran.link.catalogue import build_channel, channel_catalogue, channel_fingerprint
from ran.link.user_source import source_digest


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
