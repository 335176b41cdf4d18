"""What a user knows of the channel from CSI-RS."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ran.studies.csi.experiment import CsiExperiment


def observed(h: np.ndarray, experiment: CsiExperiment, generators: Sequence[np.random.Generator]) -> np.ndarray:
    raise NotImplementedError
