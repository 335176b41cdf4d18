"""Channels and receivers by name: one-line errors with the key, the value, what is allowed and the nearest match."""

import pytest

from channels import CHANNELS
from ran.errors import InputError
from ran.link.catalogue import (
    build_channel,
    build_receiver,
    channel_catalogue,
    receiver_catalogue,
    receiver_fingerprint,
)

GOOD = '''
"""A receiver of a user."""
from receivers import LsLinear


class Mine(LsLinear):
    """Mine."""

    name = "mine"

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, observation, truth=None):
        return self.gain * super().__call__(observation)
'''


def test_every_channel_and_receiver_has_a_description():
    for name, text in {**channel_catalogue(), **receiver_catalogue()}.items():
        assert len(text) > 20, name


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"name": "tdk"}, "did you mean 'tdl'"),
        ({}, f"channel.name: got None; allowed: awgn, cdl, {', '.join(sorted(CHANNELS)[2:])}"),
        ({"name": "tdl", "profile": "B", "delay_spread_ms": 1, "max_doppler_hz": 1}, "did you mean 'delay_spread_ns'"),
        ({"name": "tdl", "max_doppler_hz": 1}, "channel.profile: missing"),
        (
            {"name": "tdl", "profile": "B", "delay_spread_ns": "wide", "max_doppler_hz": 1},
            "channel.delay_spread_ns: got 'wide'",
        ),
        ({"name": "tdl", "profile": "B", "delay_spread_ns": -5.0, "max_doppler_hz": 1}, "-5.0"),
        ({"name": "tdl", "profile": "Q", "delay_spread_ns": 5.0, "max_doppler_hz": 1}, "'Q'"),
        ({"name": "awgn", "gain": 2}, "no options"),
    ],
)
def test_bad_channels_are_refused_in_one_line(block, message):
    with pytest.raises(InputError) as caught:
        build_channel(block)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"name": "ls-liner"}, "did you mean 'ls-linear'"),
        ({"name": "lmmse", "prior_delay_spread_ns": 0}, "above 0"),
        ({"name": "nowhere.py:Mine"}, "there is no"),
    ],
)
def test_bad_receivers_are_refused_in_one_line(block, message, tmp_path):
    with pytest.raises(InputError) as caught:
        build_receiver(block, tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_receiver_from_a_file(tmp_path):
    (tmp_path / "mine.py").write_text(GOOD)
    receiver = build_receiver({"name": "mine.py:Mine", "gain": 2.0}, tmp_path)
    assert receiver.gain == 2.0
    before = receiver_fingerprint({"name": "mine.py:Mine"}, receiver, tmp_path)
    (tmp_path / "mine.py").write_text(GOOD + "# changed\n")
    assert receiver_fingerprint({"name": "mine.py:Mine"}, receiver, tmp_path) != before


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        (GOOD, "mine.py:Yours", "a subclass of receivers.Receiver"),
        ("x = 1 +", "mine.py:Mine", "SyntaxError"),
        ("Mine = 3", "mine.py:Mine", "a subclass of receivers.Receiver"),
    ],
)
def test_bad_receiver_files_are_refused(source, name, message, tmp_path):
    (tmp_path / "mine.py").write_text(source)
    with pytest.raises(InputError, match=message):
        build_receiver({"name": name}, tmp_path)
