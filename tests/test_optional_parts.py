"""Without an optional package: one line that names it and the command that installs it.

Each part is asked for in a process of its own in which the package cannot be imported, installed or not: in one process
an earlier import would hide what a later one lacks.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Blocks the packages, then runs a program: the command line, or what a notebook would call.
CHILD = """
import sys
from importlib import metadata

blocked, program = sys.argv[1].split(","), sys.argv[2]
version = metadata.version

def version_of_others(name):
    if name.replace("-", ".") in blocked:
        raise metadata.PackageNotFoundError(name)
    return version(name)

metadata.version = version_of_others
for name in blocked:
    sys.modules[name] = None
from pathlib import Path
from ran.cli.main import main
try:
    exec(program)
except ValueError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
"""


@dataclass(frozen=True)
class Part:
    """extra: that brings the packages. named: in the line, where not as imported."""

    extra: str
    packages: str
    program: str
    named: str = ""


PARTS = {
    "onnx export": Part(
        "onnx", "onnx", "sys.exit(main(['export', 'pusch-hybrid', '--target', 'onnx', '--out', 'new']))"
    ),
    "onnx writer": Part(
        "onnx", "onnx", "from receivers.onnx.export import export_generic; export_generic('pusch-hybrid', 'a.onnx')"
    ),
    "bench": Part("sionna", "sionna", "sys.exit(main(['bench', 'ldpc', '--against', 'sionna']))"),
    "links of Sionna": Part("sionna", "sionna", "import channels.to_sionna"),
    "gpu": Part("gpu", "triton", "from ran.phy.ldpc.cuda import _kernels; _kernels()"),
    "rays": Part(
        "rt",
        "sionna.rt",
        "from channels.raytraced import cached_rays, trace_options\n"
        "cached_rays(trace_options({'scene': 'munich', 'carrier_frequency_hz': 3.5e9, 'base_position_m': [8.5, 21, 27],"
        "'users': {'layout': 'positions', 'positions_m': [[45.0, 90.0, 1.5]]}}))",
        "sionna-rt",
    ),
    "zarr": Part("zarr", "zarr", "from ran.datasets.container import open_container; open_container(Path('.'))"),
    "aodt": Part("aodt", "pyarrow", "from channels.datasets.aodt import read_aodt; read_aodt(Path('.'))"),
    "data in TensorFlow": Part(
        "tensorflow", "tensorflow", "from ran.datasets.tensorflow_reader import tf_dataset; tf_dataset(None, 4)"
    ),
    "tensorboard": Part(
        "tensorboard",
        "tensorboard",
        "from ran.training.tensorboard_log import TensorBoardLog; TensorBoardLog(Path('curves'))",
    ),
    "litert": Part(
        "litert",
        "litert_torch,ai_edge_litert,ai_edge_quantizer",
        "sys.exit(main(['export', 'pusch-hybrid', '--target', 'litert', '--out', 'new']))",
    ),
    "litert quantizer": Part(
        "litert",
        "ai_edge_quantizer",
        "sys.exit(main(['export', 'pusch-hybrid', '--target', 'litert', '--out', 'new']))",
    ),
    "litert file": Part(
        "litert", "ai_edge_litert", "sys.exit(main(['export', 'check', 'a.tflite', '--contract', 'generic']))"
    ),
    "savedmodel": Part(
        "litert,tensorflow",
        "tensorflow,litert_torch",
        "sys.exit(main(['export', 'pusch-hybrid', '--target', 'savedmodel', '--out', 'new']))",
    ),
    "cluster": Part("ray", "ray", "sys.exit(main(['sim', 'pusch-receivers', '--cluster', 'local', '--out', 'new']))"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[str, tuple[int, str, list[str]]]:
    """Exit status, standard error and what is left of every part, all run at once."""
    children = {}
    for name, part in PARTS.items():
        folder = tmp_path_factory.mktemp(name.replace(" ", "-"))
        (folder / "a.tflite").write_bytes(b"0000TFL3")
        command = [sys.executable, "-c", CHILD, part.packages, part.program]
        own = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
        child = subprocess.Popen(
            command, cwd=folder, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        children[name] = (folder, child)
    found = {}
    for name, (folder, child) in children.items():
        error = child.communicate()[1]
        found[name] = (child.returncode, error, sorted(path.name for path in folder.iterdir() if path.name[0] != "."))
    return found


@pytest.mark.parametrize("name", PARTS)
def test_one_line_names_the_package_and_its_command(name, told):
    part, (status, error, left) = PARTS[name], told[name]
    assert status == 2, error
    assert error.count("\n") == 1, error
    assert f"pip install 'ran6g[{part.extra}]'" in error
    for package in (part.named or part.packages).split(","):
        assert package in error
    assert left == ["a.tflite"]


def test_every_extra_that_the_package_imports_is_tried():
    """And no line names an extra that is not there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    tried = {extra for part in PARTS.values() for extra in part.extra.split(",")}
    assert tried == extras - {"dev", "docs", "notebook"}  # notebooks are run by their own tests, the site by make check
    sources = [path for package in ("ran", "channels", "receivers") for path in (ROOT / package).rglob("*.py")]
    for path in sources:
        for named in re.findall(r"ran6g\[([a-z,]+)\]", path.read_text(encoding="utf-8")):
            assert set(named.split(",")) <= extras, path
