"""What a receiver leaves behind in the process is found, and put back."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.link.global_state import GlobalState
from ran.phy.config import Carrier
from receivers import LsLinear

CHANGES = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "grad enabled": lambda: torch.set_grad_enabled(not torch.is_grad_enabled()),
    "num threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "deterministic": lambda: torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled()),
    "numpy errors": lambda: np.seterr(all="raise"),
    "folder": lambda: os.chdir("/"),
    "default device": lambda: torch.set_default_device("meta"),
}


class Careless(LsLinear):
    """Changes the process that it runs in."""

    def __init__(self, change, raises=False):
        super().__init__()
        self.change, self.raises = change, raises

    def __call__(self, observation, truth=None):
        llr = super().__call__(observation, truth)
        self.change()
        if self.raises:
            raise ZeroDivisionError
        return llr


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_the_process_is_found_and_put_back(what):
    before = GlobalState.now()
    link = Link(LinkConfig(carrier=Carrier(num_prb=4), channel={"name": "rayleigh-block"}))
    with pytest.raises(InputError, match=f"^receivers.mine: changed the {what} of the process to "):
        link.simulate({"mine": Careless(CHANGES[what])}, range(2), 10.0, 1, "s")
    assert GlobalState.now() == before
    with pytest.raises(ZeroDivisionError):
        link.simulate({"mine": Careless(CHANGES[what], raises=True)}, range(2), 10.0, 1, "s")
    assert GlobalState.now() == before
