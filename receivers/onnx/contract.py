"""What a contract is: names, order, types and shapes of a model's tensors, and how their contents are to be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from receivers.onnx.evidence import Aspect

DType = Literal["float32", "float16", "int32"]
PilotOrder = Literal["symbol-major", "frequency-major"]


@dataclass(frozen=True)
class TensorSpec:
    """One input or output.

    axes: sizes that are fixed by the contract, and names of those that are not. A name stands for one size in all
    tensors of a model; a model file may fix it or leave it open. optional: a model may do without.
    """

    name: str
    dtype: DType
    axes: tuple[str | int, ...]
    meaning: str
    optional: bool = False


@dataclass(frozen=True)
class TensorOfFile:
    """One input or output as a file declares it: sizes that are left open are None."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Contract:
    """How a model is fed, and how what it returns is read.

    inputs, outputs: in order where `ordered`, otherwise found by name. pilot_order: order of the channel estimates at
    pilots, for models that take those. llr_sign: which bit a positive LLR favours. llr_scale: its unit. valid_res:
    where on the grid LLRs must hold. scaling: what is done to the inputs. source: where all this was found; evidence:
    the same for each clause.
    """

    name: str
    version: int
    description: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    llr_sign: Literal["positive is bit 0"] = "positive is bit 0"
    llr_scale: str = "natural logarithm"
    valid_res: str = "data REs"
    scaling: str = "none"
    pilot_order: PilotOrder | None = None
    ordered: bool = False
    source: str = "ran6g"
    evidence: Mapping[Aspect, str] = field(default_factory=dict, compare=False)

    def sizes(self, inputs: Sequence[TensorOfFile], outputs: Sequence[TensorOfFile]) -> dict[str, int]:
        """Named sizes that a file fixes. `ValueError` names the first clause that the file breaks."""
        known: dict[str, int] = {}
        for kind, specs, found in (("input", self.inputs, inputs), ("output", self.outputs, outputs)):
            self._check_names(kind, specs, found)
            by_name = {spec.name: spec for spec in specs}
            for tensor in found:
                if tensor.name in by_name:
                    _match(kind, by_name[tensor.name], tensor, known)
        return known

    def clauses(
        self, inputs: Sequence[TensorOfFile], outputs: Sequence[TensorOfFile]
    ) -> list[tuple[str, str | None, Aspect]]:
        """Names, order, types and shapes one by one: what is asked, what stands against it (None: nothing), and what
        the evidence is for."""
        found: list[tuple[str, str | None, Aspect]] = []
        known: dict[str, int] = {}
        for kind, specs, tensors in (("input", self.inputs, inputs), ("output", self.outputs, outputs)):
            names = ", ".join(spec.name for spec in specs if not spec.optional)
            order = ", in order" if self.ordered and kind == "input" else ""
            error = _error(partial(self._check_names, kind, specs, tensors))
            found.append((f"{kind}s {names}{order}", error, "order" if kind == "input" else "tensors"))
            by_name = {tensor.name: tensor for tensor in tensors}
            for spec in specs:
                if spec.name in by_name:
                    text = f"{kind} {spec.name} {spec.dtype} [{', '.join(map(str, spec.axes))}]"
                    found.append((text, _error(partial(_match, kind, spec, by_name[spec.name], known)), "tensors"))
        return found

    def _check_names(self, kind: str, specs: Sequence[TensorSpec], found: Sequence[TensorOfFile]) -> None:
        names = [tensor.name for tensor in found]
        allowed = ", ".join(spec.name + (" (optional)" if spec.optional else "") for spec in specs)
        for spec in specs:
            if spec.name not in names and not spec.optional:
                raise ValueError(f"{kind} {spec.name!r} is missing; allowed: {allowed}")
        if kind == "output":
            return  # what else a model returns does no harm
        known = [spec.name for spec in specs]
        for name in names:
            if name not in known:
                raise ValueError(f"{kind} {name!r} is unknown; allowed: {allowed}")
        if self.ordered and names != [name for name in known if name in names]:
            raise ValueError(f"{kind}s are ordered {', '.join(names)}; allowed: {allowed}")


def _error(check: Callable[[], None]) -> str | None:
    """What a check complains about."""
    try:
        check()
    except ValueError as error:
        return str(error)
    return None


def _match(kind: str, spec: TensorSpec, tensor: TensorOfFile, known: dict[str, int]) -> None:
    """Hold a tensor against its clause and remember the sizes that it fixes."""
    if tensor.dtype != spec.dtype:
        raise ValueError(f"{kind} {spec.name!r} is {tensor.dtype}; allowed: {spec.dtype}")
    axes = ", ".join(str(axis) for axis in spec.axes)
    if len(tensor.shape) != len(spec.axes):
        raise ValueError(f"{kind} {spec.name!r} has {len(tensor.shape)} dimensions; allowed: [{axes}]")
    for axis, size in zip(spec.axes, tensor.shape, strict=True):
        if size is None:
            continue
        expected = axis if isinstance(axis, int) else known.setdefault(axis, size)
        if size != expected:
            what = "" if isinstance(axis, int) else f" as elsewhere for {axis}"
            raise ValueError(f"{kind} {spec.name!r} [{axes}] has a size of {size}; allowed: {expected}{what}")
