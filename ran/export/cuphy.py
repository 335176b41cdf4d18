"""The YAML that cuPHY reads beside a channel estimator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ran.export.engine import Options, engine_command
from ran.export.outcome import FileOutcome


def cuphy_yaml(file: FileOutcome, options: Options) -> str:
    """Dims without batch, 0 is float32."""
    about: dict[str, Any] = json.loads(file.slot)
    num_prb, num_dmrs = about["num_prb"], len(about["dmrs_symbols"])
    engine = Path(file.name).with_suffix(".engine").name
    return (
        f"# {' '.join(engine_command(file, options))}\n"
        "chest_factory: trtengine\n"
        f"file: {engine}\n"
        "max_batch_size: 1\n"
        f"inputs:\n  - name: z\n    dataType: 0\n    dims: [{6 * num_prb}, 4, 4, {num_dmrs}, 2]\n"
        f"outputs:\n  - name: zout\n    dataType: 0\n    dims: [4, 4, {12 * num_prb}, {num_dmrs}, 2]\n"
    )
