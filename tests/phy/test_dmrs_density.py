"""DM-RS of which every so many pairs are sent: those of the standard, thinned out, and data in place of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ran.errors import InputError
from ran.link.transmitter import pilot_layout
from ran.phy.config import Carrier, Pdsch, Pusch, Users
from ran.phy.mcs import transport_block_size
from ran.phy.pdsch import PdschGrid
from ran.phy.pusch import PuschGrid
from ran.recordings.data_lake import fapi_row

CARRIER = Carrier(num_prb=24)


def built(density: int, carrier: Carrier = CARRIER, users: int = 2, **dmrs: Any) -> PuschGrid:
    return PuschGrid.build(
        carrier,
        Pusch(dmrs={"frequency_density": density, **dmrs}),
        Users(num_users=users),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("config_type", [1, 2])
@pytest.mark.parametrize("density", [2, 4, 8])
def test_the_pilots_that_are_sent_are_those_of_the_standard(density: int, config_type: int) -> None:
    whole, thin = built(1, config_type=config_type), built(density, config_type=config_type)
    sent = thin.pilots != 0
    assert np.array_equal(thin.pilots[sent], whole.pilots[sent])
    # as many as are left of them, in whole pairs, the first among them
    assert int(sent.sum()) * density == int((whole.pilots != 0).sum())
    layout = pilot_layout(thin.channel, thin.layer_ports)
    for layer in range(thin.num_layers):
        of_layout = np.zeros(thin.num_subcarriers, bool)
        of_layout[list(layout.subcarriers(layer, thin.num_subcarriers))] = True
        for symbol in layout.symbols:
            assert np.array_equal(sent[layer, symbol].numpy(), of_layout)
    assert layout.subcarriers(0, 24)[:2] == ((0, 2) if config_type == 1 else (0, 1))


@pytest.mark.parametrize("density", [2, 4, 8])
def test_data_take_the_place_of_the_others(density: int) -> None:
    whole, thin = built(1), built(density)
    on_dmrs = ~thin.data_mask
    assert not (thin.data_mask & (thin.pilots != 0).any(0)).any()
    assert int(on_dmrs.sum()) * density == int((~whole.data_mask).sum())
    # every RE counts for the transport block
    size = transport_block_size(thin.num_data_re, thin.target_rate, thin.bits_per_symbol, 1)
    assert thin.block_sizes == (size, size)


def test_one_is_the_standard_and_is_not_written() -> None:
    """An experiment of before keeps its name, and with it its random numbers."""
    assert "frequency_density" not in Pusch().model_dump()["dmrs"]
    assert Pusch(dmrs={"frequency_density": 4}).model_dump()["dmrs"]["frequency_density"] == 4  # type: ignore[arg-type]


def test_the_downlink_has_it_too() -> None:
    thin = PdschGrid.build(CARRIER, Pdsch(num_layers=2, dmrs={"frequency_density": 4}))  # type: ignore[arg-type]
    whole = PdschGrid.build(CARRIER, Pdsch(num_layers=2))
    assert int((~thin.data_mask).sum()) * 4 == int((~whole.data_mask).sum())
    sent = thin.pilots != 0
    assert np.array_equal(thin.pilots[sent], whole.pilots[sent])


def test_prbs_must_fit() -> None:
    with pytest.raises(InputError, match=r"dmrs.frequency_density: got 8 with 12 PRBs; allowed.*multiples of 8 PRBs"):
        built(8, Carrier(num_prb=12))
    with pytest.raises(InputError, match=r"got 8 with 6 PRBs; allowed with config_type 2: multiples of 4 PRBs"):
        built(8, Carrier(num_prb=6), config_type=2)


@pytest.mark.parametrize(
    ("cls", "fields", "words"),
    [
        (Pusch, {"transform_precoding": True}, "not possible with transform precoding"),
        (Pusch, {"allocation": {"prbs": (0, 1)}}, "PRBs in a row"),
        (Pusch, {"allocation": {"hopping": "inter-slot", "num_prb": 4, "second_hop_prb": 8}}, "PRBs in a row"),
        (Pdsch, {"allocation": {"vrb_bundle": 2}}, "PRBs in a row"),
        (Pdsch, {"prg_size": 2}, "a precoder for the whole band"),
    ],
)
def test_where_pairs_cannot_be_counted_it_is_refused(cls: type, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        cls(dmrs={"frequency_density": 2}, **fields)
    assert len(caught.value.errors()) == 1
    cls(**fields)


def test_a_table_without_a_word_for_it_refuses_it() -> None:
    with pytest.raises(InputError, match=r"dmrs.frequency_density: got 2; allowed in a row of fapi"):
        fapi_row(CARRIER, Pusch(dmrs={"frequency_density": 2}), (0,), 0, b"")  # type: ignore[arg-type]
