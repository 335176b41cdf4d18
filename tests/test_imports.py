"""What is imported without torch: the public package, the command line's help, its lists, and refusals of bad files."""

import subprocess
import sys

import pytest

import channels
import channels.impairments
import ran
import receivers
import receivers.beams
from ran.link.catalogue import options
from ran.registry import KINDS, descriptions, find_class
from ran.registry.lookup import option_names

HEAVY = ("torch", "numba", "matplotlib", "sionna", "onnxruntime", "pandas", "scipy.stats")
LISTS = (
    "receivers", "channels", "impairments", "experiments", "adaptations", "beam-experiments", "beam-predictors",
    "architectures", "weights", "recipes", "targets",
)  # fmt: skip


def _imported_by(code: str) -> set[str]:
    """Heavy packages that a fresh process has imported after `code`."""
    program = f"import sys\n{code}\nprint(*(name for name in {HEAVY!r} if name in sys.modules), sep=',')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(filter(None, done.stdout.removesuffix("\n").split("\n")[-1].split(",")))


def test_the_packages_are_imported_without_anything_heavy():
    assert _imported_by("import ran, channels, receivers, channels.impairments, receivers.beams") == set()


def test_a_public_function_brings_what_it_needs_and_the_check_sees_it():
    assert "torch" in _imported_by("import channels; channels.Tdl")


def test_lists_help_and_refusals_take_no_torch(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("channel: {name: awgn}\nreceivers: [lmmse]\nesn0_db: [0]\nnum_rx_ants: 2\n")
    link = "channel: {name: tdl, %s: A}\nreceivers: [{name: blind, %s: ep}]\nesn0_db: [0]\n"
    for name, keys in {"channel": ("profil", "detector"), "receiver": ("profile", "detektor")}.items():
        (tmp_path / f"{name}.yaml").write_text(link % keys)
    commands = [["list", kind] for kind in LISTS] + [
        ["--help"],
        ["sim", str(bad)],
        ["sim", str(tmp_path / "channel.yaml")],
        ["sim", str(tmp_path / "receiver.yaml")],
        ["adapt", str(bad)],
        ["beams", str(bad)],
    ]
    code = "\n".join(
        ["from ran.cli.main import main", *(f"print(main({command!r}))" for command in commands), "print()"]
    )
    imported = _imported_by(code)
    assert "torch" not in imported
    assert "scipy.stats" not in imported


def test_the_module_runs_as_the_command_line():
    done = subprocess.run([sys.executable, "-m", "ran", "list", "targets"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "onnx" in done.stdout


@pytest.mark.parametrize("package", [ran, channels, channels.impairments, receivers, receivers.beams])
def test_everything_in_all_can_be_imported_and_shipped_classes_are_in_it(package):
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert len(set(package.__all__)) == len(package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        package.Nothing  # noqa: B018


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_the_registry_names_each_class_as_it_names_itself(kind):
    for name, text in descriptions(kind).items():
        if name not in kind.shipped:
            continue
        cls = find_class(kind, name)
        assert getattr(cls, "name", name) == name
        assert text
        assert text == cls.__doc__.strip().split("\n")[0]


@pytest.mark.parametrize(
    ("kind", "package"), [("channels", channels), ("impairments", channels.impairments), ("receivers", receivers),
                          ("beam-predictors", receivers.beams)],
)  # fmt: skip
def test_every_shipped_class_is_importable_from_the_top_of_its_package(kind, package):
    for path in KINDS[kind].shipped.values():
        assert path.partition(":")[2] in package.__all__


@pytest.mark.parametrize("kind", ["channels", "impairments", "receivers"])
def test_options_read_from_the_source_are_those_of_the_class(kind):
    known = {name: option_names(place) for name, place in KINDS[kind].shipped.items()}
    assert sum(found is not None for found in known.values()) > 3  # scenarios share a constructor
    for name, found in known.items():
        if found is not None:
            assert found == tuple(options(find_class(KINDS[kind], name))), name


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"channel": {"name": "tdl", "profil": "A"}},
            r"channel\.profil: unknown option of 'tdl'.*did you mean 'profile'",
        ),
        (
            {"receivers": ["lmmse", {"name": "blind", "detektor": "ep"}]},
            r"receivers\.1\.detektor: unknown option of 'blind'",
        ),
    ],
)
def test_a_misspelt_option_is_refused_as_when_it_is_built(given, line):
    with pytest.raises(ran.InputError, match=line):
        ran.simulate({"channel": "awgn", "receivers": ["lmmse"], "esn0_db": [0.0], **given})
