"""Complex tensors as pairs of real ones: a forward pass that is written with complex numbers runs, and is recorded,
without any.

ONNX, LiteRT and TensorFlow's runtimes for processors know no complex numbers. Inside of `real_arithmetic()` the
functions of torch take a `Pair` wherever they take a complex tensor, and give one wherever they would give a complex
tensor, by the plain formulas for real and imaginary parts. So a network has one forward pass: that of simulation and
training is what is exported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from receivers.onnx.written import WRITTEN, numbered


class NoRealForm(ValueError):
    """A function of torch on complex numbers for which there is no rule here."""


class Pair:
    """A complex tensor as its real and its imaginary part, float32 tensors of one shape."""

    dtype = torch.complex64

    def __init__(self, real: Any, imag: Any) -> None:
        self.real = real
        self.imag = imag

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})

    @property
    def shape(self) -> torch.Size:
        return cast(torch.Size, self.real.shape)

    @property
    def device(self) -> torch.device:
        return cast(torch.device, self.real.device)

    @property
    def ndim(self) -> int:
        return cast(int, self.real.ndim)

    @property
    def is_cuda(self) -> bool:
        return bool(self.real.is_cuda)

    @property
    def mT(self) -> Pair:
        return Pair(self.real.mT, self.imag.mT)

    @property
    def mH(self) -> Pair:
        return Pair(self.real.mT, -self.imag.mT)

    def __getattr__(self, name: str) -> Callable:
        """A method of tensors."""
        method = getattr(Tensor, name)  # an attribute that tensors lack is one that a pair lacks
        return lambda *args, **kwargs: _computed(method, (self, *args), kwargs)

    def __getitem__(self, places: Any) -> Pair:
        places = numbered(places)
        return Pair(self.real[places], self.imag[places])

    def __len__(self) -> int:
        return len(self.real)

    def __neg__(self) -> Pair:
        return Pair(-self.real, -self.imag)

    def __add__(self, other: Any) -> Pair:
        return _add(self, other)

    def __radd__(self, other: Any) -> Pair:
        return _add(other, self)

    def __sub__(self, other: Any) -> Pair:
        return _sub(self, other)

    def __rsub__(self, other: Any) -> Pair:
        return _sub(other, self)

    def __mul__(self, other: Any) -> Pair:
        return _mul(self, other)

    def __rmul__(self, other: Any) -> Pair:
        return _mul(other, self)

    def __truediv__(self, other: Any) -> Pair:
        return _div(self, other)

    def __rtruediv__(self, other: Any) -> Pair:
        return _div(other, self)

    def __matmul__(self, other: Any) -> Pair:
        return _matmul(self, other)

    def __rmatmul__(self, other: Any) -> Pair:
        return _matmul(other, self)

    def __pow__(self, exponent: Any) -> Pair:
        return _power(self, exponent)


class real_arithmetic(TorchFunctionMode):
    """Inside, functions that make complex tensors of real ones make a `Pair`, and functions that the writers of files
    mistake have another form."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        make = _MAKES.get(func)
        if make is not None:
            return make(*args, **kwargs)
        if _has_pair(args) or _has_pair(kwargs.values()):
            return _computed(func, args, kwargs)
        written = WRITTEN.get(getattr(func, "__name__", ""))
        if written is not None:
            return written(*args, **kwargs)
        if func is Tensor.__getitem__:
            return func(args[0], numbered(args[1]))
        if func in _FILLED and getattr(kwargs.get("dtype"), "is_complex", False):
            values = func(*args, **{**kwargs, "dtype": torch.float32})
            return Pair(values, torch.zeros_like(values))
        return func(*args, **kwargs)


def as_pair(values: Tensor) -> Tensor:
    """Complex numbers whose parts are the last axis of `values` [..., 2], for what is typed to take tensors."""
    return cast(Tensor, Pair(values[..., 0], values[..., 1]))


def parts_of(values: Tensor) -> Tensor:
    """The parts of a `Pair` along a last axis, float32 [..., 2]."""
    pair = cast(Pair, values)
    return torch.stack([pair.real, pair.imag], dim=-1)


def _has_pair(values: Iterable[Any]) -> bool:
    return any(isinstance(v, Pair) or (isinstance(v, (list, tuple)) and _has_pair(v)) for v in values)


def _part(values: Any) -> tuple[Any, Any]:
    """Real and imaginary part; None for one that is nothing but 0."""
    if isinstance(values, Pair):
        return values.real, values.imag
    if isinstance(values, complex):
        return values.real, values.imag
    if isinstance(values, Tensor) and values.is_complex():
        raise NoRealForm("a tensor of complex numbers that the network holds")
    return values, None


def _add(a: Any, b: Any, *, alpha: float = 1) -> Pair:
    (ar, ai), (br, bi) = _part(a), _part(b)
    if alpha != 1:
        br, bi = br * alpha, None if bi is None else bi * alpha
    real = ar + br
    if ai is None or bi is None:
        imag = bi if ai is None else ai
        # a sum has the shape of both
        return Pair(real, imag + torch.zeros_like(real))
    return Pair(real, ai + bi)


def _sub(a: Any, b: Any, *, alpha: float = 1) -> Pair:
    return _add(a, b, alpha=-alpha)


def _mul(a: Any, b: Any) -> Pair:
    (ar, ai), (br, bi) = _part(a), _part(b)
    if bi is None:
        return Pair(ar * br, ai * br)
    if ai is None:
        return Pair(ar * br, ar * bi)
    return Pair(ar * br - ai * bi, ar * bi + ai * br)


def _div(a: Any, b: Any) -> Pair:
    (ar, ai), (br, bi) = _part(a), _part(b)
    if bi is None:
        return Pair(ar / br, ai / br)
    return _mul(a, Pair(br, -bi)) / (br * br + bi * bi)


def _matmul(a: Any, b: Any) -> Pair:
    (ar, ai), (br, bi) = _part(a), _part(b)
    if bi is None:
        return Pair(ar @ br, ai @ br)
    if ai is None:
        return Pair(ar @ br, ar @ bi)
    return Pair(ar @ br - ai @ bi, ar @ bi + ai @ br)


def _power(a: Any, exponent: Any) -> Pair:
    if exponent != 2:
        raise NoRealForm(f"power {exponent}")
    return _mul(a, a)


def _abs(a: Pair) -> Tensor:
    return cast(Tensor, (a.real * a.real + a.imag * a.imag).sqrt())


def _exp(a: Pair) -> Pair:
    return _polar(a.real.exp(), a.imag)


def _polar(size: Tensor, angle: Tensor) -> Pair:
    return Pair(size * torch.cos(angle), size * torch.sin(angle))


def _where(condition: Any, a: Any, b: Any) -> Pair:
    (ar, ai), (br, bi) = _part(a), _part(b)
    none = torch.zeros(())
    return Pair(
        torch.where(condition, ar, br),
        torch.where(condition, none if ai is None else ai, none if bi is None else bi),
    )


def _joined(func: Callable) -> Callable:
    """stack, cat: of pairs, and of real tensors among them."""

    def join(tensors: Any, *args: Any, **kwargs: Any) -> Pair:
        real = [_part(t)[0] for t in tensors]
        imag = [torch.zeros_like(r) if i is None else i for r, i in map(_part, tensors)]
        return Pair(func(real, *args, **kwargs), func(imag, *args, **kwargs))

    return join


def _einsum(equation: str, *operands: Any) -> Pair:
    operands = tuple(operands[0]) if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    places = [i for i, values in enumerate(operands) if isinstance(values, Pair)]
    if len(places) > 1:
        raise NoRealForm("einsum of two complex tensors")
    (place,) = places

    def of(part: Tensor) -> Tensor:
        return torch.einsum(equation, *operands[:place], part, *operands[place + 1 :])

    return Pair(of(operands[place].real), of(operands[place].imag))


def _to(a: Pair, *args: Any, **kwargs: Any) -> Pair:
    """To another device; to another type it stays as it is."""
    given = [*args, *kwargs.values()]
    devices = [value for value in given if isinstance(value, (torch.device, str))]
    devices += [value.device for value in given if isinstance(value, (Tensor, Pair))]
    return Pair(a.real.to(devices[0]), a.imag.to(devices[0])) if devices else a


def _same(a: Pair) -> Pair:
    return a


def _index_copy(a: Any, dim: int, index: Tensor, values: Any) -> Pair:
    (ar, ai), (vr, vi) = _part(a), _part(values)
    ai = torch.zeros_like(ar) if ai is None else ai
    vi = torch.zeros_like(vr) if vi is None else vi
    return Pair(ar.index_copy(dim, index, vr), ai.index_copy(dim, index, vi))


#: Functions that make complex numbers of real ones.
_MAKES: dict[Any, Callable] = {
    torch.complex: Pair,
    torch.view_as_complex: lambda values: Pair(values[..., 0], values[..., 1]),
    torch.polar: _polar,
}
_FILLED = {torch.zeros, torch.ones, torch.full, torch.empty}
#: By the name of the function or method, without the underscores of operators.
_RULES: dict[str, Callable] = {
    "add": _add,
    "radd": lambda a, b: _add(b, a),
    "sub": _sub,
    "subtract": _sub,
    "rsub": lambda a, b: _sub(b, a),
    "mul": _mul,
    "multiply": _mul,
    "rmul": lambda a, b: _mul(b, a),
    "div": _div,
    "divide": _div,
    "truediv": _div,
    "true_divide": _div,
    "rtruediv": lambda a, b: _div(b, a),
    "rdiv": lambda a, b: _div(b, a),
    "matmul": _matmul,
    "bmm": _matmul,
    "rmatmul": lambda a, b: _matmul(b, a),
    "pow": _power,
    "square": lambda a: _mul(a, a),
    "reciprocal": lambda a: _div(1.0, a),
    "neg": lambda a: -a,
    "abs": _abs,
    "absolute": _abs,
    "angle": lambda a: torch.atan2(a.imag, a.real),
    "exp": _exp,
    "conj": lambda a: Pair(a.real, -a.imag),
    "conj_physical": lambda a: Pair(a.real, -a.imag),
    "resolve_conj": _same,
    "resolve_neg": _same,
    "real": lambda a: a.real,
    "imag": lambda a: a.imag,
    "view_as_real": lambda a: torch.stack([a.real, a.imag], dim=-1),
    "is_complex": lambda a: True,
    "is_floating_point": lambda a: False,
    "where": _where,
    "stack": _joined(torch.stack),
    "cat": _joined(torch.cat),
    "concat": _joined(torch.cat),
    "einsum": _einsum,
    "to": _to,
    "cpu": _same,
    "cfloat": _same,
    "index_copy": _index_copy,
}
#: What is done to either part alone.
_EITHER = frozenset((
    "chunk", "clone", "contiguous", "cumsum", "detach", "diagonal", "diff", "expand", "expand_as", "flatten", "flip",
    "gather", "getitem", "index_select", "mean", "moveaxis", "movedim", "narrow", "new_zeros", "permute", "repeat",
    "repeat_interleave", "reshape", "roll", "select", "split", "squeeze", "sum", "swapaxes", "t", "take_along_dim",
    "tile", "transpose", "unbind", "unflatten", "unsqueeze", "view", "view_as", "zeros_like",
))  # fmt: skip
#: What is asked of one part.
_OF_ONE = frozenset(("dim", "element_size", "get_device", "len", "ndimension", "numel", "size"))


def _computed(func: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
    """A function of torch on pairs. `NoRealForm` for one without a rule."""
    name = getattr(func, "__name__", str(func))
    operator = name.startswith("__")
    key = name.strip("_") if operator else name
    if key == "get" and hasattr(func, "__self__"):  # a property of tensors, such as Tensor.real
        key = getattr(func.__self__, "__name__", key)
    if key in _RULES:
        return _RULES[key](*args, **kwargs)
    if key in _OF_ONE:
        return func(args[0].real, *args[1:], **kwargs)
    func = WRITTEN.get(name, func)
    if key not in _EITHER:
        raise NoRealForm(f"torch function {name!r}")

    def of(which: int) -> Any:
        # sizes may be asked of another pair, as by expand_as
        own = args[0]
        own = (own.real, own.imag)[which] if isinstance(own, Pair) else own
        rest = [value.real if isinstance(value, Pair) else value for value in args[1:]]
        return func(own, *rest, **kwargs)

    if not isinstance(args[0], Pair):
        return of(0)
    real, imag = of(0), of(1)
    if isinstance(real, (tuple, list)):
        return tuple(Pair(r, i) for r, i in zip(real, imag, strict=True))
    return Pair(real, imag)
