"""Carrier, PUSCH and PDSCH configuration: frozen, checked once, then trusted everywhere below."""

from ran.phy.config.allocation import Allocation, Reserved
from ran.phy.config.base import Config
from ran.phy.config.carrier import Carrier
from ran.phy.config.decoding import Decoder, Harq, Precision
from ran.phy.config.pdsch import Pdsch
from ran.phy.config.prach import Prach
from ran.phy.config.pucch import Pucch
from ran.phy.config.pusch import Pusch
from ran.phy.config.reference_signals import Dmrs, Ptrs
from ran.phy.config.shared_channel import SharedChannel
from ran.phy.config.srs import Srs
from ran.phy.config.uci import Uci
from ran.phy.config.users import Users

__all__ = [
    "Allocation",
    "Carrier",
    "Config",
    "Decoder",
    "Dmrs",
    "Harq",
    "Pdsch",
    "Prach",
    "Precision",
    "Ptrs",
    "Pucch",
    "Pusch",
    "Reserved",
    "SharedChannel",
    "Srs",
    "Uci",
    "Users",
]
