"""The time domain against the frequency domain and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import j0

from channels import Tdl
from channels.paths import Paths
from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.link.waveform import TimeDomain, _cubic, _kernel
from ran.phy.config import Carrier, Harq, Pusch, Users
from ran.phy.ofdm import Ofdm, interpolation_reach
from ran.phy.waveform import Waveform
from receivers import PerfectCsi

STATIC = {"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 0}
MOVING = {**STATIC, "max_doppler_hz": 400}
#: Noise is 150 dB below the signal.
QUIET_DB = 150.0


def link(waveform=None, num_prb=6, num_users=1, channel=STATIC, spacing=30, num_rx_ant=2, harq=None, slot=0, **pusch):
    return Link(
        LinkConfig(
            carrier=Carrier(num_prb=num_prb, subcarrier_spacing_khz=spacing, slot_number=slot),
            pusch=Pusch(**pusch),
            users=Users(num_users=num_users),
            num_rx_ant=num_rx_ant,
            channel=channel,
            waveform=waveform,
            harq=harq,
        )
    )


class Air:
    """A time domain of one slot, one antenna per user, with paths that a test makes up."""

    def __init__(self, config=None, num_prb=4, num_users=1, num_rx_ant=1, fft_size=None, **hooks):
        config = (config or Waveform()).model_copy(update={"fft_size": fft_size} if fft_size else {})
        carrier = Carrier(num_prb=num_prb)
        self.ofdm = Ofdm.build(carrier, fft_size)
        self.domain = TimeDomain(config, carrier, [(0, 0.0)], num_users, 1, num_rx_ant, **hooks)

    def grid(self, num_drops=1, num_users=1, seed=1):
        """QPSK on every RE."""
        rng = np.random.default_rng(seed)
        quadrants = rng.integers(0, 4, (num_drops, num_users, 14, self.ofdm.num_subcarriers))
        return torch.from_numpy(np.exp(0.5j * np.pi * (quadrants + 0.5)).astype(np.complex64))

    def __call__(
        self, x, gains=lambda t: np.ones((1, len(t))), delays_s=(0.0,), noise_var=0.0, paths=None, device="cpu"
    ):
        """gains(times) [num_paths, num_times], of every drop, user and antenna; or `paths` as in `TimeDomain`."""

        def made_up(drops, times):
            g = torch.from_numpy(np.asarray(gains(times), np.complex64)).to(device)
            shape = (len(range(len(x))[drops]), self.domain.num_rx_ant, x.shape[1], *g.shape)
            return [Paths(g.expand(shape), torch.tensor([delays_s], dtype=torch.float64, device=device))]

        def streams(purpose, drops):
            return [np.random.default_rng([drop, *purpose.encode()]) for drop in range(len(x))[drops]]

        keys = np.arange(4 * len(x), dtype=np.uint32).reshape(-1, 4)
        return self.domain.received_grid(x.to(device), 0, paths or made_up, streams, keys, noise_var, True)


def closed_form_leak(weights: np.ndarray, fft_size: int, distance: np.ndarray) -> np.ndarray:
    """Amplitude that leaks over `distance` subcarriers from a symbol whose samples have these weights."""
    n = np.arange(fft_size)
    return np.exp(2j * np.pi * np.multiply.outer(distance, n) / fft_size) @ weights / fft_size


@pytest.mark.parametrize("num_prb", [1, 13, 24, 51])
@pytest.mark.parametrize(("num_users", "num_layers"), [(1, 1), (2, 2)])
def test_a_static_channel_gives_the_grid_of_the_frequency_domain(num_prb, num_users, num_layers):
    options = {"num_prb": num_prb, "num_users": num_users, "num_layers": num_layers}
    expected = link(**options).batch(range(2), QUIET_DB, 1, "s")
    found = link(Waveform(), **options).batch(range(2), QUIET_DB, 1, "s")
    torch.testing.assert_close(found.x, expected.x, rtol=0, atol=0)
    torch.testing.assert_close(found.h, expected.h, rtol=0, atol=5e-6)
    torch.testing.assert_close(found.observation.y, expected.observation.y, rtol=0, atol=1e-4)


@pytest.mark.parametrize("spacing", [15, 30, 60, 120])
@pytest.mark.parametrize("slot", [0, 3])
def test_every_numerology(spacing, slot):
    # the delays in samples are those of 30 kHz
    channel = {**STATIC, "delay_spread_ns": 100 * 30 / spacing}
    options = {"spacing": spacing, "slot": slot, "channel": channel}
    expected = link(**options).batch(range(1), QUIET_DB, 1, "s").observation.y
    found = link(Waveform(fft_size=384), **options).batch(range(1), QUIET_DB, 1, "s").observation.y
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_one_channel_per_user_a_codebook_and_spreading():
    other = {"name": "tdl", "profile": "C", "delay_spread_ns": 50, "max_doppler_hz": 0}
    cases = [
        {"num_users": 2, "channel": (STATIC, other)},
        {"num_users": 2, "num_layers": 1, "num_antenna_ports": 2, "tpmi": 2},
        {"transform_precoding": True},
    ]
    for options in cases:
        expected = link(**options).batch(range(2), QUIET_DB, 1, "s")
        found = link(Waveform(), **options).batch(range(2), QUIET_DB, 1, "s")
        torch.testing.assert_close(found.h, expected.h, rtol=0, atol=5e-6)
        torch.testing.assert_close(found.observation.y, expected.observation.y, rtol=0, atol=1e-4)


def test_interpolation_of_delays_keeps_its_bound():
    for num_subcarriers, fft_size in ((288, 512), (612, 1024), (3276, 4096), (108, 128)):
        reach = interpolation_reach(num_subcarriers, fft_size)
        cycles = np.linspace(-0.5, 0.5, 301) * num_subcarriers / fft_size
        taps = np.arange(-reach, reach + 2)
        for delay in np.linspace(0, 1, 21):
            kernel = _kernel(torch.from_numpy(taps - delay), reach).numpy()
            error = np.exp(-2j * np.pi * np.outer(cycles, taps)) @ kernel - np.exp(-2j * np.pi * cycles * delay)
            assert np.abs(error).max() < 1e-5


def test_a_moving_channel_is_its_response_and_interference_below():
    tested = link(Waveform(), channel=MOVING)
    batch = tested.batch(range(8), QUIET_DB, 1, "s")
    error = batch.observation.y - (batch.truth.h * batch.x[:, None]).sum(2)
    # intercarrier interference of Jakes fading: about (pi f T)^2 / 6 in a wide band
    expected = (np.pi * 400 / 30e3) ** 2 / 6
    assert 0.2 * expected < float(error.abs().square().mean()) < 2 * expected


def test_gains_between_nodes_are_interpolated_within_their_bound():
    for doppler_hz, bound in ((1000.0, 2e-7), (3000.0, 1.6e-5)):
        # a path that turns is a frequency offset, which has no nodes
        turning = lambda times, f=doppler_hz: np.exp(2j * np.pi * f * times)[None]  # noqa: E731
        air, exact = Air(), Air(Waveform(cfo_hz=doppler_hz))
        x = air.grid()
        (y, h), (y_exact, h_exact) = air(x, turning), exact(x)
        power = float(y_exact.abs().square().mean())
        assert float((y - y_exact).abs().square().mean() / power) ** 0.5 < bound + 1e-6
        torch.testing.assert_close(h, h_exact, rtol=0, atol=2e-6)
    torch.testing.assert_close(_cubic(64).sum(0), torch.ones(64))


def test_doppler_leaks_as_the_closed_form_says():
    doppler_hz, num_drops, num_rx_ant = 3000.0, 64, 64
    air = Air(num_prb=2, num_rx_ant=num_rx_ant)
    size, tone = air.ofdm.fft_size, 12
    x = torch.zeros(num_drops, 1, 14, air.ofdm.num_subcarriers, dtype=torch.complex64)
    x[:, :, 7, tone] = 1
    tap = Tdl("A", delay_spread_ns=0, max_doppler_hz=doppler_hz)

    def paths(drops, times):
        return [tap.paths([np.random.default_rng((5, d)) for d in range(num_drops)[drops]], num_rx_ant, 1, times)]

    y, _ = air(x, paths=paths)
    measured = y[:, :, 7].abs().square().mean((0, 1)).double().numpy()
    # E|c_m|^2 = sum over samples n, n' of J0(2 pi f T (n - n')/N) exp(-2j pi m (n - n')/N) / N^2
    lag = np.arange(-size + 1, size)
    weighted = (size - np.abs(lag)) * j0(2 * np.pi * doppler_hz / 30e3 * lag / size) / size**2
    distance = np.arange(air.ofdm.num_subcarriers) - tone
    expected = (np.exp(-2j * np.pi * np.outer(distance, lag) / size) @ weighted).real
    # independent exponentials: 5 standard deviations of their mean
    tolerance = 5 / np.sqrt(num_drops * num_rx_ant)
    assert np.all(np.abs(measured - expected) < tolerance * expected + 1e-8)
    # the loss of the carrier itself: 1 - E|c_0|^2, here about (pi f T)^2 / 6
    assert 1 - expected[tone] == pytest.approx((np.pi * 0.1) ** 2 / 6, rel=0.05)


@pytest.mark.parametrize("window_offset", [0, 7])
def test_a_delay_beyond_the_prefix_costs_what_the_closed_form_says(window_offset):
    num_drops, excess = 16, 20
    air = Air(Waveform(window_offset_samples=window_offset))
    size, used, prefix = air.ofdm.fft_size, air.ofdm.num_subcarriers, 18
    assert set(air.ofdm.prefixes[1:]) == {prefix}
    delay = prefix - window_offset + excess
    x = air.grid(num_drops)
    y, h = air(x, delays_s=(delay / air.ofdm.sample_rate_hz,))
    # of symbol l's window the first samples belong to symbol l - 1: its tail
    late = (np.arange(size) >= excess).astype(float)
    distance = np.subtract.outer(np.arange(used), np.arange(used))
    own = np.abs(closed_form_leak(late, size, distance)) ** 2
    wanted = own[0, 0]
    assert wanted == pytest.approx((1 - excess / size) ** 2)
    interference = own.sum(1) - wanted + (np.abs(closed_form_leak(1 - late, size, distance)) ** 2).sum(1)
    error = (y - np.sqrt(wanted) * h[:, :, 0] * x)[:, 0, 1:].abs().square().double().numpy()
    # drops and symbols are independent; the power of an RE has about its own size as standard deviation
    tolerance = 5 / np.sqrt(num_drops * 13)
    assert np.all(np.abs(error.mean((0, 1)) - interference) < tolerance * interference)
    # the first symbol, with its longer prefix, meets the slot's last
    first = (y - np.sqrt(wanted) * h[:, :, 0] * x)[:, 0, 0].abs().square().mean()
    assert 0.3 * interference.mean() < float(first) < interference.mean()


@pytest.mark.parametrize("offset_s", [5e-7, 123.4e-9, -200e-9])
def test_a_timing_offset_is_a_phase_ramp(offset_s):
    on_time = link(Waveform(), num_prb=24, channel="awgn")
    late = link(Waveform(timing_offset_s=offset_s, window_offset_samples=14), num_prb=24, channel="awgn")
    expected, found = on_time.batch(range(2), QUIET_DB, 1, "s"), late.batch(range(2), QUIET_DB, 1, "s")
    frequencies = (np.arange(288) - 143.5) * 30e3
    ramp = torch.from_numpy(np.exp(-2j * np.pi * frequencies * offset_s).astype(np.complex64))
    torch.testing.assert_close(found.h, expected.h * ramp, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.observation.y, expected.observation.y * ramp, rtol=0, atol=1e-4)


@pytest.mark.parametrize("cfo_hz", [200.0, -3000.0])
@pytest.mark.parametrize("window_offset", [0, 9])
def test_a_frequency_offset_turns_symbols_and_leaks_by_the_dirichlet_kernel(cfo_hz, window_offset):
    air = Air(Waveform(cfo_hz=cfo_hz, window_offset_samples=window_offset))
    x = air.grid()
    y, h = air(x)
    size, used = air.ofdm.fft_size, air.ofdm.num_subcarriers
    starts = np.array(air.ofdm.starts) - window_offset
    middle_s = (starts + (size - 1) / 2) / air.ofdm.sample_rate_hz
    turn = np.exp(2j * np.pi * cfo_hz * middle_s)
    torch.testing.assert_close(h[0, 0, 0], torch.from_numpy(turn.astype(np.complex64))[:, None].expand(-1, used))
    # D(u) = sin(pi u) / (N sin(pi u / N)) exp(j pi u (N - 1)/N), u = offset in subcarriers + distance
    u = cfo_hz / 30e3 + np.subtract.outer(np.arange(used), np.arange(used)).T
    kernel = (
        np.sin(np.pi * u)
        / (size * np.sin(np.pi * u / size))
        * np.exp(1j * np.pi * (u - cfo_hz / 30e3) * (size - 1) / size)
    )
    ramp = np.exp(2j * np.pi * (np.arange(used) - used // 2) * window_offset / size)
    expected = turn[:, None] * ((x[0, 0].numpy() / ramp) @ kernel.T) * ramp
    np.testing.assert_allclose(y[0, 0].numpy(), expected, atol=2e-5)


def test_noise_keeps_its_variance_per_resource_element():
    air = Air(num_rx_ant=4)
    y, _ = air(torch.zeros(64, 1, 14, 48, dtype=torch.complex64), noise_var=0.25)
    n = y.numel()
    assert abs(float(y.abs().square().mean()) / 0.25 - 1) < 5 / np.sqrt(n)
    # white: neighbouring REs, symbols and antennas are uncorrelated
    for a, b in ((y[..., 1:], y[..., :-1]), (y[:, :, 1:], y[:, :, :-1]), (y[:, 1:], y[:, :-1])):
        assert float((a * b.conj()).mean().abs()) < 5 * 0.25 / np.sqrt(a.numel())


def test_users_keep_their_own_clocks_and_add_up():
    config = Waveform(timing_offset_s=(100e-9, -50e-9), cfo_hz=(150, -80), window_offset_samples=9)
    air = Air(config, num_users=2)
    x = air.grid(2, 2)
    first, second = x.clone(), x.clone()
    first[:, 1], second[:, 0] = 0, 0
    (y, h), (y_first, _), (y_second, _) = air(x), air(first), air(second)
    torch.testing.assert_close(y, y_first + y_second, rtol=0, atol=1e-6)
    for user, alone in enumerate((y_first, y_second)):
        one = replace_clocks(config, user)
        expected, h_alone = Air(one)(x[:, user : user + 1])
        torch.testing.assert_close(alone, expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(h[:, :, user], h_alone[:, :, 0])


def replace_clocks(config: Waveform, user: int) -> Waveform:
    """Those of one user alone."""
    clocks = {"timing_offset_s": (config.timing_offset_s[user],), "cfo_hz": (config.cfo_hz[user],)}
    return config.model_copy(update=clocks)


def test_random_clocks_are_uniform_and_belong_to_drop_and_user():
    tested = link(Waveform(timing_offset_max_s=2e-7, cfo_max_hz=100, cfo_hz=50), num_users=2)
    generators = [np.random.default_rng(drop) for drop in range(2000)]
    timing, cfo = tested._time_domain._offsets(generators)
    assert np.abs(timing).max() < 2e-7
    assert -50 < cfo.min() < cfo.max() < 150
    # a uniform number in -1 to 1 has the variance 1/3, and its square 4/45
    for values in (timing / 2e-7, (cfo - 50) / 100):
        assert np.all(np.abs(values.mean(0)) < 5 / np.sqrt(3 * 2000))
        assert np.all(np.abs((values**2).mean(0) - 1 / 3) < 5 * np.sqrt(4 / 45 / 2000))
        assert abs(np.mean(values[:, 0] * values[:, 1])) < 5 / 3 / np.sqrt(2000)


def test_a_drop_depends_on_neither_batch_nor_steps(monkeypatch):
    waveform = Waveform(timing_offset_max_s=2e-7, cfo_max_hz=200)
    tested = link(waveform, num_prb=24, num_users=2, channel=MOVING)
    whole = tested.batch(range(8, 16), 5.0, 1, "s")
    alone = tested.batch([13], 5.0, 1, "s", with_channel=False)
    assert torch.equal(alone.observation.y[0], whole.observation.y[5])
    assert alone.h is None
    monkeypatch.setattr("ran.link.waveform._STEP_BYTES", 1)
    assert torch.equal(tested.batch(range(8, 16), 5.0, 1, "s").observation.y, whole.observation.y)
    monkeypatch.setattr("ran.link.waveform._WINDOW_BYTES", 2**18)
    parts = tested.batch(range(8, 16), 5.0, 1, "s").observation.y
    torch.testing.assert_close(parts, whole.observation.y, rtol=0, atol=1e-5)


def test_every_drop_may_have_its_own_delays():
    air = Air()
    x, delays = air.grid(2), torch.tensor([[0.0, 1.3e-7], [2.2e-7, 4e-8]], dtype=torch.float64)

    def paths(drops, times):
        return [Paths(torch.ones(2, 1, 1, 2, len(times), dtype=torch.complex64)[drops], delays[drops])]

    y, h = air(x, paths=paths)
    for drop in range(2):
        flat = lambda times: np.ones((2, len(times)))  # noqa: E731
        y_alone, h_alone = air(x[drop : drop + 1], flat, delays[drop].tolist())
        assert torch.equal(y[drop], y_alone[0])
        assert torch.equal(h[drop], h_alone[0])


def test_retransmissions_share_clocks_and_fading():
    # slots two apart of 60 kHz differ in their cyclic prefixes from the one between
    harq = Harq(max_transmissions=3, round_trip_slots=1)
    waveform = Waveform(timing_offset_max_s=2e-7, cfo_max_hz=300)
    tested = link(waveform, channel=STATIC, spacing=60, harq=harq)
    first, second = (tested.batch(range(2), QUIET_DB, 1, "s", attempt=n) for n in (0, 1))
    # what a static channel does between two slots is to turn by the frequency offset: equally on all subcarriers
    turn = second.h / first.h
    torch.testing.assert_close(turn, turn[..., :1].expand_as(turn), rtol=0, atol=2e-3)
    _, cfo = tested._time_domain._offsets(
        [np.random.Generator(g.bit_generator) for g in streams_of(tested, "clocks", range(2))]
    )
    slots = [slot.ofdm for slot in tested._time_domain._slots]
    assert [ofdm.num_samples for ofdm in slots] == [
        1922 * slots[0].fft_size // 128,
        1918 * slots[0].fft_size // 128,
        1922 * slots[0].fft_size // 128,
    ]
    later = slots[0].num_samples + np.array(slots[1].starts) - np.array(slots[0].starts)
    expected = np.exp(2j * np.pi * cfo[:, 0, None] * later / slots[0].sample_rate_hz)
    np.testing.assert_allclose(turn[:, 0, 0, :, 0].numpy(), expected, atol=2e-3)


def streams_of(tested: Link, purpose: str, drops: range) -> list[np.random.Generator]:
    from ran.link import stream

    return [stream(1, "s", drop, purpose) for drop in drops]


def test_impairments_meet_the_samples():
    seen = []

    def double(waveform, sample_rate_hz, generators):
        seen.append((tuple(waveform.shape), waveform.dtype, sample_rate_hz, [g.integers(2**62) for g in generators]))
        return 2 * waveform

    air = Air(num_users=2, num_rx_ant=3)
    hooked = Air(num_users=2, num_rx_ant=3, transmit=[double, double], receive=[double])
    x = air.grid(2, 2)
    (plain, h), (loud, h_hooked) = air(x), hooked(x)
    torch.testing.assert_close(loud, 8 * plain, rtol=0, atol=1e-5)
    torch.testing.assert_close(h_hooked, h)
    samples, size = air.ofdm.num_samples, air.ofdm.fft_size
    extended = samples + 2 * size + air.ofdm.prefixes[0] + air.ofdm.prefixes[-1]
    assert [entry[0] for entry in seen] == [(2, 1, extended)] * 4 + [(2, 3, samples)]
    assert {entry[1:3] for entry in seen} == {(torch.complex64, air.ofdm.sample_rate_hz)}
    # every impairment of every user has random numbers of its own
    assert len({number for entry in seen for number in entry[3]}) == 10


def test_gradients_pass_through_the_air():
    air = Air(Waveform(timing_offset_s=1e-7, cfo_hz=500), num_rx_ant=2)
    x = air.grid().requires_grad_()
    gains = lambda times: np.stack([np.cos(1e4 * times), 0.5j * np.sin(1e4 * times)])  # noqa: E731
    energy = air(x, gains, (0.0, 3e-7))[0].abs().square().sum()
    energy.backward()
    # y = A x: the gradient of |y|^2 is 2 A^H y, whose inner product with x is 2 |y|^2
    product = (x.detach().conj() * x.grad).sum().real
    torch.testing.assert_close(product, 2 * energy.detach(), rtol=1e-5, atol=0)


@pytest.mark.gpu
def test_a_gpu_computes_the_same():
    air = Air(Waveform(timing_offset_s=1e-7, cfo_hz=500), num_rx_ant=2)
    x = air.grid(2)
    (y, h), (y_gpu, h_gpu) = air(x, delays_s=(2e-7,)), air(x, delays_s=(2e-7,), device="cuda")
    torch.testing.assert_close(y_gpu.cpu(), y, rtol=0, atol=1e-5)
    torch.testing.assert_close(h_gpu.cpu(), h, rtol=0, atol=1e-5)


def test_both_domains_have_the_same_error_rate():
    num_drops, errors = 512, []
    for waveform in (None, Waveform()):
        tested = link(waveform, num_prb=4, channel=MOVING)
        outcome = tested.simulate({"p": PerfectCsi()}, range(num_drops), 4.0, 1, f"domain {waveform}")["p"]
        errors.append(int(outcome.block_errors.sum()))
    mean = sum(errors) / (2 * num_drops)
    assert 0.1 < mean < 0.9
    # two independent binomials
    assert abs(errors[0] - errors[1]) < 5 * np.sqrt(2 * num_drops * mean * (1 - mean))


@pytest.mark.parametrize(
    ("waveform", "text"),
    [
        ({"fft_size": 1000}, "waveform.fft_size: got 1000; allowed: multiples of 128"),
        (
            {"timing_offset_s": 20e-6},
            "waveform.timing_offset_s: got 2e-05 and a random part of 0; allowed: together at",
        ),
        ({"timing_offset_max_s": 20e-6}, "waveform.timing_offset_s: got 0 and a random part of 2e-05; allowed: "),
        ({"cfo_hz": 10e3, "cfo_max_hz": 6e3}, "waveform.cfo_hz: got 10000 and a random part of 6000; allowed: "),
        ({"cfo_hz": (1, 2, 3)}, "waveform.cfo_hz: got a list of 3; allowed: one number, or one for each of 1 users"),
        ({"window_offset_samples": 19}, "waveform.window_offset_samples: got 19; allowed: 0 to 18"),
    ],
)
def test_impossible_waveforms_are_refused(waveform, text):
    with pytest.raises(InputError) as caught:
        link(Waveform(**waveform))
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


def test_delays_longer_than_a_symbol_are_refused():
    tested = link(Waveform(), channel={**STATIC, "delay_spread_ns": 10_000})
    with pytest.raises(InputError, match=r"channel: got a delay of 4.78e-05 s; allowed with waveform: at most 3"):
        tested.batch(range(1), 5.0, 1, "s")


def test_samples_that_cannot_fit_are_refused():
    with pytest.raises(InputError, match=r"memory: got 320 antennas in the time domain, .*reduce num_rx_ant"):
        link(Waveform(), num_prb=273, num_rx_ant=320)


def test_experiments_without_a_waveform_keep_their_names():
    from ran.sim.experiment import load
    from ran.sim.identity import physics

    plain = load("pusch-receivers")
    assert "waveform" not in physics(plain)
    assert "waveform" not in plain.resolved()
    shifted = load("pusch-receivers", ["waveform.cfo_hz=100", "waveform.timing_offset_max_s=2e-7"])
    assert physics(shifted)["waveform"]["cfo_hz"] == [100.0]
    with pytest.raises(
        InputError, match=r"waveform.cfo: unknown key, got 3; allowed: fft_size, .*did you mean 'cfo_hz'"
    ):
        load("pusch-receivers", ["waveform.cfo=3"])
