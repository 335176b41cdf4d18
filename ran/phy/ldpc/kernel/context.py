"""What all generated functions share: the module, the message type, and access to the plan's tables."""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from ran.phy.ldpc.plan import Field
from ran.phy.ldpc.simd import F32, I8, I32, I64, POINTER, MessageLanes, element, i64, load_element


@dataclass(frozen=True)
class Context:
    """What all generated functions of a module share."""

    module: ir.Module
    lanes: MessageLanes
    precision: str

    def function(
        self, name: str, result: ir.Type, *args: ir.Type, public: bool = False
    ) -> tuple[ir.Function, ir.IRBuilder]:
        """Begin a function; its pointers never refer to the same memory."""
        function = ir.Function(self.module, ir.FunctionType(result, args), name)
        if not public:
            function.linkage = "internal"
        function.attributes.add("nounwind")
        for arg in function.args:
            if arg.type == POINTER:
                arg.add_attribute("noalias")
        return function, ir.IRBuilder(function.append_basic_block("entry"))

    @property
    def scalar(self) -> ir.Type:
        """Type of one message."""
        return self.lanes.scalar

    @property
    def correction(self) -> ir.Type:
        """Type of what `Lanes.normalised` is told: how to round in int8, the offset in float32."""
        return I8 if self.precision == "int8" else F32

    def area(self, builder: ir.IRBuilder, header: ir.Value, workspace: ir.Value, field: Field) -> ir.Value:
        """Address of an area of the workspace."""
        return element(builder, workspace, header_field(builder, header, field), I8)


def header_field(builder: ir.IRBuilder, header: ir.Value, field: Field) -> ir.Value:
    """A number of `Plan.header`."""
    return load_element(builder, header, i64(field), I64)


def row_entry(builder: ir.IRBuilder, rows: ir.Value, row: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value, ir.Value]:
    """The four numbers of a row of `Plan.rows` as int64."""
    at = builder.mul(row, i64(4))
    kernel, first, degree, own = (
        builder.sext(load_element(builder, rows, builder.add(at, i64(i)), I32), I64) for i in range(4)
    )
    return kernel, first, degree, own


def run_entry(builder: ir.IRBuilder, runs: ir.Value, run: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The three numbers of a run of `Plan.runs`: start in the frame, start in the channel area, length."""
    at = builder.mul(run, i64(3))
    start, to, length = (load_element(builder, runs, builder.add(at, i64(i)), I64) for i in range(3))
    return start, to, length
