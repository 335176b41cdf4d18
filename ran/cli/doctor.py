"""`ran doctor`: what this machine offers and which optional parts are here."""

from __future__ import annotations

import os
import platform
import shutil

#: Distributions that add something when they are installed.
_OPTIONAL = {
    "sionna-rt": "ray-traced channels",
    "onnx": "export to ONNX",
    "onnxruntime": "run exported models",
    "h5py": "HDF5 data sets",
    "zarr": "Zarr data sets",
    "ray": "runs on a cluster",
    "jupyterlab": "notebooks",
}


def doctor() -> None:
    """Print versions, cores, GPU, and the optional parts that are installed."""
    from ran.sim.executor import available_cores
    from ran.sim.provenance import package_version, versions

    rows = dict(versions())
    rows["system"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    rows["cores"] = f"{available_cores()} usable of {os.cpu_count()}"
    rows["memory"] = _memory()
    rows["disk here"] = f"{shutil.disk_usage('.').free / 1e9:.1f} GB free"
    rows["GPU"] = _gpu()
    rows["SIMD"] = _simd()
    rows["LDPC decoder"] = _ldpc()
    for name, purpose in _OPTIONAL.items():
        rows[name] = f"{package_version(name) or 'not installed'} ({purpose})"
    rows["ray tracing"] = _ray_tracing()
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
    from channels.raytraced.runtime import llvm_library, missing

    return "; ".join(missing()) or f"ready, with {llvm_library()}"
