"""Receivers of Sionna in our link, and ours in links of Sionna."""

import pytest
import torch
from sionna.phy.nr import PUSCHReceiver, PUSCHTransmitter

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from ran.phy.sionna_pusch import pusch_configs
from receivers import Blind, LsLinear, PerfectCsi
from receivers.from_sionna import SionnaReceiver, SoftOutput
from receivers.sionna_slot import SionnaSlot
from receivers.to_sionna import AsSionnaReceiver

CHANNEL = {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 10}
CASES = {
    "one layer": (Carrier(num_prb=6), Pusch(mcs_index=4), Users()),
    "two users of two layers": (
        Carrier(num_prb=6, n_cell_id=7, slot_number=3, subcarrier_spacing_khz=60),
        Pusch(mcs_index=4, num_layers=2, num_symbols=12, n_id=5, dmrs=Dmrs(additional_position=2)),
        Users(num_users=2),
    ),
    "type 2, double symbols": (
        Carrier(num_prb=6),
        Pusch(mcs_index=4, num_layers=2, dmrs=Dmrs(config_type=2, length=2, additional_position=1)),
        Users(num_users=2),
    ),
    "mapping type B": (
        Carrier(num_prb=6),
        Pusch(mcs_index=4, mapping_type="B", start_symbol=3, num_symbols=9),
        Users(),
    ),
}


def _case(name, esn0_db, num_slots):
    carrier, pusch, users = CASES[name]
    link = Link(LinkConfig(carrier=carrier, pusch=pusch, users=users, num_rx_ant=4, channel=CHANNEL))
    batch = link.batch(range(num_slots), esn0_db, 3, "sionna")
    return link, batch, pusch_configs(carrier, pusch, users)


@pytest.mark.parametrize("name", CASES)
def test_a_slot_of_sionna_is_ours(name):
    _, batch, configs = _case(name, 10.0, 1)
    ours = batch.observation
    slot = SionnaSlot.of(configs)
    theirs = slot.observation(ours.y[:, :, slot.symbols], ours.noise_var)
    assert slot.difference(ours) == ""
    assert theirs.layout.symbols == ours.layout.symbols
    assert theirs.layout.symbol_groups == ours.layout.symbol_groups
    assert theirs.layer_to_user == ours.layer_to_user
    assert torch.equal(theirs.data_mask, ours.data_mask)
    torch.testing.assert_close(theirs.symbol_times_s, ours.symbol_times_s, rtol=0, atol=1e-12)
    for layer in range(ours.num_layers):
        assert theirs.layout.subcarriers(layer, 72) == ours.layout.subcarriers(layer, 72)
    # what tells layers on the same REs apart: the products of their codes, whatever sign each begins with
    for codes in ("cover_code", "time_cover_code"):
        a, b = (torch.tensor(getattr(layout, codes)) for layout in (theirs.layout, ours.layout))
        assert torch.equal((a @ a.T).abs(), (b @ b.T).abs())


def test_another_configuration_is_refused():
    link, batch, configs = _case("one layer", 10.0, 1)
    receiver = SionnaReceiver(PUSCHReceiver(PUSCHTransmitter(configs), tb_decoder=SoftOutput()), configs)
    link.check_receiver("sionna", receiver)
    for pusch, said in ((Pusch(mcs_index=14), "4 bits per symbol"), (Pusch(mcs_index=4, dmrs=Dmrs(n_id=9)), "pilots")):
        other = Link(LinkConfig(carrier=Carrier(num_prb=6), pusch=pusch, num_rx_ant=4, channel=CHANNEL))
        with pytest.raises(ValueError, match=f"sionna: slot: got .*{said}"):
            other.check_receiver("sionna", receiver)
    with pytest.raises(ValueError, match="subcarriers"):
        SionnaReceiver(lambda y, no: y, pusch_configs(Carrier(num_prb=8), Pusch())).check_slot(batch.observation)


@pytest.mark.parametrize("name", ["one layer", pytest.param("two users of two layers", marks=pytest.mark.slow)])
def test_sionna_loses_the_same_blocks_in_our_link(name):
    link, batch, configs = _case(name, *{"one layer": (-4.0, 32)}.get(name, (1.5, 12)))
    sender = PUSCHTransmitter(configs)
    theirs = PUSCHReceiver(sender, return_tb_crc_status=True)
    y = batch.observation.y[:, None, :, SionnaSlot.of(configs).symbols]
    _, crc_ok = theirs(y, batch.observation.noise_var)
    lost = ~crc_ok
    assert 3 < int(lost.sum()) < lost.numel() - 3
    decided = link.grid.decode(SionnaReceiver(theirs, configs)(batch.observation).numpy(), 20, "float32")
    assert torch.equal(torch.from_numpy(decided.crc_ok.reshape(lost.shape)), crc_ok)
    # the LLRs alone, through our layers and back into Sionna's decoder
    soft = SionnaReceiver(PUSCHReceiver(sender, tb_decoder=SoftOutput()), configs)
    _, again = AsSionnaReceiver(soft, sender, configs, return_tb_crc_status=True)(y, batch.observation.noise_var)
    assert torch.equal(again, crc_ok)


def test_ours_loses_the_same_blocks_in_a_link_of_sionna():
    _, batch, configs = _case("one layer", -4.0, 32)
    sender = PUSCHTransmitter(configs)
    y, no = batch.observation.y[:, None, :, SionnaSlot.of(configs).symbols], batch.observation.noise_var
    _, theirs = PUSCHReceiver(sender, return_tb_crc_status=True)(y, no)
    _, ours = AsSionnaReceiver(LsLinear(), sender, configs, return_tb_crc_status=True)(y, no)
    # LS, linear interpolation, LMMSE, max-log; Sionna's error variance is another, which a block at the edge may feel
    assert int((ours != theirs).sum()) <= 1
    assert 3 < int(theirs.sum()) < 29
    bits, better = AsSionnaReceiver(Blind(), sender, configs, return_tb_crc_status=True)(y, no[:, None, None])
    assert int(better.sum()) > int(theirs.sum())
    assert bits.shape == (32, 1, int(configs[0].tb_size))


def test_what_cannot_be_a_block_is_refused():
    _, _, configs = _case("one layer", 10.0, 1)
    with pytest.raises(ValueError, match="receiver: got 'perfect-csi'"):
        AsSionnaReceiver(PerfectCsi(), PUSCHTransmitter(configs), configs)
