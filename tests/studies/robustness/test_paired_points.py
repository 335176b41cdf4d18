"""All shipped weights and `arbitrated` under the conditions of `ran robustness` at one point each, slot by slot; slow.

`PAIRED_SLOTS=96 pytest -n 0 -s -m slow tests/studies/robustness/test_paired_points.py` prints the table of
docs/lab/arbitration.md.
"""

import os

import numpy as np
import pytest
import torch

from ran.errors import ReceiverRefused
from ran.link.catalogue import build_receiver
from ran.stats import sign_test
from ran.studies.monitor.condition import link_under
from ran.studies.robustness.conditions import load_conditions
from receivers.neural.weights import shipped_weights

#: Slots of a condition; the first ones are the same however many there are.
NUM_SLOTS = int(os.environ.get("PAIRED_SLOTS", "24"))
AT_ONCE = 24
#: Es/N0 in dB around the waterfalls of 8 PRB; of those not named, 4.
POINTS_DB = {
    "qpsk": -4,
    "64qam": 10,
    "256qam": 16,
    "weak-qpsk": -8,
    "users-2": 6,
    "users-4": 3,
    "layers-2": 9,
    "antennas-2": 7,
    "antennas-apart": 9,
    "antenna-dead": 6,
    "speed-500kmh": 6,
    "speed-300kmh": 5,
    "bursts": 7,
    "amplifier": 14,
    "phase-noise": 13,
    "strong": 40,
    "strong-one-pilot": 40,
    "tdl-d": 0,
    "tdl-e": 0,
    "cdl-d": 1,
    "pilots-1": 6,
    "prb-1": 6,
    "timing-1us": 5,
    "delay-1000ns": 3,
}
#: Those that take minutes, and that with powers in place of an Es/N0.
LEFT_OUT = {"prb-51", "prb-106", "prb-273", "munich", "near-users"}


@pytest.mark.slow
def test_no_weights_are_worse_than_ls_linear_and_arbitrated_is_not_behind_its_members():
    weights = [name for name in sorted(shipped_weights("receiver")) if name != "pusch-pilotless"]
    blocks = {name: {"name": name} for name in ("ls-linear", "lmmse", "blind", "arbitrated")}
    blocks |= {name: {"name": "neural", "weights": name} for name in weights}
    receivers = {name: build_receiver(block, path="test") for name, block in blocks.items()}
    conditions, found, sums = load_conditions(), {name: [] for name in receivers}, []
    worse = []
    print("\n| condition, Es/N0 | " + " | ".join(receivers) + " |")
    for condition in conditions.conditions:
        if condition.name in LEFT_OUT:
            continue
        link = link_under(conditions, condition, None if condition.name.startswith("prb") else 8)
        esn0_db = float(POINTS_DB.get(condition.name, 4))
        lost = {}
        for name, receiver in receivers.items():
            try:
                link.check_receiver(name, receiver)
            except ReceiverRefused:
                continue
            lost[name] = []
        with torch.inference_mode():
            for start in range(0, NUM_SLOTS, AT_ONCE):
                drops = range(start, min(start + AT_ONCE, NUM_SLOTS))
                batch = link.batch(drops, esn0_db, 31, f"matrix/{condition.name}", with_channel=False)
                for name, parts in lost.items():
                    errors = link.count_errors(link.receive(receivers[name], batch), batch).block_errors
                    parts.append(np.asarray(errors).reshape(len(drops), -1).any(1))
        lost = {name: np.concatenate(parts) for name, parts in lost.items()}
        cells = (str(int(lost[name].sum())) if name in lost else "refused" for name in receivers)
        print(f"| {condition.title}, {esn0_db:g} dB | " + " | ".join(cells) + " |", flush=True)
        for name in [*weights, "arbitrated"]:
            if name in lost:
                own, other = lost[name], lost["ls-linear"]
                if _is_worse(own, other):
                    worse.append((condition.name, name))
                found[name].append((own, other))
        members = lost["pusch-realtime"], lost["blind"]
        # a slot that a member receives is received
        assert not (lost["arbitrated"] & ~(members[0] & members[1])).any(), condition.name
        sums.append([int(lost["arbitrated"].sum()), *(int(member.sum()) for member in members)])
    arbitrated, network, blind = np.array(sums).T
    better = np.minimum(network, blind)
    print(
        f"arbitrated loses {arbitrated.sum()}, pusch-realtime {network.sum()}, blind {blind.sum()}, the better of both "
        f"in each condition {better.sum()}; fewer than either in {int((arbitrated < better).sum())} of {len(sums)}"
    )
    for name in weights:
        own, other = (np.concatenate([pair[side] for pair in found[name]]) for side in (0, 1))
        print(f"{name}: {int(own.sum())} of {len(own)} lost, ls-linear {int(other.sum())}")
        assert own.sum() < other.sum()
    assert not worse


def _is_worse(own, other):
    more, less = int((own & ~other).sum()), int((other & ~own).sum())
    return more > less and sign_test(more, less) < 0.025
