"""The networks of an ONNX graph in float16, all signal processing around them left in float32.

A network is what lies between its first and its last convolution: the convolutions, and on the way from one to another
the operations that float16 holds as well (sums, activations, means, changes of shape). Ratios, logarithms, equalisation
and demapping leave the range of float16 at strong signals: a noise variance of 1e-8, that of 80 dB, is 0 there. So no
value outside of a network is rounded, and a cast stands only where a network begins and where it ends.
"""

from __future__ import annotations

from typing import Any

#: Operations between two convolutions that belong to a network, and how many of their inputs are data (None: all).
_BETWEEN: dict[str, int | None] = {
    "Conv": None,
    "Relu": None,
    "Add": None,
    "Reshape": 1,
    "Unsqueeze": 1,
    "Squeeze": 1,
    "ReduceMean": 1,
    "Transpose": 1,
}
#: What reads values of any type, and hands on none of them.
_ANY_TYPE = "Shape"


def halve_networks(model: Any) -> int:
    """Rewrite a model in place; returns the number of nodes that compute in float16, 0 for a model without networks."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    inside = _network_nodes(graph)
    made = {name for i in inside for name in graph.node[i].output}
    used_outside = {value.name for value in graph.output}
    for i, node in enumerate(graph.node):
        if i not in inside and node.op_type != _ANY_TYPE:
            used_outside.update(node.input)
    # where a value is read on both sides, its name stays with the float32 one
    halves = {name: f"{name}_f16" for name in made & used_outside}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for i, node in enumerate(graph.node):
        if i not in inside:
            nodes.append(node)
            continue
        for place in range(_num_data(node)):
            name = node.input[place]
            if name and name not in made and name not in halves:
                halves[name] = f"{name}_f16"
                if name in constants:
                    small = numpy_helper.to_array(constants[name]).astype("float16")
                    graph.initializer.append(numpy_helper.from_array(small, halves[name]))
                else:
                    nodes.append(helper.make_node("Cast", [name], [halves[name]], to=TensorProto.FLOAT16))
            node.input[place] = halves.get(name, name)
        names = list(node.output)
        node.output[:] = [halves.get(name, name) for name in names]
        nodes.append(node)
        nodes += [
            helper.make_node("Cast", [halves[name]], [name], to=TensorProto.FLOAT) for name in names if name in halves
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    read = {name for node in graph.node for name in node.input}
    for name, tensor in constants.items():
        if name not in read:
            graph.initializer.remove(tensor)
    del graph.value_info[:]  # stated the types from before
    return len(inside)


def _num_data(node: Any) -> int:
    """How many of a node's inputs are data; the others say how they are treated."""
    count = _BETWEEN[node.op_type]
    return len(node.input) if count is None else count


def _network_nodes(graph: Any) -> set[int]:
    """Nodes on a way from a convolution to a convolution, both included, through what belongs to networks alone."""
    allowed = [i for i, node in enumerate(graph.node) if node.op_type in _BETWEEN]
    after: set[str] = set()
    reached = set()
    for i in allowed:  # nodes are sorted: what a node reads was made before
        node = graph.node[i]
        if node.op_type == "Conv" or any(name in after for name in node.input[: _num_data(node)]):
            reached.add(i)
            after.update(node.output)
    before: set[str] = set()
    inside = set()
    for i in reversed(allowed):
        node = graph.node[i]
        if i in reached and (node.op_type == "Conv" or any(name in before for name in node.output)):
            inside.add(i)
            before.update(node.input[: _num_data(node)])
    return inside
