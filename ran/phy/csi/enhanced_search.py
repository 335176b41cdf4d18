"""From precoders to the PMI of the enhanced type II codebook: how a terminal may choose it; no standard says how."""

from __future__ import annotations

import numpy as np

from ran.errors import bad_value
from ran.phy.csi.enhanced_type_two import (
    COEFFICIENT_AMPLITUDES,
    NUM_PHASES,
    POLARISATION_AMPLITUDES,
    EnhancedPmi,
    EnhancedTypeTwo,
)
from ran.phy.csi.phase import compacted, taps_of, units_of
from ran.phy.csi.port_layout import orthogonal_beams

_ROUNDS = 3


def beam_coefficients(
    v: np.ndarray, n1: int, n2: int, num_beams: int, power: np.ndarray | None = None
) -> tuple[tuple[int, int], tuple[int, ...], np.ndarray]:
    """The group and the beams that hold the most power of all layers and units, and the coefficients on them.

    v complex [num_layers, num_units, num_ports], unit norm; power [num_layers]: weight of each layer, equal where left
    out. Returns (q1, q2), L ascending beam numbers, and complex128 [num_layers, num_units, 2 L].
    """
    beams = orthogonal_beams(n1, n2)
    fields = v.reshape(*v.shape[:2], 2, n1 * n2)
    # [q1, q2, layer, unit, polarisation, beam]
    found = np.einsum("abne,lupe->ablupn", beams.conj(), fields, optimize=True) / (n1 * n2)
    weight = np.ones(len(v)) if power is None else power
    strength = np.einsum("ablupn,l->abn", np.abs(found) ** 2, weight)
    best = np.sort(strength, -1)[..., -num_beams:].sum(-1)
    q1, q2 = np.unravel_index(int(best.argmax()), best.shape)
    chosen = np.sort(np.argsort(strength[q1, q2])[-num_beams:])
    coefficients = found[q1, q2][..., chosen].reshape(*v.shape[:2], -1)
    return (int(q1), int(q2)), tuple(int(n) for n in chosen), coefficients


def search(v: np.ndarray, config: EnhancedTypeTwo) -> EnhancedPmi:
    """The PMI of one report.

    v complex [num_layers, N3, num_ports]: the wanted unit vector of every layer and PMI unit; phases are of no account.
    """
    if v.ndim != 3 or v.shape[1:] != (config.num_units, config.num_ports):
        raise bad_value("v", v.shape, f"[num_layers, {config.num_units}, {config.num_ports}]")
    rank = len(v)
    num_taps = config.num_taps(rank)
    q, beams, a = beam_coefficients(v, config.n1, config.n2, config.num_beams)
    a = compacted(a, num_taps)
    # the strongest coefficient gets tap 0
    for layer in range(rank):
        tap = np.unravel_index(np.abs(taps_of(a[layer])).argmax(), a.shape[1:])[0]
        a[layer] *= np.exp(-2j * np.pi * tap * np.arange(config.num_units) / config.num_units)[:, None]
    start = window_of(a, config, num_taps)
    allowed = np.arange(config.num_units)
    if config.has_window:
        allowed = (start + np.arange(2 * num_taps)) % config.num_units
    taps, chosen = [], []
    for layer in range(rank):
        tap_set, values = _layer(a[layer], allowed, num_taps)
        taps.append(tuple(int(n) for n in tap_set))
        chosen.append(values)
    b = np.stack(chosen)
    strongest = tuple(int(np.abs(values[0]).argmax()) for values in b)
    bitmap = nonzero_bitmap(b, strongest, config)
    k1, k2, c = quantised(b, bitmap, strongest, config)
    return EnhancedPmi(config, q, beams, tuple(taps), start, bitmap, strongest, k1, k2, c)


def window_of(a: np.ndarray, config: EnhancedTypeTwo, num_taps: int) -> int:
    """M_initial whose window of 2 M taps holds the most power."""
    if not config.has_window:
        return 0
    power = (np.abs(taps_of(a)) ** 2).sum((0, 2))
    starts = range(1 - 2 * num_taps, 1)
    held = [power[(start + np.arange(2 * num_taps)) % config.num_units].sum() for start in starts]
    return starts[int(np.argmax(held))]


def _layer(a: np.ndarray, allowed: np.ndarray, num_taps: int) -> tuple[np.ndarray, np.ndarray]:
    """Tap 0 and the strongest others, ascending, and their coefficients [num_taps, 2 L], the strongest at tap 0."""
    for _ in range(_ROUNDS):
        b = taps_of(a)
        power = (np.abs(b) ** 2).sum(-1)
        others = allowed[allowed != 0]
        found = others[np.argsort(power[others])[len(others) - (num_taps - 1) :]]
        tap_set = np.sort(np.concatenate([[0], found])).astype(int)
        kept = np.zeros_like(b)
        kept[tap_set] = b[tap_set]
        inner = (a.conj() * units_of(kept)).sum(-1, keepdims=True)
        a = a * np.exp(1j * np.angle(inner))
    b = taps_of(a)[tap_set]
    return tap_set, b


def nonzero_bitmap(b: np.ndarray, strongest: tuple[int, ...], config: EnhancedTypeTwo) -> np.ndarray:
    """The strongest coefficients of every layer, so many as are allowed; none that the quantiser would make larger."""
    size = np.abs(b)
    for layer, place in enumerate(strongest):
        size[layer, 0, place] = np.inf
    of_pol = size.reshape(*b.shape[:2], 2, -1)
    finite = np.where(np.isinf(of_pol), np.abs(b).reshape(of_pol.shape), of_pol)
    reference = finite.max((1, 3), keepdims=True)
    least = reference * COEFFICIENT_AMPLITUDES[0] / 2
    worth = (of_pol > least).reshape(b.shape)
    flat = np.where(worth, size, 0).reshape(len(b), -1)
    places = np.argsort(-flat, axis=1, kind="stable")
    bitmap = np.zeros(flat.shape, bool)
    np.put_along_axis(bitmap, places[:, : config.most_per_layer], True, 1)
    bitmap &= flat > 0
    surplus = int(bitmap.sum()) - 2 * config.most_per_layer
    if surplus > 0:
        # the weakest of all layers go, each relative to the strongest of its layer
        relative = np.where(bitmap, flat / np.abs(b).reshape(len(b), -1).max(1, keepdims=True), np.inf)
        bitmap.flat[np.argsort(relative, axis=None, kind="stable")[:surplus]] = False
    return bitmap.reshape(b.shape)


def quantised(
    b: np.ndarray, bitmap: np.ndarray, strongest: tuple[int, ...], config: EnhancedTypeTwo
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """k1 [layers, 2], k2 and c [layers, M, 2 L]; the amplitude of the weaker polarisation is that of the least
    error."""
    rank = len(b)
    half = config.num_beams
    k1, k2, c = np.zeros((rank, 2), int), np.zeros(b.shape, int), np.zeros(b.shape, int)
    for layer, place in enumerate(strongest):
        value = b[layer] / b[layer, 0, place]
        c[layer] = np.rint(np.angle(value) * NUM_PHASES / (2 * np.pi)).astype(int) % NUM_PHASES
        size = np.abs(value) * np.cos(np.angle(value) - 2 * np.pi * c[layer] / NUM_PHASES)
        pol = place // half
        k1[layer, pol] = 15
        for side in (pol, 1 - pol):
            part = slice(side * half, (side + 1) * half)
            scales = [15] if side == pol else range(1, 16)
            levels = POLARISATION_AMPLITUDES[list(scales)][:, None, None, None] * COEFFICIENT_AMPLITUDES
            distance = np.abs(size[None, :, part, None] - levels)
            error = (distance.min(-1) ** 2 * bitmap[layer, :, part]).sum((1, 2))
            best = int(error.argmin())
            k1[layer, side] = scales[best]
            k2[layer, :, part] = distance[best].argmin(-1)
        k2[layer, 0, place], c[layer, 0, place] = 7, 0
    return k1, np.where(bitmap, k2, 0), np.where(bitmap, c, 0)
