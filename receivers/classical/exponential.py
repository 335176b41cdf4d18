"""Powers of two in compiled loops, in operations that LLVM vectorises: calls of the C library keep a loop scalar."""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

#: Least exponent: below it single precision has no normal numbers. A NaN stays one.
LEAST_EXPONENT = -126.0
# 2^f for |f| <= 1/2 by the first terms of its series: the next is 5e-9.
_TERMS = [math.log(2) ** k / math.factorial(k) for k in range(8)]


@intrinsic
def power_of_two(typing_context: Any, exponent: Any) -> Any:
    """2^n in single precision for whole n from -126 to 127, given as float32: the bits of the exponent."""
    if exponent != types.float32:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        i32 = ir.IntType(32)
        whole = builder.fptosi(arguments[0], i32)
        bits = builder.shl(builder.add(whole, ir.Constant(i32, 127)), ir.Constant(i32, 23))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.float32), generate


def exp_source(result: str, exponent: str) -> list[str]:
    """Lines that set `result` to e^exponent, for exponents of at most 0, to 2^-22 of it; e^-87 for smaller ones."""
    series = f"F({_TERMS[-1]!r})"
    for term in reversed(_TERMS[:-1]):
        series = f"({series} * part + F({term!r}))"
    return [
        f"binary = F({1 / math.log(2)!r}) * ({exponent})",
        f"binary = F({LEAST_EXPONENT!r}) if binary < F({LEAST_EXPONENT!r}) else binary",
        "rounded = np.floor(binary + HALF)",
        "part = binary - rounded",
        f"{result} = {series} * power_of_two(rounded)",
    ]
