"""What a recipe shows is in the cards of the shipped weights, and decides what their networks are shown."""

import pytest

from ran.training.catalogue import load_recipe
from ran.training.trained_range import trained_range
from receivers.neural.shown_range import FADING_DB, ShownRange
from receivers.neural.weights import shipped_weights


@pytest.mark.parametrize("name", ["pusch-hybrid", "pusch-munich", "pusch-pilotless", "pusch-realtime"])
def test_cards_state_the_range_of_their_recipe(name: str) -> None:
    assert trained_range(load_recipe(name)) == {"trained_range": shipped_weights("receiver")[name]["trained_range"]}


def test_every_modulation_has_a_range_of_its_own() -> None:
    # recipe: QPSK to 5 dB, 16QAM to 11 dB and with two users to 14 dB, 64QAM to 17 dB, two or three DM-RS symbols
    shown = ShownRange.of(shipped_weights("receiver")["pusch-hybrid"])
    assert shown == ShownRange(tuple((bits, end + FADING_DB) for bits, end in ((2, 5.0), (4, 14.0), (6, 17.0))), 2)
    # what was not trained is as the next lower modulation, or as the lowest
    assert [shown.snr_db(bits) for bits in (1, 8, 10)] == [9.0, 21.0, 21.0]


def test_the_curriculum_counts() -> None:
    recipe = load_recipe("pusch-hybrid", ["schedule.snr_bonus_db=3", "schedule.snr_bonus_steps=10"])
    assert trained_range(recipe)["trained_range"]["highest_esn0_db"] == {"2": 8.0, "4": 17.0, "6": 20.0}
