"""What the README says can be done, done; what it says was measured, compared with the model card."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("newcomer")
    code = next(code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "(Receiver)" in code)
    assert len(code.splitlines()) <= 22
    (path / "my_receiver.py").write_text(code)
    return path


def ran(folder, *arguments):
    command = [sys.executable, "-m", "ran.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def test_the_receiver_of_the_readme_appears_in_the_results(folder):
    text = re.search(r"ran sim pusch-receivers (--out runs/mine .*?)\n\n", README, re.DOTALL).group(1)
    options = re.findall(r"--set (?:'([^']*)'|(\S+))", text)
    sets = [f"--set={a or b}" for a, b in options]
    assert len(sets) == 2
    small = ["--set=esn0_db=[2]", "--set=stopping={max_slots: 512}", "--workers=1", "--set=carrier.num_prb=6"]
    done = ran(folder, "sim", "pusch-receivers", "--out", "runs/mine", *sets, *small)
    assert done.returncode == 0, done.stderr
    with (folder / "runs/mine/results.csv").open() as file:
        rows = {row["receiver"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"perfect-csi", "ls-linear", "SlowChannel"}
    # on a channel that stands still, averaging over the slot must help
    assert float(rows["SlowChannel"]["bler"]) < float(rows["ls-linear"]["bler"])
    assert (folder / "runs/mine/report.html").is_file()


def test_its_options_are_checked(folder):
    bad = ran(
        folder, "sim", "pusch-receivers", "--set=receivers=[{name: 'my_receiver.py:SlowChannel', share: 3}]", "--out=x"
    )
    assert bad.returncode == 2
    assert "share: got 3" in bad.stderr
    assert not (folder / "x").exists()


def test_measured_results_equal_the_model_card():
    card = json.loads((ROOT / "receivers/weights/pusch-realtime.json").read_text())
    table = re.search(r"<!-- results -->(.*?)<!-- /results -->", README, re.DOTALL).group(1)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]
    # the card also measures links that the table has not: experiments with settings
    whole = [m for m in card["measured"] if "--set" not in m["experiment"]]
    measured = {(m["experiment"], s["receiver"]): s for m in whole for s in m["summary"] if s["target_bler"] == 0.1}
    assert len(rows) == len(measured) >= 8
    for experiment, receiver, esn0, gain, loss in rows:
        summary = measured[experiment.strip("`"), receiver.strip("`")]
        assert [esn0, gain, loss] == [summary["esn0_db"], summary["gain_db"], summary["loss_db"]]


def test_files_named_in_the_readme_exist():
    for path in re.findall(r"`((?:ran|channels|receivers|notebooks|tests)/[\w./-]+)`", README):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file(), path
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    tree = re.search(r"## Where things are\n\n(.*?)\n\n", contributing, re.DOTALL).group(1)
    for path in re.findall(r"\b((?:ran|channels|receivers|notebooks|tests)/[\w/]*)", tree):
        assert (ROOT / path).is_dir(), path


def test_the_readme_is_short_and_its_links_lead_somewhere():
    assert len(README.splitlines()) < 200
    for path in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / path).is_file(), path
