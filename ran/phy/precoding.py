"""How a PDSCH is precoded, and which shared channel an experiment has."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from ran.phy.config import Config, Pdsch, Pusch, Users
from ran.phy.config.srs import MAX_CYCLIC_SHIFTS
from ran.phy.type_one_codebook import num_indices
from ran.suggestions import did_you_mean

MAX_TX_ANT = 32

NumTxAnt = Annotated[int, Field(ge=1, le=MAX_TX_ANT)]


class Identity(Config):
    """Every layer has its own antenna."""

    model_config = ConfigDict(title="<identity>")

    name: Literal["identity"] = "identity"

    def num_antennas(self, num_layers: int) -> int:
        """Transmit antennas."""
        return num_layers


class Sounding(Config):
    """The transmitter's estimate of the channel from an SRS that the user sends, by reciprocity (TDD).

    One port per antenna of the user (1, 2 or 4), one OFDM symbol, centred in the band (TS 38.211 §6.4.1.4, Rel-18).
    esn0_db: the user's power per resource element of the SRS, over all ports, times the mean gain of an antenna pair,
        over the noise of an antenna of the base station.
    c_srs: row of TS 38.211 table 6.4.1.4.3-1; null, the default: the widest that the carrier has room for. comb: K_TC,
        2, 4 or 8. cyclic_shift: of the first port.
    method: "lmmse", or "ls" without smoothing (`ran.phy.srs.SrsEstimator`).
    """

    esn0_db: Annotated[float, Field(ge=-60, le=100)]
    c_srs: Annotated[int, Field(ge=0, le=63)] | None = None
    comb: Literal[2, 4, 8] = 4
    cyclic_shift: Annotated[int, Field(ge=0, le=11)] = 0
    method: Literal["lmmse", "ls"] = "lmmse"

    @model_validator(mode="after")
    def _shift_exists(self) -> Sounding:
        if self.cyclic_shift >= MAX_CYCLIC_SHIFTS[self.comb]:
            raise ValueError(
                f"cyclic_shift {self.cyclic_shift} with comb {self.comb}; allowed: 0 to "
                f"{MAX_CYCLIC_SHIFTS[self.comb] - 1} (TS 38.211 table 6.4.1.4.2-1)"
            )
        return self


class Csi(Config):
    """What the transmitter knows of the channel when it precodes.

    csi_delay_slots: the channel is known as it was so many slots earlier, at symbol 7. 0, the default, is ideal CSI:
        the channel of the very slot, which no transmitter has.
    csi_snr_db: power of the channel over that of the error in it, per RE and antenna pair; null, the default: no error.
    srs: the channel is estimated from an SRS in that slot; null, the default: it is known.
    """

    younger_fields: ClassVar[tuple[str, ...]] = ("srs",)

    csi_delay_slots: Annotated[int, Field(ge=0, le=1000)] = 0
    csi_snr_db: Annotated[float, Field(ge=-60, le=100)] | None = None
    srs: Sounding | None = None

    @model_validator(mode="after")
    def _one_source_of_errors(self) -> Self:
        if self.srs is not None and self.csi_snr_db is not None:
            raise ValueError(
                f"csi_snr_db: got {self.csi_snr_db:g} together with srs; allowed: one of them, an SRS estimate has "
                "errors of its own"
            )
        return self


class Svd(Csi):
    """Right singular vectors of the channel, one matrix per PRG; all layers have equal power.

    num_tx_ant: transmit antennas. of: the channel at the PRG's centre, or its average over the PRG.
    """

    model_config = ConfigDict(title="<svd>")

    name: Literal["svd"]
    num_tx_ant: NumTxAnt
    of: Literal["average", "centre"] = "average"

    def num_antennas(self, num_layers: int) -> int:
        """Transmit antennas."""
        return self.num_tx_ant


class Eigen(Csi):
    """Strongest eigenvectors of the transmit covariance of the whole band, one matrix for all PRGs.

    num_tx_ant: transmit antennas.
    """

    model_config = ConfigDict(title="<eigen>")

    name: Literal["eigen"]
    num_tx_ant: NumTxAnt

    def num_antennas(self, num_layers: int) -> int:
        """Transmit antennas."""
        return self.num_tx_ant


class Panel(Config):
    """An array of two polarisations with n1 columns and n2 rows: 2 n1 n2 antennas, the first polarisation first.

    n1, n2: 1 and 1, or a pair of TS 38.214 table 5.2.2.2.1-2. mode: codebookMode, 1 or 2.
    """

    n1: Annotated[int, Field(ge=1, le=16)]
    n2: Annotated[int, Field(ge=1, le=4)] = 1
    mode: Literal[1, 2] = 1

    def num_antennas(self, num_layers: int) -> int:
        """Transmit antennas."""
        return 2 * self.n1 * self.n2

    @model_validator(mode="after")
    def _panel_exists(self) -> Panel:
        if (self.n1, self.n2) != (1, 1):
            num_indices(self.n1, self.n2, 1)
        return self


class TypeOne(Csi, Panel):
    """The best matrix of the type I single-panel codebook by mutual information (TS 38.214 §5.2.2.2.1, Rel-18).

    The beams (i_1) are chosen for the whole band, the co-phasing (i_2) for every PRG.
    """

    model_config = ConfigDict(title="<type-one>")

    name: Literal["type-one"]


class Random(Config):
    """Another orthonormal matrix in every PRG and slot, uniformly distributed: the baseline without channel knowledge.

    num_tx_ant: transmit antennas.
    """

    model_config = ConfigDict(title="<random>")

    name: Literal["random"]
    num_tx_ant: NumTxAnt

    def num_antennas(self, num_layers: int) -> int:
        """Transmit antennas."""
        return self.num_tx_ant


class RandomTypeOne(Panel):
    """Another matrix of the type I codebook in every PRG and slot, all PMI equally likely (as in TS 38.101-4 §5.2)."""

    model_config = ConfigDict(title="<random-type-one>")

    name: Literal["random-type-one"]


PRECODINGS = ("identity", "svd", "eigen", "type-one", "random", "random-type-one")


def _form(value: Any) -> str | None:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return f"<{name}>" if name in PRECODINGS else None


#: One of the above, by its name.
Precoding = Annotated[
    Annotated[Identity, Tag("<identity>")]
    | Annotated[Svd, Tag("<svd>")]
    | Annotated[Eigen, Tag("<eigen>")]
    | Annotated[TypeOne, Tag("<type-one>")]
    | Annotated[Random, Tag("<random>")]
    | Annotated[RandomTypeOne, Tag("<random-type-one>")],
    Discriminator(_form),
    Field(
        json_schema_extra={"allowed": f"a block {{name: ..., and its options}} with a name of {', '.join(PRECODINGS)}"}
    ),
]


def precoding_block(value: Any) -> Any:
    """A precoding by name alone as a block; `ValueError` for a name that does not exist."""
    block = {"name": value} if isinstance(value, str) else value
    name = block.get("name") if isinstance(block, dict) else None
    if isinstance(name, str) and name not in PRECODINGS:
        hint = did_you_mean(name, PRECODINGS)
        raise ValueError(f"name: got {name!r}; allowed: {', '.join(PRECODINGS)}{hint}")
    return block


def check_shared_channel(
    pusch: Pusch | None, pdsch: Pdsch | None, users: Users, precoding: Precoding | None, num_rx_ant: int
) -> None:
    """`ValueError` unless there is exactly one shared channel, and what is given besides belongs to it."""
    if pdsch is None:
        if precoding is not None:
            raise ValueError(f"precoding: got {precoding.name!r} with pusch; allowed: only with pdsch (see pusch.tpmi)")
        if pusch is not None:
            users.mcs_indices(pusch)
            users.rntis(pusch)
            users.with_common_allocation(pusch)
        return
    if pusch is not None:
        raise ValueError("pdsch: got both pusch and pdsch; allowed: exactly one of them")
    if users != Users():
        raise ValueError(
            f"users: got {users.num_users} users with pdsch; allowed: none, users are for the uplink alone"
        )
    if precoding is None:
        return
    layers, antennas = pdsch.num_layers, precoding.num_antennas(pdsch.num_layers)
    if layers > antennas:
        raise ValueError(
            f"pdsch.num_layers: got {layers} layers on {antennas} transmit antennas; allowed: 1 to {antennas} "
            "(TS 38.214 §5.2.2.2)"
        )
    if isinstance(precoding, Csi) and precoding.srs is not None and num_rx_ant not in (1, 2, 4):
        raise ValueError(
            f"precoding.srs: got num_rx_ant {num_rx_ant}; allowed: 1, 2, 4, one SRS port per antenna of the user "
            "(TS 38.211 §6.4.1.4.1)"
        )
    if isinstance(precoding, Panel) and antennas > 2:
        num_indices(precoding.n1, precoding.n2, layers, precoding.mode)
    if isinstance(precoding, Svd) and layers > num_rx_ant:
        raise ValueError(
            f"pdsch.num_layers: got {layers} layers of svd with {num_rx_ant} receive antennas; allowed: 1 to "
            f"{num_rx_ant}, the rank of the channel"
        )
