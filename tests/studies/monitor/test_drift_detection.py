"""How well drift of the shipped CSI and beam models is detected, measured with damaged weights; slow.

`pytest -n 0 -s -m slow tests/studies/monitor/test_drift_detection.py` prints the figures of docs/lab/monitoring.md.
"""

import numpy as np
import pytest
import torch
from scipy.stats import ttest_1samp

from ran.stats import area_under_roc, exact_share
from ran.studies.beams.data import write_beams
from ran.studies.beams.experiment import load as load_beams
from ran.studies.csi.data import write_csi
from ran.studies.csi.experiment import load as load_csi
from ran.studies.monitor import drift_sources
from ran.studies.monitor.drift import DRIFT_DETECTORS, load_drift_reference
from ran.studies.monitor.drift_sources import reports_on
from ran.studies.monitor.windows import WINDOW

#: Normal numbers of so many mean magnitudes of every tensor are added to it.
DAMAGES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
#: By task: weights, and changes of the experiment that they were trained on, the first none but the seed.
MODELS = {
    "csi": ("csi-refined", ([], ["channel.name=umi"], ["channel.inter_site_distance_m=500"])),
    "beams": ("beams-geometric", ([], ["channel.name=umi"], ["channel.inter_site_distance_m=500"])),
}
#: Weights of the same data, whose false alarms are counted.
OF_THE_SAME_DATA = {"csi": ("csi-refined",), "beams": ("beams-geometric", "beams-mlp", "beams-cnn")}
NUM_FRESH, NUM_DROPS = 8000, 480


def write(task, weights, changes, num_drops, path):
    if not path.exists() and task == "csi":
        write_csi(load_csi("csi-uma-32ports", ["seed=2", *changes]), num_drops, path, weights=weights)
    elif not path.exists():
        write_beams(load_beams("beams-uma-30ghz", ["seed=2", *changes]), num_drops, (0, 0, 1), path)
    return path


def damaged(model, damage):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.add_(damage * tensor.abs().mean() * torch.randn(tensor.shape, generator=generator))
    return model


def windows_of(values):
    return values[: len(values) // WINDOW * WINDOW].reshape(-1, WINDOW, values.shape[1])


@pytest.mark.slow
@pytest.mark.parametrize("task", MODELS)
def test_windows_of_models_that_serve_worse_are_told(task, tmp_path, monkeypatch):
    weights, all_changes = MODELS[task]
    name = {"csi": "NeuralCoder", "beams": "NeuralBeams"}[task]
    plain = getattr(drift_sources, name)
    worse, not_worse, missed = [], [], []
    for place, changes in enumerate(all_changes):
        path = write(task, weights, changes, NUM_DROPS, tmp_path / f"{task}-{place}.h5")
        for damage in DAMAGES:

            def build(*options, damage=damage):
                found = plain(*options)
                damaged(found.model, damage)
                return found

            monkeypatch.setattr(drift_sources, name, build)
            found = reports_on(path, weights, task)
            reference = load_drift_reference(weights, found.sha256)
            # one half tells what is so, windows of the other what is seen
            decides, seen = found.values[: NUM_DROPS // 2], windows_of(found.values[NUM_DROPS // 2 :])
            scores = [reference.scores(window) for window in seen]
            gain = decides[:, 0]
            is_worse = gain.mean() < 0 and ttest_1samp(gain, 0, alternative="less").pvalue < 0.025
            alarms = {d: int(sum(s[d] > reference.thresholds[d] for s in scores)) for d in DRIFT_DETECTORS}
            said = "worse" if is_worse else "not worse" if gain.mean() >= 0 else "not significant"
            print(
                f"{weights} {changes} damage {damage:g}: gain {gain.mean():.3g}, {said}, alarms {alarms} of {len(seen)}"
            )
            score = np.array([s["worse"] for s in scores])
            if is_worse:
                worse.append(score)
                missed.append(alarms["worse"] == 0)
            elif gain.mean() >= 0:
                not_worse.append(score)
    auc = area_under_roc(worse, not_worse)
    print(f"{weights}: AUC {auc.numbers}, {len(worse)} worse, {len(not_worse)} not, missed {sum(missed)}")
    assert len(worse) >= 3
    assert len(not_worse) >= 3
    assert auc.known >= 0.95
    assert not any(missed)


@pytest.mark.slow
@pytest.mark.parametrize("task", MODELS)
def test_false_alarms_on_the_training_distribution_are_below_one_percent(task, tmp_path):
    path = write(task, MODELS[task][0], [], NUM_FRESH, tmp_path / "fresh.h5")
    for weights in OF_THE_SAME_DATA[task]:
        found = reports_on(path, weights, task)
        reference = load_drift_reference(weights, found.sha256)
        windows = windows_of(found.values)
        for name in DRIFT_DETECTORS:
            alarms = sum(reference.scores(window)[name] > reference.thresholds[name] for window in windows)
            low, high = exact_share(alarms, len(windows)).numbers[1:]
            print(f"{weights} {name}: {alarms} of {len(windows)} windows [{low:.2%}, {high:.2%}]", flush=True)
            # the shares that are compatible with what was seen reach below one percent
            assert low < 0.01
