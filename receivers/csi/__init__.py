"""Compression and prediction of the downlink channel: what a user says of it, and what a base station makes of that."""

from __future__ import annotations

from torch import nn

from receivers.csi.refinement import Refinement

#: Architectures of two-sided models by the name that model cards and recipes use.
CSI_ARCHITECTURES: dict[str, type[nn.Module]] = {"refinement": Refinement}

__all__ = ["CSI_ARCHITECTURES", "Refinement"]
