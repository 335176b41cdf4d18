"""How far above its training a network is followed, on slots that the margin was not chosen on; slow.

`pytest -n 0 -s -m slow tests/receivers/test_fading_margin.py` prints the tables of
docs/lab/strong-signals-and-levels.md.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from ran.link import Link, LinkConfig
from ran.training.catalogue import load_recipe
from ran.training.processes import ALONE
from ran.training.slots import SimulatedSlots
from receivers import NeuralReceiver
from receivers.neural.shown_range import FADING_DB
from receivers.neural.weights import load_weights

WEIGHTS = ["pusch-hybrid", "pusch-large", "pusch-munich", "pusch-realtime"]
MARGINS_DB = [0, 2, 4, 6, 8]
STRONG_DB = [13, 16, 19, 22]
NUM_SLOTS = 128
NUM_DRAWS = 400


def one_pilot_symbol() -> Link:
    values = {
        "carrier": {"num_prb": 6},
        "pusch": {"mcs_index": 14, "dmrs": {"additional_position": 0}},
        "num_rx_ant": 4,
        "channel": {"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 300},
    }
    return Link(LinkConfig.model_validate(values))


@pytest.mark.slow
@pytest.mark.parametrize("weights", WEIGHTS)
def test_slots_of_the_training_rise_above_its_end_by_the_margin_at_most(weights):
    """The strongest layer of 400 slots of each recipe, against the end of its modulation's Es/N0."""
    recipe = load_recipe(weights)
    recipe = recipe.model_copy(update={"schedule": recipe.schedule.model_copy(update={"batch_slots": 1}), "seed": 99})
    ends = load_weights(weights).card["trained_range"]["highest_esn0_db"]
    source, above = SimulatedSlots(recipe, torch.device("cpu"), ALONE), []
    for draw in range(NUM_DRAWS):
        observation, truth = source(draw)
        power = (truth.h.abs() ** 2).mean((1, 3, 4)).amax(1)
        snr_db = 10 * torch.log10(power / observation.noise_var)
        above.append(float(snr_db.max()) - ends[str(observation.bits_per_symbol)])
    print(f"\n{weights}: strongest slots above the end of their Es/N0, dB: {np.sort(above)[-3:].round(2)}")
    # a slot in a hundred may be stronger than the margin allows to be shown
    assert np.mean(np.array(above) > FADING_DB) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("weights", WEIGHTS)
def test_bler_does_not_rise_over_strong_signals(weights):
    receiver, link = NeuralReceiver(weights), one_pilot_symbol()
    shipped = receiver.model.shown_range
    batches = {esn0_db: link.batch(range(NUM_SLOTS), float(esn0_db), 77, "margin") for esn0_db in STRONG_DB}
    lost = {}
    for margin in MARGINS_DB:
        ends = tuple((bits, end - FADING_DB + margin) for bits, end in shipped.highest_snr_db)
        receiver.model.shown_range = replace(shipped, highest_snr_db=ends)
        for esn0_db, batch in batches.items():
            with torch.inference_mode():
                llr = receiver(batch.observation)
            lost[margin, esn0_db] = np.asarray(link.count_errors(llr, batch).block_errors).flatten() > 0
    print(
        f"\n| `{weights}`, margin | "
        + " | ".join(f"{esn0_db} dB" for esn0_db in STRONG_DB)
        + f" |, lost of {NUM_SLOTS}"
    )
    for margin in MARGINS_DB:
        print(f"| {margin} dB | " + " | ".join(str(int(lost[margin, e].sum())) for e in STRONG_DB) + " |")
    at = int(FADING_DB)
    # of the same drops no more are lost when the signal is stronger
    for weaker, stronger in pairwise(STRONG_DB):
        worse = int((lost[at, stronger] & ~lost[at, weaker]).sum())
        better = int((lost[at, weaker] & ~lost[at, stronger]).sum())
        assert not worse or binomtest(worse, worse + better, 0.5, "greater").pvalue > 0.01, (weaker, stronger)
