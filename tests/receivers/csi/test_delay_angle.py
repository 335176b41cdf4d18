"""The delay-angle coder: frames, arithmetic code, probabilities, and reports through their bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from receivers.csi import DelayAngleCoder, DelayAngleModel, sgcs
from receivers.csi.arithmetic import PRECISION, ArithmeticDecoder, ArithmeticEncoder, frequencies
from receivers.csi.delay_angle import (
    agreeing,
    approaching,
    enter,
    leave,
    num_rotations,
    over_delays,
    over_units,
    shifted,
)
from receivers.csi.delay_angle_search import Search
from receivers.csi.entropy_model import LARGEST, delay_order, log_probability

LAYOUTS = [(8, 2), (4, 4), (3, 2), (16, 1)]


def precoders(count: int, units: int, n1: int, n2: int, seed: int = 1) -> torch.Tensor:
    """Unit vectors of some paths each, with a phase of their own in every unit."""
    rng = np.random.default_rng(seed)
    v = np.zeros((count, units, 2, n1, n2), complex)
    for _ in range(4):
        gain = rng.standard_normal((count, 1, 2, 1, 1, 2)) @ [1, 1j]
        place = [rng.uniform(0, size, (count, 1, 1, 1, 1)) for size in (3, n1, n2)]
        grids = (np.arange(units)[:, None, None, None], np.arange(n1)[:, None], np.arange(n2))
        angle = sum(p * g / s for p, g, s in zip(place, grids, (units, n1, n2), strict=True))
        v += gain * np.exp(2j * np.pi * angle)
    v *= np.exp(2j * np.pi * rng.random((count, units, 1, 1, 1)))
    v = v.reshape(count, units, -1)
    return torch.from_numpy(v / np.linalg.norm(v, axis=-1, keepdims=True)).to(torch.complex64)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_frame_loses_nothing_but_phases(layout):
    v = precoders(6, 13, *layout)
    framed = enter(v, layout)
    back = leave(framed.x, framed.rotation, framed.place, layout)
    torch.testing.assert_close(sgcs(v, back), torch.ones(6, 13), atol=1e-5, rtol=0)
    strongest = framed.x.abs().flatten(1).argmax(1)
    assert (strongest == 0).all()
    torch.testing.assert_close(framed.x[:, 0, 0, 0].imag, torch.zeros(6), atol=1e-5, rtol=0)
    assert framed.rotation.max() < num_rotations(layout)
    # phases of units change nothing of what the frame says
    again = enter(
        v * torch.exp(2j * torch.pi * torch.rand(6, 13, 1, generator=torch.Generator().manual_seed(1))), layout
    )
    torch.testing.assert_close(again.x, framed.x, atol=2e-3, rtol=0)


@pytest.mark.parametrize("groups", [2, 4, 6, 8])
def test_a_shift_is_undone(groups):
    x = torch.randn(5, 3, groups, 4, dtype=torch.complex64)
    place = torch.tensor([0, 1, groups * 4 - 1, 2 * groups, 7])
    moved = shifted(x, place)
    torch.testing.assert_close(moved[:, :, 0, 0], torch.stack([x[i, :, p // 4, p % 4] for i, p in enumerate(place)]))
    torch.testing.assert_close(shifted(moved, place, back=True), x)


def test_few_coefficients_hold_a_few_paths():
    """Phases by unit at random spread a precoder over all delays; the frame finds those with which it is sparse."""
    v = precoders(32, 13, 8, 2)
    x = enter(v, (8, 2)).x.abs().square().flatten(1)
    naive = over_delays(v.unflatten(-1, (4, 8))).abs().square().flatten(1)
    held, of_naive = (y.sort(1, descending=True).values[:, :24].sum(1) / 13 for y in (x, naive))
    assert held.mean() > 0.75 > 2 * of_naive.mean()


def test_phases_agree():
    x = torch.randn(3, 13, 4, 8, dtype=torch.complex64)
    wanted = torch.randn(3, 13, 4, 8, dtype=torch.complex64)
    inner = (over_units(agreeing(x, wanted)).conj() * over_units(wanted)).sum((2, 3))
    torch.testing.assert_close(inner.imag, torch.zeros(3, 13), atol=1e-4, rtol=0)
    assert (inner.real > 0).all()


def test_norms_of_units_come_nearer_to_those_that_agree():
    """Phases are those of `agreeing`; norms go half the way to the share of the wanted in a unit, none to nothing."""
    x = torch.randn(3, 13, 4, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    x = over_delays(over_units(x) / torch.linalg.vector_norm(over_units(x), dim=(2, 3), keepdim=True))
    fading = torch.linspace(0.3, 3, 13)[None, :, None, None]
    found = approaching(x, over_delays(over_units(x) * fading * 1j))
    norms = torch.linalg.vector_norm(over_units(found), dim=(2, 3))
    torch.testing.assert_close(norms.square().mean(1), torch.ones(3))
    torch.testing.assert_close(over_units(found) / norms[..., None, None], 1j * over_units(x), atol=1e-5, rtol=0)
    wanted = (fading / fading.log().mean().exp()).sqrt().clamp(0.6, 1.5).flatten()
    torch.testing.assert_close(norms, (wanted / wanted.square().mean().sqrt()).expand(3, 13))


def test_arithmetic_code_comes_back_and_is_as_short_as_the_information():
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.full(9, 0.2), 400)
    tables = frequencies(p)
    assert (np.diff(tables, axis=1) >= 1).all()
    assert (tables[:, -1] == 1 << PRECISION).all()
    for _ in range(20):
        symbols = [int(rng.choice(9, p=row)) for row in p]
        encoder = ArithmeticEncoder()
        for table, symbol in zip(tables, symbols, strict=True):
            encoder.put(table.tolist(), symbol)
        bits = encoder.bits()
        given = [table[s + 1] - table[s] for table, s in zip(tables, symbols, strict=True)]
        information = -np.log2(np.array(given) / (1 << PRECISION)).sum()
        assert len(bits) <= information + 2.01
        for tail in ([], [0] * 50):
            decoder = ArithmeticDecoder(bits + tail)
            assert [decoder.take(table) for table in tables] == symbols


def test_probabilities_sum_to_one():
    k = torch.arange(-200.0, 201.0, dtype=torch.float64)
    scales = torch.tensor([0.05, 1.0, 8.0], dtype=torch.float64)
    total = log_probability(k, torch.full_like(k, 0.3), scales.expand(401, 3)).exp().sum(0)
    torch.testing.assert_close(total, torch.ones(3, dtype=torch.float64), atol=1e-9, rtol=0)


def test_delays_are_coded_from_the_inside_out():
    assert delay_order(5) == [0, 4, 1, 3, 2]
    assert sorted(delay_order(13)) == list(range(13))


def _model(seed: int = 1, **options: int) -> DelayAngleModel:
    torch.manual_seed(seed)
    model = DelayAngleModel(**{"num_units": 7, "n1": 4, "n2": 2, "width": 12, "restoration_width": 8, **options})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("reach", [1, 2])
def test_what_comes_later_changes_no_probability(reach):
    """Causality: the decoder can compute what the encoder used."""
    contexts = _model(reach=reach).contexts.double()
    k = torch.complex(*torch.randint(-2, 3, (2, 3, 7, 4, 4)).double())
    step = torch.full((3,), 0.3, dtype=torch.float64)
    steps = contexts.steps()
    assert len(steps) == 7 * 4 * 2
    for number in (0, 5, 23, 55):
        known = torch.zeros_like(k)
        for at in steps[:number]:
            known[:, at[0], at[1], at[2]] = k[:, at[0], at[1], at[2]]
        at = steps[number]
        of_all = contexts.mixture(known, torch.log1p(known.abs()), step, *at)
        assert [part.shape for part in of_all] == [(3, 2, 3), (3, 2, 3), (3, 2)]
    # the bits of all together are those of the steps
    total, known = torch.zeros(3, dtype=torch.float64), torch.zeros_like(k)
    from receivers.csi.entropy_model import bits_of

    for at in steps:
        weights, scales, mean = contexts.mixture(known, torch.log1p(known.abs()), step, *at)
        total += bits_of(k[:, at[0], at[1], at[2]], weights, scales, mean).sum(1)
        known[:, at[0], at[1], at[2]] = k[:, at[0], at[1], at[2]]
    torch.testing.assert_close(contexts.bits(k, step), total)


def test_a_common_phase_changes_no_bits_of_means():
    """Means follow the phases of what was coded before, and features do not see them."""
    contexts = _model().contexts.double()
    k = torch.complex(*torch.randint(-3, 4, (2, 2, 7, 4, 4)).double())
    step = torch.full((2,), 0.3, dtype=torch.float64)
    at = contexts.steps()[30]
    turned = [contexts.mixture(k * phase, torch.log1p(k.abs()), step, *at) for phase in (1, 1j)]
    torch.testing.assert_close(turned[0][0], turned[1][0])
    torch.testing.assert_close(turned[0][2] * 1j, turned[1][2])


@pytest.mark.parametrize(("options", "payloads"), [({}, (150, 450)), ({"n1": 3, "n2": 1}, (300,))])
def test_reports_have_their_length_and_are_decoded_from_their_bits(options, payloads):
    model = _model(num_units=5, **options)
    torch.nn.init.zeros_(model.restoration.leave.weight)
    torch.nn.init.zeros_(model.restoration.leave.bias)
    v = precoders(2, 5, *model.shape)
    worth = []
    for num_bits in payloads:
        coder = DelayAngleCoder.of(model, num_bits)
        reports = coder.encode(v)
        assert reports.shape == (2, num_bits)
        decoded = coder.decode(reports)
        # what is decoded does not depend on whom it is decoded with
        torch.testing.assert_close(coder.decode(reports[1:2]), decoded[1:2], atol=1e-6, rtol=0)
        torch.testing.assert_close(decoded.abs().square().sum(-1), torch.ones(2, 5), atol=1e-5, rtol=0)
        worth.append(float(sgcs(v, decoded).mean()))
    assert worth == sorted(worth)
    assert worth[-1] > 0.9


def test_reports_of_a_common_step_have_lengths_of_their_own():
    model = _model(num_units=5, n2=1)
    torch.nn.init.zeros_(model.restoration.leave.weight)
    torch.nn.init.zeros_(model.restoration.leave.bias)
    v = precoders(5, 5, 4, 1)
    # one path alone takes fewer bits than four
    v[0] = precoders(1, 5, 4, 1, 9)[0, :1].expand(5, -1)
    coder = DelayAngleCoder.of(model, 100)
    reports = coder.encode_at(v, 0.4)
    sizes = [len(report) for report in reports]
    assert all(size % 16 == 0 for size in sizes)
    assert sizes[0] < max(sizes)
    decoded = coder.decode_at(reports, 0.4)
    assert float(sgcs(v, decoded).mean()) > 0.85
    torch.testing.assert_close(coder.decode_at(reports[2:3], 0.4), decoded[2:3], atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match=rf"report: got {sizes[1] - 1}; allowed: {sizes[1]} bits, as its first field"):
        coder.decode_at([reports[0], reports[1][:-1]], 0.4)


def test_a_report_that_nothing_fits_into_says_the_strongest_coefficient():
    """An untrained model needs more bits for nothing than there are: the report is still one, of its length."""
    model = _model(num_units=5)
    coder = DelayAngleCoder.of(model, 20)
    v = precoders(3, 5, 4, 2)
    decoded = coder.decode(coder.encode(v))
    power = enter(v, (4, 2)).x.abs().square()
    # its share of the power, which is what one beam at one delay holds
    torch.testing.assert_close(sgcs(v, decoded).mean(-1), power[:, 0, 0, 0] / 5, atol=0.05, rtol=0)


def test_the_choice_by_cost_costs_fewer_bits_and_the_largest_index_holds():
    model = _model().double()
    x = enter(precoders(8, 7, 4, 2), (4, 2)).x.to(torch.complex128)
    step = torch.full((8,), 0.2, dtype=torch.float64)
    cheap, bits = model.chosen(x, step, torch.full_like(step, 0.2))
    free, more = model.chosen(x, step, torch.zeros_like(step))
    assert (bits < more).all()
    # at no price an index is the nearest
    np.testing.assert_array_equal(free.real, (x / 0.2).real.round())
    torch.testing.assert_close(model.contexts.bits(cheap, step), bits)
    huge, _ = model.quantised(1e6 * x, step)
    assert huge.real.abs().max() == LARGEST


def test_alternatives_are_the_next_best_and_cost_what_is_said():
    model = _model().double()
    x = enter(precoders(2, 7, 4, 2), (4, 2)).x.to(torch.complex128)
    step, weight = torch.full((2,), 0.3, dtype=torch.float64), torch.full((2,), 0.1, dtype=torch.float64)
    k, _ = model.chosen(x, step, weight)
    more, other = model.alternatives(k, x, step, weight)
    # `chosen` takes the cheapest
    assert (more >= 0).all()
    assert (other != k)[more < torch.inf].all()
    # of the last coefficient in the order of coding nothing depends: what is said is what the whole costs
    delay, group, columns = model.contexts.steps()[-1]
    at = (slice(None), delay, group, columns.start)
    changed = k.clone()
    changed[at] = other[at]

    def cost(k: torch.Tensor) -> torch.Tensor:
        return (k - x / 0.3).abs().square().sum((1, 2, 3)) + 0.1 * model.contexts.bits(k, step)

    finite = more[at] < torch.inf
    torch.testing.assert_close((cost(changed) - cost(k))[finite], more[at][finite])


def test_a_search_makes_reports_better_and_keeps_them_short():
    """Whatever the model: no sample gets worse or too long, and the mean gets better by more than precision."""
    model = _model(num_units=5, n2=1, restoration_rounds=1, reach=2)
    x = enter(precoders(6, 5, 4, 1), (4, 1)).x
    search = Search(model, x)
    search.most = np.full(6, 150.0)
    step = np.full(6, 0.4)
    assert not search.try_with(np.full(6, 0.02), np.zeros(6)).any()
    assert (search.step == 0).all()
    search.try_with(step, np.full(6, 0.09))
    fitted = search.step > 0
    assert fitted.any()
    before = search.best.copy()
    search.improve()
    assert (search.best >= before).all()
    assert (search.best - before)[fitted].mean() > 1e-3
    steps = torch.full((6,), 0.4)
    bits = model.contexts.bits(search.k, steps).detach().numpy()
    assert (bits[fitted] <= 150).all()
    worth = sgcs(over_units(x).flatten(2), over_units(model.restoration(search.k, steps)).flatten(2)).mean(-1)
    np.testing.assert_allclose(worth.detach().numpy()[fitted], search.best[fitted], atol=1e-5)


def test_one_sample_alone_is_searched():
    """What is left for a second try may be one report."""
    model = _model(num_units=5, n2=1)
    search = Search(model, enter(precoders(1, 5, 4, 1), (4, 1)).x)
    search.most = np.full(1, 300.0)
    assert search.try_with(np.full(1, 0.5), np.full(1, 0.09)).all()
    before = search.best.copy()
    search.improve()
    assert search.best.shape == (1,)
    assert search.best[0] >= before[0]


@pytest.mark.parametrize("options", [{}, {"restoration_rounds": 2}])
def test_a_larger_model_begins_as_a_smaller_one(options):
    smaller = _model(**options)
    more = {"restoration_rounds": 3} if options else {}
    larger = DelayAngleModel(7, 4, 2, 12, 8, reach=2, **more)
    larger.begin_as(smaller)
    k = torch.complex(*torch.randint(-2, 3, (2, 3, 7, 4, 4)).float())
    step = torch.full((3,), 0.3)
    torch.testing.assert_close(larger.contexts.bits(k, step), smaller.contexts.bits(k, step))
    torch.testing.assert_close(larger.restoration(k, step), smaller.restoration(k, step))
    # and all of it can be trained
    (larger.contexts.bits(k, step).sum() + larger.restoration(k, step).abs().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in larger.parameters())
    for other in (larger, _model(width=13, **options)):
        with pytest.raises(ValueError, match="model: got "):
            smaller.begin_as(other)


def test_bad_input_is_refused():
    coder = DelayAngleCoder.of(_model(), 120)
    with pytest.raises(ValueError, match=r"report: got \(2, 119\); allowed: \[batch, 120\] bits"):
        coder.decode(np.zeros((2, 119), np.uint8))
    with pytest.raises(ValueError, match=r"v: got \(4, 6, 16\); allowed: \[batch, 7, num_ports\]"):
        coder.encode(precoders(4, 6, 4, 2))
    with pytest.raises(
        ValueError, match=r"weights: got 'csi-refined'; allowed: a model of the architecture 'delay-angle'"
    ):
        DelayAngleCoder("csi-refined", 140)
    with pytest.raises(ValueError, match="width: got 0; allowed: 1 or more"):
        DelayAngleModel(width=0)
    with pytest.raises(ValueError, match="reach: got 3; allowed: 1 or 2"):
        DelayAngleModel(reach=3)


@pytest.mark.parametrize("layout", [(8, 4), (4, 1), (3, 2)])
def test_a_model_serves_another_layout(layout):
    """Its own is unchanged; a place of another is that of the direction, and reports come back through their bits."""
    model = _model().double()
    own = model.for_layout(4, 2)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(own.state_dict()[name], tensor)
    other = model.for_layout(*layout)
    # the strongest beam stays the strongest
    torch.testing.assert_close(other.contexts.place[:, 0, 0], model.contexts.place[:, 0, 0])
    torch.testing.assert_close(other.contexts.place[:, layout[1], 0], model.contexts.place[:, 2, 0])
    # nothing is restored by random weights: what is left is what the report holds
    torch.nn.init.zeros_(other.restoration.leave.weight)
    torch.nn.init.zeros_(other.restoration.leave.bias)
    coder = DelayAngleCoder.of(other, 2000)
    v = precoders(1, 7, *layout)
    reports = coder.encode(v)
    assert reports.shape == (1, 2000)
    assert float(sgcs(v, coder.decode(reports)).mean()) > 0.95
