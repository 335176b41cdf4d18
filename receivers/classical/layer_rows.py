"""Scratch rows of the layers of a block of resource elements, for loops over layers and axes in generated source."""

from __future__ import annotations

from collections.abc import Sequence

from receivers.classical.unrolled import Rows

#: Real and imaginary.
AXES = ("r", "i")


class LayerRows:
    """Rows that every layer has: the same for all, and those of either axis in the same order, so that loops over
    layers and axes are written once, which compiles in a part of the time.

    own: names of rows of a layer. of_axis: names of rows of each of its axes, to which `own` adds "r" and "i".
    """

    def __init__(self, array: str, block: int, own: Sequence[str], of_axis: Sequence[str]) -> None:
        self.array = array
        self.rows = Rows("own", block)
        for name in (*own, *(name + axis for axis in AXES for name in of_axis)):
            _ = self.rows[name]
        self._axis_start, self._axis_size = block * len(own), block * len(of_axis)

    def at(self, name: str, layer: int) -> str:
        """Source of element k of a row of a layer, from outside the loop over layers."""
        return f"{self.array}[{layer * self.rows.size + self.rows[name]} + k]"

    def own(self, name: str) -> str:
        """The same in the loop over layers."""
        return self.rows.at(name)

    def axis(self, name: str) -> str:
        """The same in the loop over the axes of a layer."""
        return f"axis_rows[{self.rows[name + AXES[0]] - self._axis_start} + k]"

    def for_each(self, num_layers: int, lines: list[str]) -> list[str]:
        """A loop over layers."""
        size = self.rows.size
        return [
            f"for layer in range({num_layers}):",
            f"    own = {self.array}[{size} * layer : {size} * (layer + 1)]",
            *("    " + line for line in lines),
        ]

    def for_both_axes(self, lines: list[str]) -> list[str]:
        """A loop over the axes, 0 and 1, in the loop over layers; `num_axes` is 2."""
        start, size = self._axis_start, self._axis_size
        return [
            "for axis in range(num_axes):",
            f"    axis_rows = own[{start} + {size} * axis : {start} + {size} * (axis + 1)]",
            *("    " + line for line in lines),
        ]

    def reserve(self, result: Rows, num_layers: int) -> None:
        """Make the array large enough."""
        for row in range(num_layers * self.rows.size // result.block):
            _ = result[str(row)]


def for_each_re(lines: list[str]) -> list[str]:
    """A loop over the resource elements of a block."""
    return ["for k in range(n):", *("    " + line for line in lines)]


#: 2, but LLVM does not know: it would write the axes' loops one after the other, and then not vectorise all of them.
NUM_AXES = "num_axes = y.shape[3] // num_subcarriers"


def in_unit_noise(rows: Rows, num_layers: int) -> list[str]:
    """Gram matrix and matched filter over the noise."""
    names = [f"{part}{i}" for i in range(num_layers) for part in ("br", "bi")]
    names += [f"a{i}{i}" for i in range(num_layers)]
    names += [f"{part}{i}{j}" for i in range(num_layers) for j in range(i) for part in ("ar", "ai")]
    return for_each_re([f"weight = ONE / {rows.at('noise')}", *(f"{rows.at(name)} *= weight" for name in names)])
