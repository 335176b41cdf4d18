"""From precoders of several intervals to the PMI of the codebook for predicted PMI; no standard says how."""

from __future__ import annotations

import numpy as np

from ran.errors import bad_value
from ran.phy.csi.enhanced_search import beam_coefficients, nonzero_bitmap, quantised, window_of
from ran.phy.csi.phase import compacted, taps_of, units_of
from ran.phy.csi.predicted_type_two import PredictedPmi, PredictedTypeTwo

_ROUNDS = 6


def search(v: np.ndarray, config: PredictedTypeTwo) -> PredictedPmi:
    """The PMI of one report.

    v complex [num_layers, N4, N3, num_ports]: the wanted unit vector of every layer, interval and PMI unit; phases are
    of no account.
    """
    shape = (config.num_intervals, config.num_units, config.num_ports)
    if v.ndim != 4 or v.shape[1:] != shape:
        raise bad_value("v", v.shape, f"[num_layers, {', '.join(map(str, shape))}]")
    rank = len(v)
    num_taps = config.num_taps(rank)
    flat = v.reshape(rank, -1, config.num_ports)
    q, beams, a = beam_coefficients(flat, config.n1, config.n2, config.num_beams)
    a = np.stack([_steady(layer, num_taps) for layer in a.reshape(*v.shape[:3], -1)])
    for layer in range(rank):
        # the strongest coefficient gets tap 0 and Doppler shift 0
        places = _transformed(a[layer])
        shift, tap, _ = np.unravel_index(np.abs(places).argmax(), places.shape)
        turn = shift * np.arange(config.num_intervals)[:, None] / config.num_intervals
        turn = turn + tap * np.arange(config.num_units) / config.num_units
        a[layer] *= np.exp(-2j * np.pi * turn)[..., None]
    start = window_of(a.reshape(-1, *a.shape[2:]), config, num_taps)
    allowed = np.arange(config.num_units)
    if config.has_window:
        allowed = (start + np.arange(2 * num_taps)) % config.num_units
    taps, shifts, chosen = [], [], []
    for layer in range(rank):
        tap_set, shift_set, values = _layer(a[layer], allowed, num_taps, config.num_shifts)
        taps.append(tap_set)
        shifts.append(shift_set)
        chosen.append(values)
    # shifts one after the other as if they were taps; the strongest is in the first
    b = np.stack(chosen).reshape(rank, -1, 2 * config.num_beams)
    strongest = tuple(int(np.abs(values[0]).argmax()) for values in b)
    bitmap = nonzero_bitmap(b, strongest, config)
    k1, k2, c = quantised(b, bitmap, strongest, config)
    full = (rank, config.num_shifts, num_taps, 2 * config.num_beams)
    of_layers = tuple((0, place) for place in strongest)
    bitmap, k2, c = (values.reshape(full) for values in (bitmap, k2, c))
    return PredictedPmi(config, q, beams, tuple(taps), start, tuple(shifts), bitmap, of_layers, k1, k2, c)


def _transformed(a: np.ndarray) -> np.ndarray:
    """Coefficients over intervals and units [N4, N3, n] as Doppler shifts and taps."""
    return np.asarray(np.fft.fft(taps_of(a), axis=0, norm="forward"))


def _steady(a: np.ndarray, num_taps: int) -> np.ndarray:
    """Coefficients [N4, N3, n] with phases of intervals and units so that they change slowly over both."""
    turned = [compacted(a[0], num_taps)]
    for later in a[1:]:
        inner = (turned[-1].conj() * later).sum(-1, keepdims=True)
        turned.append(later * np.exp(-1j * np.angle(inner)))
    return np.stack(turned)


def _layer(
    a: np.ndarray, allowed: np.ndarray, num_taps: int, num_shifts: int
) -> tuple[tuple[int, ...], tuple[int, ...], np.ndarray]:
    """Tap 0 and the strongest others, shift 0 and the strongest other, ascending, and their coefficients [Q, M, 2 L].

    Taps, shifts and the phases of intervals and units are found in turns.
    """
    others = allowed[allowed != 0]
    for _ in range(_ROUNDS):
        b = _transformed(a)
        power = (np.abs(b) ** 2).sum(-1)
        shift_set = np.array([0])
        if num_shifts == 2:
            # of the taps that a first choice would take
            first = others[np.argsort(power.sum(0)[others])[len(others) - (num_taps - 1) :]]
            of_shift = power[:, [0, *first]].sum(1)
            shift_set = np.array([0, 1 + int(of_shift[1:].argmax())])
        of_tap = power[shift_set].sum(0)
        found = others[np.argsort(of_tap[others])[len(others) - (num_taps - 1) :]]
        tap_set = np.sort(np.concatenate([[0], found])).astype(int)
        kept = np.zeros_like(b)
        place = np.ix_(shift_set, tap_set)
        kept[place] = b[place]
        wanted = units_of(np.fft.ifft(kept, axis=0, norm="forward"))
        a = a * np.exp(1j * np.angle((a.conj() * wanted).sum(-1, keepdims=True)))
    b = _transformed(a)[place]
    if np.abs(b[0, 0]).max() == 0:
        raise bad_value("v", "vectors that are 0", "unit vectors")
    return tuple(int(n) for n in tap_set), tuple(int(n) for n in shift_set), b
