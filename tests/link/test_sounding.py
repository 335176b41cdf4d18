"""Downlink precoding from an SRS estimate in place of the known channel."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.phy.config import Allocation, Carrier, Pdsch
from ran.phy.precoders import svd_precoder
from ran.phy.precoding import Eigen, Svd, TypeOne
from ran.report.facts import _precoding

TDL = {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 10}
PRECODINGS = {
    "svd": Svd(name="svd", num_tx_ant=8, srs={"esn0_db": 10}),
    "eigen": Eigen(name="eigen", num_tx_ant=8, csi_delay_slots=4, srs={"esn0_db": 0, "comb": 8}),
    "type-one": TypeOne(name="type-one", n1=4, srs={"esn0_db": 5, "method": "ls", "comb": 2, "cyclic_shift": 5}),
}


def link(precoding, num_rx_ant=4, num_prb=26, **pdsch):
    return Link(
        LinkConfig(
            carrier=Carrier(num_prb=num_prb),
            pdsch=Pdsch(**{"num_layers": 2, "prg_size": 4} | pdsch),
            precoding=precoding,
            num_rx_ant=num_rx_ant,
            channel=TDL,
        )
    )


def precoders(precoding, drops=range(16)):
    return link(precoding).batch(drops, 10.0, 1, "sounding", with_channel=False).precoder


def caught(precoder, drops=range(16)):
    """Power that the two layers catch, of the most that any two can: [drops, PRGs]."""
    known = {}
    made = link(Svd(name="svd", num_tx_ant=8))
    made.transmitter._csi = lambda csi, subcarriers, channel, streams: known.setdefault("h", channel(subcarriers))
    made.batch(drops, 10.0, 1, "sounding", with_channel=False)
    h = torch.stack([part.mean(-1) for part in known["h"].split(48, dim=-1)], dim=1)
    power = torch.linalg.matrix_norm(h @ precoder) ** 2
    return power / torch.linalg.matrix_norm(h @ svd_precoder(h, 2)) ** 2


def test_estimates_of_strong_srs_precode_as_the_known_channel_does():
    strong = caught(precoders(Svd(name="svd", num_tx_ant=8, srs={"esn0_db": 60})))
    # PRBs 24 and 25 are beyond the SRS of 24 PRBs, an extrapolation on either side
    assert strong[:, 1:-1].min() > 0.995
    assert strong.min() > 0.97
    shares = [caught(precoders(Svd(name="svd", num_tx_ant=8, srs={"esn0_db": db}))).mean() for db in (-20, -10, 0, 10)]
    assert shares == sorted(shares)
    # 10 dB over four ports are 4 dB of each: smoothing makes more of them than one pilot's estimate is worth
    unsmoothed = caught(precoders(Svd(name="svd", num_tx_ant=8, of="centre", csi_snr_db=4)))
    smoothed = caught(precoders(Svd(name="svd", num_tx_ant=8, of="centre", srs={"esn0_db": 10})))
    assert (smoothed.mean(1) > unsmoothed.mean(1)).all()


@pytest.mark.parametrize("name", PRECODINGS)
def test_a_drop_does_not_depend_on_the_others(name):
    together = precoders(PRECODINGS[name], range(4))
    alone = torch.cat([precoders(PRECODINGS[name], range(drop, drop + 1)) for drop in range(4)])
    torch.testing.assert_close(together, alone, rtol=0, atol=0)
    assert len({row.numpy().tobytes() for row in together}) == 4


def test_narrow_band_with_a_given_noise():
    # sequences of 12: no directions are left to measure the noise by
    w = link(Svd(name="svd", num_tx_ant=8, srs={"esn0_db": 30}), num_prb=4).batch(range(2), 10.0, 1, "narrow").precoder
    np.testing.assert_allclose(torch.linalg.matrix_norm(w).numpy(), 2**0.5, rtol=1e-5)


def test_what_reports_and_identities_say():
    block = PRECODINGS["eigen"].model_dump()
    assert _precoding({"precoding": block}) == "eigen, 8 antennas, SRS estimate 4 slots old at 0 dB"
    assert "srs" not in Svd(name="svd", num_tx_ant=8, srs=None).model_dump()


def test_refusals():
    with pytest.raises(ValidationError, match="csi_snr_db: got 3 together with srs; allowed: one of them"):
        Svd(name="svd", num_tx_ant=8, csi_snr_db=3, srs={"esn0_db": 10})
    with pytest.raises(ValidationError, match="cyclic_shift 6 with comb 8; allowed: 0 to 5"):
        Svd(name="svd", num_tx_ant=8, srs={"esn0_db": 10, "comb": 8, "cyclic_shift": 6})
    with pytest.raises(ValidationError, match=r"precoding.srs: got num_rx_ant 3; allowed: 1, 2, 4"):
        link(PRECODINGS["svd"], num_rx_ant=3)
    with pytest.raises(ValidationError, match=r"precoding.srs: got srs with link_budget"):
        LinkConfig(pdsch=Pdsch(), precoding=PRECODINGS["svd"], channel=TDL, link_budget={"tx_power_dbm": 20})
    with pytest.raises(InputError, match=r"precoding.srs.c_srs: got 12; allowed: 0 to 7, those of at most 26 PRBs"):
        link(Svd(name="svd", num_tx_ant=8, srs={"esn0_db": 10, "c_srs": 12}))
    with pytest.raises(InputError, match=r"precoding.srs: got an allocation of PRBs with gaps"):
        link(PRECODINGS["eigen"], prg_size=None, allocation=Allocation(prbs=(0, 1, 2, 3, 8, 9, 10, 11)))
