"""`ran doctor`: what this machine offers and which optional parts are here."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Sequence
from importlib import metadata

from ran.cli.answer import answer

_DISTRIBUTION = "ran6g"

#: What each extra of the package is for; `pyproject.toml` has the same ones. `dev` is for working on the package.
_PURPOSES = {
    "onnx": "exports as ONNX",
    "sionna": "benchmarks against Sionna, channels for its links",
    "gpu": "LDPC decoding on NVIDIA GPUs",
    "rt": "ray-traced channels",
    "zarr": "Zarr data sets",
    "aodt": "ray tables of Aerial Omniverse Digital Twin",
    "tensorflow": "data sets in TensorFlow, SavedModel exports",
    "tensorboard": "curves of a training",
    "litert": "LiteRT exports",
    "ray": "runs on a cluster",
    "notebook": "notebooks",
    "docs": "the documentation site",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


def optional_parts(requirements: Sequence[str]) -> dict[str, list[str]]:
    """Distributions by the extra that brings them, from a package's requirements; not those of `dev`."""
    found: dict[str, list[str]] = {}
    for requirement in requirements:
        extra, name = _EXTRA.search(requirement), _NAME.match(requirement)
        if extra is not None and name is not None and extra[1] != "dev":
            found.setdefault(extra[1], []).append(name[0])
    return found


def doctor() -> None:
    """Print versions, cores, GPU, and the optional parts that are installed."""
    from ran.config.host import available_cores
    from ran.config.provenance import package_version, versions

    rows = dict(versions())
    rows["system"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    rows["cores"] = f"{available_cores()} usable of {os.cpu_count()}"
    rows["memory"] = _memory()
    rows["disk here"] = f"{shutil.disk_usage('.').free / 1e9:.1f} GB free"
    rows["GPU"] = _gpu()
    rows["SIMD"] = _simd()
    rows["LDPC decoder"] = _ldpc()
    for extra, names in optional_parts(metadata.requires(_DISTRIBUTION) or ()).items():
        for name in names:
            missing = f"not installed: pip install '{_DISTRIBUTION}[{extra}]'"
            rows[name] = f"{package_version(name) or missing} ({_PURPOSES.get(extra, extra)})"
    rows["ray tracing"] = _ray_tracing()
    answer(found=rows)
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:{width}}  {value}")


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (ValueError, OSError):
        return "unknown"


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none that torch can use"
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def _simd() -> str:
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    known = [name for name in ("avx512bw", "avx512vbmi", "avx2", "sse4.2", "neon", "sve") if features.get(name)]
    return f"{binding.get_host_cpu_name()}: {', '.join(known) or 'baseline'}"


def _ldpc() -> str:
    from ran.phy import ldpc

    return "compiled" if ldpc.is_compiled() else "is compiled at first use, once"


def _ray_tracing() -> str:
    from channels.raytraced.runtime import llvm_library, missing, trace_one_ray

    lacking = "; ".join(missing()) or trace_one_ray()
    return f"not ready: {lacking}" if lacking else f"ready, traced a ray with {llvm_library()}"
