"""Amplifiers and phases found from soft symbols: closed forms, and what is gained and not lost by looking for them."""

import math
from dataclasses import replace

import pytest
import torch

from ran.link import Link, LinkConfig
from receivers import Blind
from receivers.classical.amplifier import distortion_basis, distortion_coefficients
from receivers.classical.impaired import ImpairedSlot
from receivers.classical.noise_parts import noise_parts
from receivers.classical.symbol_phase import smoothed_phase, symbol_phase
from receivers.neural.refined_blind import RefinedBlindReceiver

RAPP = {"name": "rapp", "input_back_off_db": 1, "restore_power": True}
#: Coefficients of |s|^2 s and |s|^4 s, in units of the mean power.
CUBIC, QUINTIC = -0.12 + 0.03j, 0.01 - 0.004j


def qam(*shape, bits=6, seed=1):
    generator = torch.Generator().manual_seed(seed)
    levels = torch.arange(-(2 ** (bits // 2)) + 1, 2 ** (bits // 2), 2).float()
    levels = levels / (2 * (levels**2).mean()).sqrt()
    pick = torch.randint(len(levels), (2, *shape), generator=generator)
    return torch.complex(levels[pick[0]], levels[pick[1]])


def amplified(x):
    """Grid of an amplifier s + CUBIC |s|^2 s + QUINTIC |s|^4 s, in double precision with eightfold oversampling."""
    num_subcarriers, size = x.shape[-1], 8 * x.shape[-1]
    middle = torch.zeros(*x.shape[:-1], size, dtype=torch.complex128)
    # the band lies elsewhere than the receiver thinks: an amplifier does not see where
    first = size // 2 - num_subcarriers // 2
    middle[..., first : first + num_subcarriers] = x
    s = torch.fft.ifft(middle) * size / math.sqrt(num_subcarriers)
    s = s * (1 + CUBIC * s.abs() ** 2 + QUINTIC * s.abs() ** 4)
    return torch.fft.fft(s)[..., first : first + num_subcarriers] * math.sqrt(num_subcarriers) / size


def channel(batch, rx, layers, symbols, subcarriers, seed=2):
    """Smooth over subcarriers, constant over symbols."""
    taps = torch.randn(batch, rx, layers, 1, 4, 2, generator=torch.Generator().manual_seed(seed))
    h = torch.fft.fft(torch.view_as_complex(taps) / 8**0.5, n=subcarriers)
    return h.expand(batch, rx, layers, symbols, subcarriers)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_known_polynomial_is_recovered_and_cancelled(layers):
    x = qam(2, layers, 14, 72)
    h = channel(2, 4, layers, 14, 72)
    y = (h.to(torch.complex128) * amplified(x).unsqueeze(1)).sum(2)
    power = (x.abs() ** 2).mean((2, 3))
    # Hermite polynomials of a complex Gaussian of power p: |s|^2 s = G3 + 2 p s, |s|^4 s = G5 + 6 p G3 + 6 p^2 s
    gain = 1 + 2 * power * CUBIC + 6 * power**2 * QUINTIC
    expected = torch.stack(
        [math.sqrt(2) * power * (CUBIC + 6 * power * QUINTIC), math.sqrt(12) * power**2 * QUINTIC], -1
    ) / gain.unsqueeze(-1)
    with_gain = (h * gain[:, None, :, None, None]).to(torch.complex64)
    nothing = torch.zeros_like(x.real)
    basis = distortion_basis(x, nothing, power, 5)
    found = torch.zeros(2, layers, 2, dtype=torch.complex64)
    for _ in range(8):
        sent = x + (found[..., None, None] * basis).sum(2)
        residual = (y - (with_gain * sent.unsqueeze(1)).sum(2)).to(torch.complex64)
        found = distortion_coefficients(with_gain, residual, x, nothing, basis, torch.full((2, 14, 72), 1e-6), found)
    torch.testing.assert_close(found, expected.to(torch.complex64), rtol=0, atol=2e-5)
    sent = x + (found[..., None, None] * basis).sum(2)
    left = y - (with_gain * sent.unsqueeze(1)).sum(2)
    before = y - (with_gain * x.unsqueeze(1)).sum(2)
    # single precision: 1e-5 of the signal
    assert float(left.abs().square().mean()) < 1e-9 * float(y.abs().square().mean())
    assert float(before.abs().square().mean()) > 3e-3 * float(y.abs().square().mean())


def test_the_basis_of_gaussian_signals_is_orthonormal_and_a_martingale():
    generator = torch.Generator().manual_seed(3)
    size = (40, 1, 14, 96)
    x = torch.view_as_complex(torch.randn(*size, 2, generator=generator) * 0.5**0.5)
    error = torch.view_as_complex(torch.randn(200, *size[1:], 2, generator=generator) * 0.05**0.5)
    power = torch.ones(40, 1)
    basis = distortion_basis(x, torch.zeros(size), power, 5)
    # in a flat band 2/3 and 11/20 of the third and fifth order's power; spread of these means below a hundredth
    share = (basis.abs() ** 2).mean((0, 1, 3, 4))
    torch.testing.assert_close(share, torch.tensor([2 / 3, 11 / 20]), rtol=0, atol=0.05)
    between = (basis[:, :, 0] * basis[:, :, 1].conj()).mean().abs()
    assert float(between) < 0.02
    # the mean over what is unknown of one signal, whose variance the basis is told
    known = qam(1, 1, 14, 96, bits=2) * 0.9**0.5
    mean = distortion_basis(known, torch.full(known.shape, 0.1), torch.ones(1, 1), 3)
    drawn = distortion_basis(known + error, torch.zeros(error.shape), torch.ones(200, 1), 3)
    # `distortion_basis` leaves an unsure symbol's own gain to the channel
    drawn = drawn - known * ((drawn * known.conj()).sum(-1, keepdim=True) / (known.abs() ** 2).sum(-1, keepdim=True))
    mean = mean - known * ((mean * known.conj()).sum(-1, keepdim=True) / (known.abs() ** 2).sum(-1, keepdim=True))
    deviation = (drawn.mean(0) - mean[0]).abs().square().mean()
    # variance of a mean over 200, five times over
    assert float(deviation) < 5 * float(drawn.var(0).mean()) / 200


def slots(waveform=None, batch=8, esn0_db=18.0, mcs=20, table=1, layers=1, num_prb=6, **more):
    return Link(
        LinkConfig.model_validate(
            {
                "carrier": {"subcarrier_spacing_khz": 120, "num_prb": num_prb},
                "pusch": {
                    "mcs_index": mcs,
                    "mcs_table": table,
                    "num_layers": layers,
                    "dmrs": {"additional_position": 1},
                },
                "num_rx_ant": 4,
                "channel": {"name": "tdl", "profile": "TDLA30", "max_doppler_hz": 75},
                **({"waveform": waveform} if waveform else {}),
                **more,
            }
        )
    ).batch(range(batch), esn0_db, 6, "impaired")


def entropies(llr, batch):
    target = 1.0 - batch.coded_bits.float()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(llr, target, reduction="none")
    return loss.mean((1, 2, 3))


@pytest.mark.parametrize(("bits", "angle_rad"), [(2, -0.15), (6, 0.0), (8, 0.1)])
def test_the_variance_of_the_phase_meets_the_bound(bits, angle_rad):
    """Known channel, all symbols turned alike: at high SNR unknown symbols are as good as pilots, and the variance of
    the phase is the Cramer-Rao bound 1 / (2 N SNR)."""
    batch, num_symbols, num_subcarriers = 40, 4, 48
    snr = 4000.0
    clean = slots(batch=1).observation
    x = qam(batch, 1, num_symbols, num_subcarriers, bits=bits)
    noise = torch.view_as_complex(
        torch.randn(batch, 1, num_symbols, num_subcarriers, 2, generator=torch.Generator().manual_seed(4))
    )
    turn = complex(math.cos(angle_rad), math.sin(angle_rad))
    observation = replace(
        clean,
        y=x * turn + noise * (0.5 / snr) ** 0.5,
        pilots=torch.zeros(1, num_symbols, num_subcarriers, dtype=torch.complex64),
        data_mask=torch.ones(num_symbols, num_subcarriers, dtype=torch.bool),
        noise_var=torch.full((batch,), 1 / snr),
        bits_per_symbol=bits,
    )
    h = torch.ones(batch, 1, 1, num_symbols, num_subcarriers, dtype=torch.complex64)
    found, variance = symbol_phase(observation, h, torch.zeros(batch, 1, num_symbols, num_subcarriers))
    bound = 1 / (2 * num_subcarriers * snr)
    error = found - angle_rad
    # 160 phases: their mean square has a relative deviation of sqrt(2 / 160), taken five times
    assert float((error**2).mean()) == pytest.approx(bound, rel=5 * (2 / 160) ** 0.5)
    # the power of 48 symbols varies from one OFDM symbol to the next
    assert float(variance.mean()) == pytest.approx(bound, rel=0.1)


def test_smoothing_keeps_what_moves_and_drops_noise():
    generator = torch.Generator().manual_seed(5)
    variance = torch.full((200, 14), 0.02**2)
    noise = 0.02 * torch.randn(200, 14, generator=generator)
    still = smoothed_phase(noise, variance)
    assert float(still.square().mean()) < 0.25 * 0.02**2
    walk = (0.02 * torch.randn(200, 14, generator=generator)).cumsum(1)
    assert float((smoothed_phase(walk + noise, variance) - walk).square().mean()) < 0.75 * 0.02**2
    sure = torch.full((200, 14), 1e-8)
    torch.testing.assert_close(smoothed_phase(walk, sure), walk, rtol=0, atol=1e-3)


@pytest.mark.parametrize("with_signal", [0.0, 0.01, 0.1])
def test_noise_that_comes_with_the_signal_is_told_apart(with_signal):
    h = channel(8, 2, 1, 14, 288)
    generator = torch.Generator().manual_seed(6)
    expected = 0.02 + with_signal * h[:, :, 0].abs() ** 2
    power = -expected * torch.rand(expected.shape, generator=generator).clamp_min(1e-12).log()
    white, parts = noise_parts(power, h, torch.full((8,), 0.03))
    # 8 slots of 8064 exponential powers with two unknowns: well within these
    assert float(white.mean()) == pytest.approx(0.02, rel=0.05)
    assert float(parts.mean()) == pytest.approx(with_signal, rel=0.05, abs=5e-4)


@pytest.mark.parametrize("layers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_amplifier_near_saturation_is_seen_through(layers):
    batch = slots({"transmit_impairments": [RAPP]}, layers=layers, esn0_db=20.0 + 3 * layers, batch=8)
    before = entropies(Blind(num_reestimations=2)(batch.observation), batch)
    after = entropies(Blind(num_reestimations=4, track_phase=True, amplifier_order=5)(batch.observation), batch)
    assert float(after.mean()) < 0.5 * float(before.mean())


def test_phases_of_symbols_are_followed_without_phase_tracking_pilots():
    batch = slots(esn0_db=22.0, mcs=22, table=2, batch=8, num_prb=6)
    walk = (0.04 * torch.randn(8, 14, generator=torch.Generator().manual_seed(7))).cumsum(1)
    turn = torch.polar(torch.ones_like(walk), walk)
    turned = replace(batch.observation, y=batch.observation.y * turn[:, None, :, None])
    before = entropies(Blind(num_reestimations=2)(turned), batch)
    after = entropies(Blind(num_reestimations=3, track_phase=True)(turned), batch)
    still = entropies(Blind(num_reestimations=2)(batch.observation), batch)
    # most of the damage is undone
    assert float(after.mean() - still.mean()) < 0.3 * float(before.mean() - still.mean())


@pytest.mark.parametrize(("esn0_db", "mcs"), [(-2.0, 4), pytest.param(12.0, 20, marks=pytest.mark.slow)])
def test_clean_radios_lose_nothing(esn0_db, mcs):
    batch = slots(esn0_db=esn0_db, mcs=mcs, num_prb=6)
    loss = entropies(Blind(num_reestimations=4, track_phase=True, amplifier_order=5)(batch.observation), batch)
    loss = loss - entropies(Blind(num_reestimations=2)(batch.observation), batch)
    assert float(loss.mean()) < 0.003


@pytest.mark.parametrize(
    "kind",
    [
        {"users": {"num_users": 2}},
        {"layers": 2},
        {"mcs": 5, "pusch": {"mcs_index": 5, "transform_precoding": True}, "esn0_db": 5.0},
    ],
)
def test_untrained_network_is_its_classical_start(kind):
    batch = slots({"transmit_impairments": [RAPP]}, batch=3, num_prb=4, **kind)
    torch.manual_seed(0)
    model = RefinedBlindReceiver(8, [1, 2], num_reestimations=2, track_phase=True, amplifier_order=5)
    with torch.no_grad():
        llr = model(batch.observation)[-1][0]
    expected = Blind(num_reestimations=2, track_phase=True, amplifier_order=5)(batch.observation)
    torch.testing.assert_close(llr, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_two_users_at_low_snr_stay_together():
    """Where layers cannot be told apart, what is unknown of them must not be counted as noise of each."""
    batch = slots({"transmit_impairments": [{**RAPP, "input_back_off_db": 2}]}, 32, 13.0, users={"num_users": 2})
    loss = entropies(Blind(num_reestimations=6, amplifier_order=5)(batch.observation), batch)
    before = entropies(Blind(num_reestimations=2)(batch.observation), batch)
    assert float(loss.mean()) < 0.85 * float(before.mean())
    assert float((loss - before).max()) < 0.05


def test_slots_of_a_batch_do_not_meet():
    observation = slots({"transmit_impairments": [RAPP]}, batch=4, num_prb=4).observation
    receiver = Blind(num_reestimations=2, track_phase=True, amplifier_order=3)
    torch.testing.assert_close(receiver(observation)[2:3], receiver(observation.part(2, 3)), rtol=1e-3, atol=2e-2)


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"amplifier_order: got 4; allowed: 1 \(none\), 3, 5"):
        ImpairedSlot(amplifier_order=4)
    with pytest.raises(ValueError, match="num_reestimations: got 0 with track_phase or amplifier_order"):
        Blind(track_phase=True)
