"""Type I single-panel codebook of the downlink."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ran.errors import bad_value

#: (N1, N2) -> (O1, O2), TS 38.214 table 5.2.2.2.1-2; 2 N1 N2 CSI-RS ports.
OVERSAMPLING = {
    (2, 1): (4, 1),
    (2, 2): (4, 4),
    (4, 1): (4, 1),
    (3, 2): (4, 4),
    (6, 1): (4, 1),
    (4, 2): (4, 4),
    (8, 1): (4, 1),
    (4, 3): (4, 4),
    (6, 2): (4, 4),
    (12, 1): (4, 1),
    (4, 4): (4, 4),
    (8, 2): (4, 4),
    (16, 1): (4, 1),
}


_BEAMS_OF_MODE_2 = 4


def two_port_matrix(num_layers: int, index: int) -> np.ndarray:
    """Precoding matrix for 2 CSI-RS ports, complex128 [2, num_layers] (TS 38.214 table 5.2.2.2.1-1, Rel-18)."""
    size = {1: 4, 2: 2}.get(num_layers)
    if size is None:
        raise bad_value("num_layers on 2 CSI-RS ports", num_layers, "1, 2 (TS 38.214 table 5.2.2.2.1-1)")
    if not 0 <= index < size:
        raise bad_value("codebook index", index, f"0 to {size - 1} (TS 38.214 table 5.2.2.2.1-1)")
    phase = 1j**index
    if num_layers == 1:
        return np.array([[1], [phase]]) / np.sqrt(2)
    return np.array([[1, 1], [phase, -phase]]) / 2


def _second_beams(n1: int, n2: int, num_layers: int) -> tuple[tuple[int, int], ...]:
    """Offsets (k1, k2) in beam widths by i_1,3 (TS 38.214 tables 5.2.2.2.1-3 and -4)."""
    if num_layers == 2:
        if (n1, n2) == (2, 1):
            return ((0, 0), (1, 0))
        if n2 == 1:
            return ((0, 0), (1, 0), (2, 0), (3, 0))
        return ((0, 0), (1, 0), (0, 1), (1, 1) if n1 == n2 else (2, 0))
    return {
        (2, 1): ((1, 0),),
        (4, 1): ((1, 0), (2, 0), (3, 0)),
        (6, 1): ((1, 0), (2, 0), (3, 0), (4, 0)),
        (2, 2): ((1, 0), (0, 1), (1, 1)),
        (3, 2): ((1, 0), (0, 1), (1, 1), (2, 0)),
    }[n1, n2]


def _high_rank_beams(n1: int, n2: int, num_layers: int) -> tuple[tuple[int, int], ...]:
    """Offsets of the beams of 5 to 8 layers in beam widths (TS 38.214 tables 5.2.2.2.1-9 to -12)."""
    if num_layers <= 6:
        return ((0, 0), (1, 0), (1, 1)) if n2 > 1 else ((0, 0), (1, 0), (2, 0))
    return ((0, 0), (1, 0), (0, 1), (1, 1)) if n2 > 1 else ((0, 0), (1, 0), (2, 0), (3, 0))


def num_indices(n1: int, n2: int, num_layers: int, mode: int = 1) -> tuple[int, int, int, int]:
    """How many values i_1,1, i_1,2, i_1,3 and i_2 have.

    mode: codebookMode, 1 or 2, which differ for 1 and 2 layers only.
    Raises `InputError` for antenna layouts and numbers of layers that the codebook does not have.
    """
    if (n1, n2) not in OVERSAMPLING:
        raise bad_value("n1, n2", (n1, n2), f"{sorted(OVERSAMPLING)} (TS 38.214 table 5.2.2.2.1-2)")
    if not 1 <= num_layers <= min(8, 2 * n1 * n2):
        raise bad_value("num_layers", num_layers, f"1 to {min(8, 2 * n1 * n2)} (TS 38.214 §5.2.2.2.1)")
    if mode not in (1, 2):
        raise bad_value("mode", mode, "1, 2 (TS 38.214 §5.2.2.2.1)")
    o1, o2 = OVERSAMPLING[n1, n2]
    beams1, beams2 = n1 * o1, n2 * o2
    if mode == 2 and num_layers <= 2:
        # i_2 chooses among four neighbouring beams too
        second = 1 if num_layers == 1 else len(_second_beams(n1, n2, 2))
        return beams1 // 2, max(1, beams2 // 2), second, _BEAMS_OF_MODE_2 * (4 if num_layers == 1 else 2)
    if num_layers == 1:
        return beams1, beams2, 1, 4
    if num_layers == 2:
        return beams1, beams2, len(_second_beams(n1, n2, 2)), 2
    if num_layers <= 4:
        if 2 * n1 * n2 >= 16:
            return beams1 // 2, beams2, 4, 2
        return beams1, beams2, len(_second_beams(n1, n2, num_layers)), 2
    if num_layers >= 7:
        if n1 == 4 and n2 == 1:
            beams1 //= 2
        if n1 > 2 and n2 == 2:
            beams2 //= 2
    return beams1, beams2, 1, 2


def type_one_matrix(
    n1: int, n2: int, num_layers: int, i11: int = 0, i12: int = 0, i13: int = 0, i2: int = 0, mode: int = 1
) -> np.ndarray:
    """Precoding matrix of the type I single-panel codebook, complex128 [2 n1 n2, num_layers].

    n1, n2: antenna columns and rows of one polarisation. i11, i12, i13, i2: the PMI. mode: codebookMode. Columns are
    orthogonal, the squared norm of the matrix is 1. Source: TS 38.214 tables 5.2.2.2.1-5 to -12, Rel-18.
    """
    limits = num_indices(n1, n2, num_layers, mode)
    for name, value, limit in zip(("i11", "i12", "i13", "i2"), (i11, i12, i13, i2), limits, strict=True):
        if not 0 <= value < limit:
            raise bad_value(f"codebook index {name}", value, f"0 to {limit - 1} (TS 38.214 §5.2.2.2.1)")
    o1, o2 = OVERSAMPLING[n1, n2]
    if mode == 2 and num_layers <= 2:
        step, i2 = divmod(i2, limits[3] // _BEAMS_OF_MODE_2)
        i11, i12 = (2 * i11 + step, 0) if n2 == 1 else (2 * i11 + step % 2, 2 * i12 + step // 2)

    def beam(offset: tuple[int, int]) -> np.ndarray:
        horizontal = np.exp(2j * np.pi * np.arange(n1) * (i11 + offset[0] * o1) / (n1 * o1))
        vertical = np.exp(2j * np.pi * np.arange(n2) * (i12 + offset[1] * o2) / (n2 * o2))
        return np.kron(horizontal, vertical)

    co_phase = 1j**i2
    if num_layers in (3, 4) and 2 * n1 * n2 >= 16:
        # half of the columns carry one beam, the other half the same beam with the phase theta
        half = np.kron(
            np.exp(4j * np.pi * np.arange(n1 // 2) * i11 / (n1 * o1)),
            np.exp(2j * np.pi * np.arange(n2) * i12 / (n2 * o2)),
        )
        theta = np.exp(0.25j * np.pi * i13)
        signs = [(1, 1), (-1, 1), (1, -1), (-1, -1)][:num_layers]
        columns = [
            np.concatenate([half, a * theta * half, b * co_phase * half, a * b * co_phase * theta * half])
            for a, b in signs
        ]
        return np.stack(columns, axis=1) / np.sqrt(2 * n1 * n2 * num_layers)
    if num_layers == 1:
        pairs: list[tuple[tuple[int, int], complex]] = [((0, 0), co_phase)]
    elif num_layers <= 4:
        second = _second_beams(n1, n2, num_layers)[i13]
        if num_layers == 2:
            pairs = [((0, 0), co_phase), (second, -co_phase)]
        else:
            order = [((0, 0), co_phase), (second, co_phase), ((0, 0), -co_phase), (second, -co_phase)]
            pairs = order[:num_layers]
    else:
        beams = _high_rank_beams(n1, n2, num_layers)
        first = [(beams[0], co_phase), (beams[0], -co_phase)]
        rest: list[tuple[tuple[int, int], complex]] = [(beam_, sign) for beam_ in beams[1:] for sign in (1, -1)]
        if num_layers == 5:
            rest = [(beams[1], 1), (beams[1], -1), (beams[2], 1)]
        elif num_layers == 7:
            # one layer on the second beam, two on each other one
            rest = [(beams[1], co_phase), (beams[2], 1), (beams[2], -1), (beams[3], 1), (beams[3], -1)]
        elif num_layers == 8:
            rest[:2] = [(beams[1], co_phase), (beams[1], -co_phase)]
        if num_layers == 6:
            rest[:2] = [(beams[1], co_phase), (beams[1], -co_phase)]
        pairs = [*first, *rest]
    columns = [np.concatenate([beam(offset), phase * beam(offset)]) for offset, phase in pairs]
    return np.stack(columns, axis=1) / np.sqrt(2 * n1 * n2 * num_layers)


@lru_cache(maxsize=8)
def type_one_codebook(n1: int, n2: int, num_layers: int, mode: int = 1) -> np.ndarray:
    """All matrices, complex64 [i_1,1 x i_1,2 x i_1,3, i_2, 2 n1 n2, num_layers], read-only.

    n1 = n2 = 1 is the codebook of 2 ports (TS 38.214 table 5.2.2.2.1-1), which has no i_1.
    """
    if (n1, n2) == (1, 1):
        matrices = np.stack([two_port_matrix(num_layers, i) for i in range(4 if num_layers == 1 else 2)])[None]
    else:
        a, b, c, d = (range(n) for n in num_indices(n1, n2, num_layers, mode))
        matrices = np.stack(
            [
                np.stack([type_one_matrix(n1, n2, num_layers, i11, i12, i13, i2, mode) for i2 in d])
                for i11 in a
                for i12 in b
                for i13 in c
            ]
        )
    codebook: np.ndarray = matrices.astype(np.complex64)
    codebook.flags.writeable = False
    return codebook
