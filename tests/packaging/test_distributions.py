"""Wheel and source distribution install into a clean environment and simulate there, away from the source tree."""

import csv
import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.slow


def run(*command, cwd, seconds=1800):
    # nothing of this tree or environment may be found by the clean one
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Wheel and source distribution of this tree."""
    if not list(importlib.metadata.distributions(name="build")):
        pytest.skip("needs the package build, of the extra dev")
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", str(out), str(ROOT), cwd=out)
    (wheel,), (source,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": source}


def test_the_wheel_holds_what_is_read_at_run_time(distributions):
    with zipfile.ZipFile(distributions["wheel"]) as wheel:
        names = set(wheel.namelist())
    data = ("*.css", "*.js", "*.j2", "*.yaml", "*.csv", "*.npz", "*.safetensors", "*.json", "*.cpp", "*.h", "py.typed")
    for package in ("ran", "channels", "receivers"):
        for pattern in data:
            for path in (ROOT / package).rglob(pattern):
                assert str(path.relative_to(ROOT)) in names, path


def interpreter(version):
    """A Python of that version on this machine; skips where there is none."""
    kept = Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")
    for found in (shutil.which(f"python{version}"), *map(str, kept)):
        # a shim of pyenv is on the path also where it starts nothing
        if found is None:
            continue
        told = subprocess.run([found, "-c", "import sys, venv; print(sys.version)"], capture_output=True, text=True)
        if told.returncode == 0 and told.stdout.startswith(f"{version}."):
            return found
    pytest.skip(f"needs python{version} on the path, or of pyenv")


@pytest.mark.parametrize(
    ("kind", "version"), [("wheel", "3.11"), ("wheel", "3.12"), ("wheel", "3.13"), ("sdist", "3.11")]
)
def test_it_installs_and_simulates(distributions, tmp_path, kind, version):
    run(interpreter(version), "-m", "venv", str(tmp_path / "env"), cwd=tmp_path)
    python = str(tmp_path / "env/bin/python")
    constraints = str(ROOT / "constraints.txt")
    install = [python, "-m", "pip", "install", "--quiet", "-c", constraints, str(distributions[kind])]
    # where an index has no CPU build of torch for this Python, 5 GB of CUDA libraries come along
    run(*install, cwd=tmp_path, seconds=5400)
    where = run(python, "-c", "import ran; print(ran.__file__)", cwd=tmp_path)
    assert where.startswith(str(tmp_path / "env"))
    sets = ["--set=esn0_db=[2]", "--set=stopping={max_slots: 64}", "--set=carrier.num_prb=6", "--workers=1"]
    run(python, "-m", "ran", "sim", "pusch-receivers", "--out", "small", *sets, cwd=tmp_path)
    with (tmp_path / "small/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert all(int(row["blocks"]) == 64 for row in rows)
    assert (tmp_path / "small/report.html").stat().st_size > 10_000
