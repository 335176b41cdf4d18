"""`ran sim` with users that have resource blocks of their own: counts of every user, resuming, and the report."""

import csv

import pytest
import yaml

from ran.cli.main import main
from ran.sim.results import load_results

EXPERIMENT = {
    "name": "own-blocks",
    "carrier": {"num_prb": 8},
    "users": {
        "num_users": 2,
        "mcs_index": [4, 11],
        "allocation": [{"first_prb": 0, "num_prb": 4}, {"first_prb": 5, "num_prb": 3}],
    },
    "num_rx_ant": 2,
    "channel": {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 10},
    "receivers": ["ls-linear", "lmmse"],
    "esn0_db": [0.0, 6.0],
    "stopping": {"min_block_errors": None, "max_slots": 64, "min_bler": None},
}


@pytest.mark.slow
def test_a_run_counts_every_user_and_resumes(tmp_path, capsys):
    file, out = tmp_path / "own.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump(EXPERIMENT))
    command = ["sim", str(file), "--out", str(out), "--workers", "1"]
    assert main([*command, "--set", "stopping.max_slots=32"]) == 0
    half = load_results(out)
    assert main(command) == 0
    whole = load_results(out)
    assert [point.drops for point in half.points] == [32] * 4
    assert [point.drops for point in whole.points] == [64] * 4
    table = (out / "results.csv").read_bytes()
    rows = list(csv.DictReader(table.decode().splitlines()))
    for row in rows:
        each = [int(row[f"count_block_errors_user_{user}"]) for user in (1, 2)]
        assert sum(each) == int(row["block_errors"])
    at_6_db = next(row for row in rows if row["receiver"] == "lmmse" and float(row["esn0_db"]) == 6.0)
    assert int(at_6_db["count_block_errors_user_1"]) < int(at_6_db["count_block_errors_user_2"])
    # at once in one call, and once more: the same numbers, and nothing is simulated again
    assert main(["sim", str(file), "--out", str(tmp_path / "once"), "--workers", "1"]) == 0
    assert (tmp_path / "once" / "results.csv").read_bytes() == table
    assert main(command) == 0
    assert (out / "results.csv").read_bytes() == table
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "PRBs 0 to 3; PRBs 5 to 7" in page
    # other blocks are another experiment, which the folder refuses
    capsys.readouterr()
    other = ["--set", "users.allocation=[{num_prb: 4}, {first_prb: 4, num_prb: 3}]"]
    assert main([*command, *other]) == 2
    assert "users.allocation" in capsys.readouterr().err
