"""The contract of an architecture: a `torch.nn.Module` from observations to LLRs."""

from __future__ import annotations

import torch
from torch import nn

from ran.contracts.slots import shape_problem, slots
from receivers.neural.receiver import passes_of


def _shape(model: nn.Module) -> str:
    with torch.no_grad():
        return shape_problem(passes_of(model(slots().observation))[-1][0], "LLRs of the last pass")


def _trains(model: nn.Module) -> str:
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        return "parameters: got none; allowed: at least one that is trained"
    llr = passes_of(model(slots().observation))[-1][0]
    gradients = torch.autograd.grad(llr.float().square().mean(), parameters, allow_unused=True)
    reached = sum(bool(g is not None and g.abs().sum() > 0) for g in gradients)
    return "" if reached else "no gradient reaches any parameter; allowed: LLRs that depend on them"


def _alone(model: nn.Module) -> str:
    model.eval()
    with torch.no_grad():
        whole = passes_of(model(slots().observation))[-1][0]
        alone = passes_of(model(slots().observation.part(1, 2)))[-1][0]
    close = torch.allclose(alone, whole[1:2], rtol=1e-3, atol=1e-3)
    return "" if close else "LLRs of a slot differ with the batch that it is in"


ARCHITECTURE_TESTS = {
    "shape and type": _shape,
    "gradients reach the parameters": _trains,
    "a slot does not depend on its batch": _alone,
}
