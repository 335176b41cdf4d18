"""The type I single-panel codebook (TS 38.214 §5.2.2.2.1) as a report: search, fields, and the way back from bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ran.errors import bad_value
from ran.phy.csi.cqi_report import CqiFields, cqi_fields, take_cqi
from ran.phy.csi.port_layout import check_one_resource
from ran.phy.csi.report import Field, FieldReader, Report, width_of
from ran.phy.type_one_codebook import num_indices, type_one_codebook, type_one_matrix

CLAUSE = "TS 38.214 §5.2.2.2.1"


@dataclass(frozen=True)
class TypeOne:
    """What a report is configured with: layout of the ports, subbands, codebookMode and the highest rank, 1 to 8."""

    n1: int
    n2: int
    num_subbands: int
    mode: int = 1
    max_rank: int = 1

    def __post_init__(self) -> None:
        check_one_resource(self.n1, self.n2, "type I here: typeI-SinglePanel-r19 is another codebook")
        num_indices(self.n1, self.n2, self.max_rank, self.mode)
        if not 1 <= self.num_subbands <= 19:
            raise bad_value("num_subbands", self.num_subbands, "1 to 19 (TS 38.214 §5.2.1.4)")

    @property
    def num_ports(self) -> int:
        return 2 * self.n1 * self.n2


@dataclass(frozen=True)
class TypeOnePmi:
    """The precoding matrix indicator of one report. i1: (i_1,1, i_1,2, i_1,3). i2: of every subband."""

    config: TypeOne
    rank: int
    i1: tuple[int, int, int]
    i2: tuple[int, ...]

    def precoder(self) -> np.ndarray:
        """Unit-norm vector of every layer and subband, complex128 [num_layers, num_subbands, num_ports]."""
        config = self.config
        matrices = {
            i2: type_one_matrix(config.n1, config.n2, self.rank, *self.i1, i2, config.mode) for i2 in set(self.i2)
        }
        found: np.ndarray = np.stack([matrices[i2].T for i2 in self.i2], 1) * np.sqrt(self.rank)
        return found


def search(v: np.ndarray, config: TypeOne) -> TypeOnePmi:
    """The PMI whose columns agree best with the wanted vectors, i_1 for the whole band and i_2 for every subband.

    v complex [num_layers, num_subbands, num_ports]. The measure is the sum over subbands and layers of the squared
    inner products: the power of the layers in what was wanted for them.
    """
    if v.ndim != 3 or v.shape[1:] != (config.num_subbands, config.num_ports) or not 1 <= len(v) <= config.max_rank:
        raise bad_value("v", v.shape, f"[1 to {config.max_rank} layers, {config.num_subbands}, {config.num_ports}]")
    rank = len(v)
    codebook = type_one_codebook(config.n1, config.n2, rank, config.mode)
    # [subband, i1, i2]
    power = sum(
        np.abs(np.tensordot(v[layer].conj(), codebook[..., layer], axes=([1], [2]))) ** 2 for layer in range(rank)
    )
    best = np.asarray(power).max(-1).sum(0)
    place = int(best.argmax())
    shape = num_indices(config.n1, config.n2, rank, config.mode)[:3]
    i1 = tuple(int(i) for i in np.unravel_index(place, shape))
    return TypeOnePmi(
        config, rank, (i1[0], i1[1], i1[2]), tuple(int(i) for i in np.asarray(power)[:, place].argmax(-1))
    )


def write_report(pmi: TypeOnePmi, cqi: CqiFields | None = None) -> Report:
    """The report: part 1 with rank and CQI, part 2 with i_1, then i_2 of the even and of the odd subbands (TS 38.212
    tables 6.3.1.1.2-1, 6.3.2.1.2-3 to -5)."""
    config = pmi.config
    sizes = num_indices(config.n1, config.n2, pmi.rank, config.mode)
    part1 = (Field("RI", pmi.rank - 1, width_of(config.max_rank)), *cqi_fields(cqi))
    wideband = [Field(f"i_1,{k + 1}", value, width_of(sizes[k])) for k, value in enumerate(pmi.i1)]
    order = (*range(0, config.num_subbands, 2), *range(1, config.num_subbands, 2))
    subbands = [Field(f"i_2 (subband {s})", pmi.i2[s], width_of(sizes[3])) for s in order]
    return Report(part1, (*wideband, *subbands))


def read_report(
    config: TypeOne, bits1: np.ndarray, bits2: np.ndarray, num_cqi_subbands: int | None = None
) -> tuple[TypeOnePmi, CqiFields | None]:
    """The PMI that a report says; `InputError` names field and clause for what is not defined."""
    head = FieldReader(bits1, "CSI part 1", CLAUSE)
    rank = 1 + head.take("RI", width_of(config.max_rank), config.max_rank)
    cqi = take_cqi(head, num_cqi_subbands)
    head.end()
    sizes = num_indices(config.n1, config.n2, rank, config.mode)
    body = FieldReader(bits2, "CSI part 2", CLAUSE)
    i1 = [body.take(f"i_1,{k + 1}", width_of(sizes[k]), sizes[k]) for k in range(3)]
    i2 = [0] * config.num_subbands
    for subband in (*range(0, config.num_subbands, 2), *range(1, config.num_subbands, 2)):
        i2[subband] = body.take("i_2", width_of(sizes[3]), sizes[3])
    body.end()
    return TypeOnePmi(config, rank, (i1[0], i1[1], i1[2]), tuple(i2)), cqi
