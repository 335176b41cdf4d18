"""The link: SNR and power conventions, independence of drops from batches, errors counted, bad numbers stopped."""

import numpy as np
import pytest
import torch

from ran.errors import InputError
from ran.link import Link, LinkConfig, NonFiniteError, stream
from ran.link.snr import ebn0_db, noise_var
from ran.phy.config import Carrier, Decoder, Dmrs, Pusch, Users
from receivers import LsLinear, PerfectCsi, Receiver

TDL = {"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 400}


def link(num_users=1, num_layers=1, channel=TDL, num_prb=4, num_rx_ant=4, **pusch):
    return Link(
        LinkConfig(
            carrier=Carrier(num_prb=num_prb),
            pusch=Pusch(num_layers=num_layers, **pusch),
            users=Users(num_users=num_users),
            num_rx_ant=num_rx_ant,
            channel=channel,
        )
    )


def test_streams_differ_in_every_part_of_the_key_and_repeat():
    keys = [(1, "a", 0, "bits"), (2, "a", 0, "bits"), (1, "b", 0, "bits"), (1, "a", 1, "bits"), (1, "a", 0, "noise")]
    first = [stream(*key).integers(2**63) for key in keys]
    assert len(set(first)) == len(keys)
    assert first == [stream(*key).integers(2**63) for key in keys]


@pytest.mark.parametrize(("num_users", "num_layers"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_snr_is_per_data_re_antenna_and_user(num_users, num_layers):
    esn0_db = 7.0
    tested = link(num_users, num_layers, {"name": "rayleigh-block"})
    batch = tested.batch(range(512), esn0_db, 1, "snr")
    data = tested.grid.data_mask
    symbols = batch.x[:, :, data]
    per_user = (symbols.abs() ** 2).unflatten(1, (num_users, num_layers)).sum(2).mean((0, 2))
    # QAM power of about 3e5 random 16QAM symbols; relative deviation of their mean is below 1e-3
    torch.testing.assert_close(per_user, torch.ones(num_users), rtol=5e-3, atol=0)
    noise = batch.observation.y - (batch.truth.h * batch.x[:, None]).sum(2)
    n = noise.numel()
    assert abs(float((noise.abs() ** 2).mean()) / noise_var(esn0_db) - 1) < 5 / np.sqrt(n)
    power = (batch.truth.h[:, :, :, 0, 0].abs() ** 2).mean()
    assert abs(float(power) - 1) < 5 / np.sqrt(512 * 4 * num_users * num_layers)


def test_dmrs_power_follows_the_cdm_groups_without_data():
    for groups in (1, 2):
        grid = link(dmrs=Dmrs(num_cdm_groups_without_data=groups)).grid
        powers = (grid.pilots.abs() ** 2)[grid.pilots.abs() > 0]
        torch.testing.assert_close(powers, torch.full_like(powers, float(groups)), rtol=1e-5, atol=0)


def test_ebn0_of_the_published_peer():
    # neural_rx: Es/N0 = Eb/N0 + 2.315 dB at 132 PRB, MCS 14, two of 14 symbols for DM-RS. Its cyclic prefix is that of
    # the first symbol in every symbol: 352/4096 of the useful part against the exact mean of 1/14.
    tested = link(num_prb=132)
    ours = 0.0 - ebn0_db(0.0, tested.grid)
    theirs = ours + 10 * np.log10((1 + 1 / 14) / (1 + 352 / 4096))
    assert theirs == pytest.approx(2.315, abs=0.01)


def test_a_drop_does_not_depend_on_its_batch():
    tested = link(num_users=2)
    alone = tested.batch([37], 5.0, 1, "s")
    among = tested.batch(range(32, 40), 5.0, 1, "s")
    assert torch.equal(alone.observation.y[0], among.observation.y[5])
    np.testing.assert_array_equal(alone.transport_blocks[0], among.transport_blocks[5])


def test_outcomes_do_not_depend_on_chunks():
    tested = link(num_prb=2)
    size = tested.batch_drops
    receivers = {"ls": LsLinear()}
    whole = tested.simulate(receivers, range(3 * size), 2.0, 1, "s")["ls"]
    parts = [tested.simulate(receivers, range(i * size, (i + 1) * size), 2.0, 1, "s")["ls"] for i in (2, 0, 1)]
    for field in ("block_errors", "bit_errors"):
        pieces = [getattr(parts[i], field) for i in (1, 2, 0)]
        np.testing.assert_array_equal(getattr(whole, field), np.concatenate(pieces))
    short = tested.simulate(receivers, range(size // 2), 2.0, 1, "s")["ls"]
    np.testing.assert_array_equal(short.bit_errors, whole.bit_errors[: size // 2])


def test_receivers_meet_the_same_slots_and_genies_alone_the_truth():
    seen = []

    class Spy(Receiver):
        name = "spy"

        def __call__(self, observation, truth=None):
            seen.append((observation.y.clone(), truth))
            return LsLinear()(observation)

    tested = link(num_prb=2)
    tested.simulate({"a": Spy(), "b": Spy()}, range(1), 2.0, 1, "s")
    assert torch.equal(seen[0][0], seen[1][0])
    assert seen[0][1] is None


def test_high_snr_has_no_errors_and_low_snr_only_errors():
    tested = link(num_prb=2, channel={"name": "rayleigh-block"})
    receivers = {"p": PerfectCsi()}
    good = tested.simulate(receivers, range(32), 60.0, 1, "s")["p"]
    assert good.block_errors.sum() == 0
    assert good.bit_errors.sum() == 0
    bad = tested.simulate(receivers, range(32), -30.0, 1, "s")["p"]
    assert bad.block_errors.sum() == 32
    # about half of the bits are wrong
    n = 32 * sum(tested.bits_per_block)
    assert abs(bad.bit_errors.sum() / n - 0.5) < 5 * 0.5 / np.sqrt(n) + 0.05


def test_inverted_llrs_fail():
    class Inverted(Receiver):
        name = "inverted"

        def __call__(self, observation, truth=None):
            return -LsLinear()(observation)

    outcome = link(num_prb=2).simulate({"i": Inverted()}, range(16), 30.0, 1, "s")["i"]
    assert outcome.block_errors.sum() == 16


def test_non_finite_llrs_stop_with_the_drop():
    class Broken(Receiver):
        name = "broken"

        def __call__(self, observation, truth=None):
            llr = LsLinear()(observation)
            llr[3] = float("nan")
            return llr

    tested = link(num_prb=2)
    with pytest.raises(NonFiniteError) as caught:
        tested.simulate({"b": Broken()}, range(64, 128), 3.0, 1, "s")
    assert caught.value.drop_index == 67
    assert "b" in caught.value.stage


def test_one_channel_per_user():
    other = {"name": "tdl", "profile": "TDLC300", "max_doppler_hz": 100}
    tested = link(num_users=2, channel=(TDL, other))
    assert tested.batch(range(2), 5.0, 1, "s").truth.h.shape == (2, 4, 2, 14, 48)
    with pytest.raises(InputError, match="got a list of 3 channels"):
        link(num_users=2, channel=(TDL, TDL, TDL))


def test_awgn_for_several_users_is_refused():
    with pytest.raises(InputError, match="num_tx_ant"):
        link(num_users=2, channel={"name": "awgn"})
    with pytest.raises(InputError, match="allowed: one user"):
        link(num_users=2, channel=({"name": "awgn"}, {"name": "awgn"}))


@pytest.mark.parametrize("num_prb", [1, 24, 106, 275])
def test_batch_size_is_a_power_of_two_within_the_memory_budget(num_prb):
    tested = link(num_prb=num_prb)
    size = tested.batch_drops
    assert size & (size - 1) == 0
    assert size == 1 or size * 4 * 14 * 12 * num_prb * 8 <= 32 * 2**20


def test_decoder_precision_changes_little():
    config = link(num_prb=6).config
    outcomes = [
        Link(config, Decoder(precision=p)).simulate({"p": PerfectCsi()}, range(256), 1.5, 1, "s")["p"]
        for p in ("int8", "float32")
    ]
    errors = [o.block_errors.sum() for o in outcomes]
    # the same drops are decoded: what differs between the precisions is far less than the counts' own deviation
    assert 20 < errors[1] < 236
    assert abs(int(errors[0]) - int(errors[1])) < 3 * np.sqrt(errors[1])


@pytest.mark.gpu
def test_a_gpu_sees_the_same_drops():
    """Bits are the same, grids up to rounding, and hardly any decision falls otherwise."""
    config = link(num_prb=6).config
    links = {device: Link(config, Decoder(), device) for device in ("cpu", "cuda")}
    here, there = (of.batch(range(8), 3.0, 1, "s") for of in links.values())
    np.testing.assert_array_equal(there.transport_blocks, here.transport_blocks)
    torch.testing.assert_close(there.observation.y.cpu(), here.observation.y, rtol=0, atol=1e-4)
    errors = [of.simulate({"p": PerfectCsi()}, range(256), 1.5, 1, "s")["p"].block_errors for of in links.values()]
    assert 20 < errors[0].sum() < 236
    assert np.count_nonzero(errors[0] != errors[1]) <= 5
