"""A number and what belongs to it as one integer, so that comparing the one moves both."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()


@intrinsic
def packed(typing_context: Any, value: Any, payload: Any) -> Any:
    """int64 of a float32 that is not negative and an int64 from 0 to 2^32 - 1: in the order of the former, then of the
    latter."""
    if value != types.float32 or payload != types.int64:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.zext(builder.bitcast(arguments[0], _I32), _I64)
        return builder.or_(builder.shl(bits, ir.Constant(_I64, 32)), arguments[1])

    return types.int64(types.float32, types.int64), generate


@intrinsic
def value_of(typing_context: Any, pair: Any) -> Any:
    """The float32 of `packed`."""
    if pair != types.int64:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        upper = builder.lshr(arguments[0], ir.Constant(_I64, 32))
        return builder.bitcast(builder.trunc(upper, _I32), _F32)

    return types.float32(types.int64), generate
