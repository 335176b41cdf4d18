"""Type II codebook of Rel-15 (TS 38.214 §5.2.2.2.3): configuration, search, report bit by bit, and decoder."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

from ran.errors import InputError, bad_value
from ran.phy.csi.combination import rank_of, set_of
from ran.phy.csi.cqi_report import CqiFields, cqi_fields, take_cqi
from ran.phy.csi.enhanced_search import beam_coefficients
from ran.phy.csi.port_layout import check_one_resource, orthogonal_beams, oversampling
from ran.phy.csi.report import Field, FieldReader, Report, width_of

CLAUSE = "TS 38.214 §5.2.2.2.3"
#: Wideband amplitudes by k^(1) and subband amplitudes by k^(2) (tables 5.2.2.2.3-2 and -3).
WIDEBAND_AMPLITUDES = np.array([0, *(2.0 ** (-(7 - k) / 2) for k in range(1, 8))])
SUBBAND_AMPLITUDES = np.sqrt([0.5, 1.0])
#: K^(2): coefficients with full resolution in subbands, by L (table 5.2.2.2.3-4).
_FULL = {2: 4, 3: 4, 4: 6}
#: Phases of coefficients beyond these.
_COARSE = 4


@dataclass(frozen=True)
class TypeTwo:
    """What a report is configured with.

    n1, n2: layout of the ports. num_subbands. num_beams: L. num_phases: N_PSK, 4 or 8. subband_amplitude: whether k^(2)
    is reported. max_rank: 1 or 2. `InputError` for what the clause does not allow.
    """

    n1: int
    n2: int
    num_subbands: int
    num_beams: int = 4
    num_phases: int = 8
    subband_amplitude: bool = True
    max_rank: int = 1

    def __post_init__(self) -> None:
        check_one_resource(self.n1, self.n2, "type II of Rel-15")
        allowed = (2,) if self.num_ports == 4 else (2, 3, 4)
        if self.num_beams not in allowed:
            raise bad_value(
                "numberOfBeams",
                self.num_beams,
                f"{', '.join(map(str, allowed))} with {self.num_ports} ports ({CLAUSE})",
            )
        if self.num_phases not in (4, 8):
            raise bad_value("phaseAlphabetSize", self.num_phases, f"4, 8 ({CLAUSE})")
        if self.max_rank not in (1, 2):
            raise bad_value("max_rank", self.max_rank, f"1, 2 ({CLAUSE})")
        if not 1 <= self.num_subbands <= 19:
            raise bad_value("num_subbands", self.num_subbands, "1 to 19 (TS 38.214 §5.2.1.4)")

    @property
    def num_ports(self) -> int:
        return 2 * self.n1 * self.n2

    @property
    def num_beam_sets(self) -> int:
        return comb(self.n1 * self.n2, self.num_beams)


@dataclass(frozen=True, eq=False)
class TypeTwoPmi:
    """The precoding matrix indicator of one report.

    q: (q1, q2). beams: L ascending beam numbers n = N1 n2 + n1. strongest: i_1,3,l of every layer. k1 int [num_layers,
    2 L]. c, k2 int [num_layers, num_subbands, 2 L].
    """

    config: TypeTwo
    q: tuple[int, int]
    beams: tuple[int, ...]
    strongest: tuple[int, ...]
    k1: np.ndarray
    c: np.ndarray
    k2: np.ndarray

    @property
    def rank(self) -> int:
        return len(self.strongest)

    def precoder(self) -> np.ndarray:
        """Unit-norm vector of every layer and subband, complex128 [num_layers, num_subbands, num_ports] (table
        5.2.2.2.3-5). The matrix of the table has these columns over sqrt(num_layers)."""
        config = self.config
        phases = np.empty(self.c.shape)
        for layer in range(self.rank):
            full, _ = _resolutions(config, self.k1[layer], self.strongest[layer])
            sizes = np.where(full, config.num_phases, _COARSE)
            phases[layer] = self.c[layer] / sizes
        amplitude = WIDEBAND_AMPLITUDES[self.k1][:, None] * SUBBAND_AMPLITUDES[self.k2]
        mixed = (amplitude * np.exp(2j * np.pi * phases)).reshape(*self.c.shape[:2], 2, config.num_beams)
        beams = orthogonal_beams(config.n1, config.n2)[self.q][list(self.beams)]
        flat = (mixed @ beams).reshape(*self.c.shape[:2], -1)
        found: np.ndarray = flat / np.linalg.norm(flat, axis=-1, keepdims=True)
        return found


def _resolutions(config: TypeTwo, k1: np.ndarray, strongest: int) -> tuple[np.ndarray, np.ndarray]:
    """Which coefficients of a layer have N_PSK phases (the strongest with them), and which four; bool [2 L]."""
    nonzero = k1 > 0
    if not config.subband_amplitude:
        return nonzero, np.zeros_like(nonzero)
    # equal amplitudes: the lower index first
    order = np.lexsort((np.arange(len(k1)), -k1, np.arange(len(k1)) != strongest))
    full = np.zeros_like(nonzero)
    full[order[: min(int(nonzero.sum()), _FULL[config.num_beams])]] = True
    return full & nonzero, nonzero & ~full


def search(v: np.ndarray, config: TypeTwo) -> TypeTwoPmi:
    """The PMI of one report: v complex [num_layers, num_subbands, num_ports], unit vectors; phases are of no
    account."""
    if v.ndim != 3 or v.shape[1:] != (config.num_subbands, config.num_ports) or not 1 <= len(v) <= config.max_rank:
        raise bad_value("v", v.shape, f"[1 to {config.max_rank} layers, {config.num_subbands}, {config.num_ports}]")
    q, beams, a = beam_coefficients(v, config.n1, config.n2, config.num_beams)
    power = (np.abs(a) ** 2).mean(1)
    strongest = tuple(int(i) for i in power.argmax(1))
    shape = a.shape
    k1 = np.zeros((len(v), shape[2]), int)
    c, k2 = np.zeros(shape, int), np.ones(shape, int)
    for layer, place in enumerate(strongest):
        relative = np.sqrt(power[layer] / power[layer, place])
        k1[layer] = np.abs(relative[:, None] - WIDEBAND_AMPLITUDES).argmin(1)
        k1[layer, place] = 7
        full, coarse = _resolutions(config, k1[layer], place)
        reference = a[layer, :, place]
        size = np.abs(reference)
        value = a[layer] * np.exp(-1j * np.angle(reference))[:, None]
        sizes = np.where(full, config.num_phases, _COARSE)
        found = np.rint(np.angle(value) * sizes / (2 * np.pi)).astype(int) % sizes
        c[layer] = np.where(full | coarse, found, 0)
        c[layer, :, place] = 0
        if config.subband_amplitude:
            middle = SUBBAND_AMPLITUDES.mean() * size[:, None] * WIDEBAND_AMPLITUDES[k1[layer]]
            k2[layer] = np.where(full, np.abs(value) > middle, 1)
            k2[layer, :, place] = 1
    return TypeTwoPmi(config, q, beams, strongest, k1, c, k2)


def write_report(pmi: TypeTwoPmi, cqi: CqiFields | None = None) -> Report:
    """The report of a PMI: part 1 with rank, CQI and numbers of non-zero amplitudes, part 2 with i_1, then i_2 of the
    even and of the odd subbands (TS 38.212 tables 6.3.2.1.2-1, -3, -4 and -5)."""
    config = pmi.config
    o1, o2 = oversampling(config.n1, config.n2)
    two_l = 2 * config.num_beams
    counts = [int((layer > 0).sum()) for layer in pmi.k1]
    part1 = [Field("RI", pmi.rank - 1, width_of(config.max_rank)), *cqi_fields(cqi)]
    # a layer that is not there has the field too: part 1 has a fixed size
    for layer in range(config.max_rank):
        part1.append(Field(f"M_{layer}", counts[layer] - 1 if layer < pmi.rank else 0, width_of(two_l)))
    part2 = [
        Field("i_1,1 q1", pmi.q[0], width_of(o1)),
        Field("i_1,1 q2", pmi.q[1], width_of(o2)),
        Field("i_1,2", rank_of(pmi.beams, config.n1 * config.n2), width_of(config.num_beam_sets)),
    ]
    for layer, place in enumerate(pmi.strongest):
        part2.append(Field(f"i_1,3,{layer + 1}", place, width_of(two_l)))
        part2 += [Field(f"i_1,4,{layer + 1} (i {i})", int(pmi.k1[layer, i]), 3) for i in range(two_l) if i != place]
    for subband in (*range(0, config.num_subbands, 2), *range(1, config.num_subbands, 2)):
        part2 += _subband_fields(pmi, subband)
    return Report(tuple(part1), tuple(part2))


def _subband_fields(pmi: TypeTwoPmi, subband: int) -> list[Field]:
    phases, amplitudes = [], []
    for layer, place in enumerate(pmi.strongest):
        full, coarse = _resolutions(pmi.config, pmi.k1[layer], place)
        for i in range(len(full)):
            if i == place:
                continue
            where = f"{layer + 1} (i {i}, subband {subband})"
            if full[i] or coarse[i]:
                width = width_of(pmi.config.num_phases if full[i] else _COARSE)
                phases.append(Field(f"i_2,1,{where}", int(pmi.c[layer, subband, i]), width))
            if full[i] and pmi.config.subband_amplitude:
                amplitudes.append(Field(f"i_2,2,{where}", int(pmi.k2[layer, subband, i]), 1))
    return phases + amplitudes


def read_report(
    config: TypeTwo, bits1: np.ndarray, bits2: np.ndarray, num_cqi_subbands: int | None = None
) -> tuple[TypeTwoPmi, CqiFields | None]:
    """The PMI that a report says, from the bits of its two parts; num_cqi_subbands: as of the enhanced codebook.

    `InputError` names the field and the clause for values that are not defined and for a wrong number of bits.
    """
    head = FieldReader(bits1, "CSI part 1", CLAUSE)
    rank = 1 + head.take("RI", width_of(config.max_rank), config.max_rank)
    cqi = take_cqi(head, num_cqi_subbands)
    two_l = 2 * config.num_beams
    counts = [1 + head.take(f"M_{layer}", width_of(two_l), two_l) for layer in range(config.max_rank)][:rank]
    head.end()
    body = FieldReader(bits2, "CSI part 2", CLAUSE)
    o1, o2 = oversampling(config.n1, config.n2)
    q = (body.take("i_1,1 q1", width_of(o1)), body.take("i_1,1 q2", width_of(o2)))
    sets = config.num_beam_sets
    beams = set_of(body.take("i_1,2", width_of(sets), sets), config.num_beams, config.n1 * config.n2)
    strongest, k1 = [], np.full((rank, two_l), 7)
    for layer in range(rank):
        strongest.append(body.take(f"i_1,3,{layer + 1}", width_of(two_l), two_l))
        for i in range(two_l):
            if i != strongest[layer]:
                k1[layer, i] = body.take(f"i_1,4,{layer + 1}", 3)
        if int((k1[layer] > 0).sum()) != counts[layer]:
            raise InputError(
                f"CSI part 2: i_1,4,{layer + 1}: got {int((k1[layer] > 0).sum())} non-zero amplitudes; "
                f"allowed: {counts[layer]}, as part 1 says ({CLAUSE})"
            )
    shape = (rank, config.num_subbands, two_l)
    c, k2 = np.zeros(shape, int), np.ones(shape, int)
    for subband in (*range(0, config.num_subbands, 2), *range(1, config.num_subbands, 2)):
        for values, name in ((c, "i_2,1"), (k2, "i_2,2")):
            for layer, place in enumerate(strongest):
                full, coarse = _resolutions(config, k1[layer], place)
                for i in range(two_l):
                    if i == place or (name == "i_2,2" and not (full[i] and config.subband_amplitude)):
                        continue
                    if full[i] or coarse[i]:
                        width = width_of(config.num_phases if full[i] else _COARSE) if name == "i_2,1" else 1
                        values[layer, subband, i] = body.take(f"{name},{layer + 1}", width)
    body.end()
    return TypeTwoPmi(config, q, beams, tuple(strongest), k1, c, k2), cqi
