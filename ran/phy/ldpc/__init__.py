"""LDPC codes of TS 38.212: description, encoder, rate matching and decoder."""

from ran.phy.ldpc.base_graph import LIFTING_SIZES, LdpcCode, select_lifting_size
from ran.phy.ldpc.decoder import LdpcDecision, Precision, decode, is_compiled, warm_up
from ran.phy.ldpc.encoder import encode
from ran.phy.ldpc.rate_matching import RateMatching, RedundancyVersion

__all__ = [
    "LIFTING_SIZES",
    "LdpcCode",
    "LdpcDecision",
    "Precision",
    "RateMatching",
    "RedundancyVersion",
    "decode",
    "encode",
    "is_compiled",
    "select_lifting_size",
    "warm_up",
]
