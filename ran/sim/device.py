"""Where drops are simulated: on the processor, or on a GPU."""

from __future__ import annotations

from ran.errors import InputError


def checked_device(name: str) -> str:
    """`name` when torch can use it: "cpu", "cuda" or "cuda:1". InputError, with those that there are, otherwise."""
    import torch

    try:
        if torch.device(name).type in ("cpu", "cuda"):
            torch.empty(1, device=name)
            return name
        reason = "neither a processor nor a CUDA device"
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    allowed = ", ".join(["cpu", *gpus]) if gpus else "cpu, as torch sees no CUDA device here"
    raise InputError(f"--device: got {name!r} ({reason}); allowed: {allowed}")


def device_kind(name: str) -> str:
    """ "cpu" or "cuda": devices of a kind compute alike."""
    return name.partition(":")[0]


def device_title(name: str) -> str:
    """What stands in a report: "cpu", or the GPU's name."""
    if device_kind(name) == "cpu":
        return "cpu"
    import torch

    return f"{name}, {torch.cuda.get_device_name(name)}"
