"""Pairs of real tensors against complex tensors: every function, with the same numbers."""

from __future__ import annotations

import pytest
import torch

from receivers.onnx.pairs import NoRealForm, Pair, as_pair, parts_of, real_arithmetic

GENERATOR = torch.Generator().manual_seed(2)
Z = torch.randn(2, 3, 4, 2, generator=GENERATOR)
W = torch.randn(2, 3, 4, 2, generator=GENERATOR)
R = torch.rand(2, 3, 4, generator=GENERATOR) + 0.5
MASK = torch.rand(3, 4, generator=GENERATOR) > 0.5
PLACES = torch.tensor([2, 0])
HELD = torch.view_as_complex(W)

#: z, w: complex [2, 3, 4]; r: real.
FUNCTIONS = {
    "sum": lambda z, w, r: z + w - 2 * r + (r - z) + (1 - w),
    "sum of shapes": lambda z, w, r: z[:, :1] + r + torch.add(r, z[0], alpha=2) - torch.sub(z, w, alpha=3),
    "product": lambda z, w, r: z * w * r * 2 + r * z + 1j * w,
    "quotient": lambda z, w, r: z / w + r / z + z / r + 1 / w + w.reciprocal(),
    "conjugate": lambda z, w, r: z.conj() * w.conj().resolve_conj() - torch.conj(z) + z.mH.transpose(1, 2),
    "square": lambda z, w, r: z**2 + torch.square(w) + z.real**2,
    "negative": lambda z, w, r: -z + torch.neg(w),
    "matrices": lambda z, w, r: z @ w.mT + w @ z.mH + torch.matmul(z, w.transpose(1, 2)),
    "magnitude": lambda z, w, r: z.abs() + torch.abs(w) ** 2,
    "phase": lambda z, w, r: z.angle() + torch.angle(w),
    "exponential": lambda z, w, r: torch.exp(z) + torch.polar(r, z.imag),
    "parts": lambda z, w, r: torch.complex(z.imag, w.real) + torch.view_as_complex(torch.stack([r, r], -1)),
    "view as real": lambda z, w, r: torch.view_as_real(z).movedim(-1, 1),
    "reductions": lambda z, w, r: z.sum((0, 2)) + w.mean((0, 2)) + torch.sum(z) + z.mean() + z.cumsum(0)[0, :, 0],
    "joined": lambda z, w, r: torch.cat([z, w, r], 1).sum(1) + torch.stack([z, w], 1).sum((1, 2)),
    "axes": lambda z, w, r: z.permute(2, 0, -2).unflatten(-1, (-1, 1)).flatten(0, -2).unsqueeze(1).squeeze(),
    "moved": lambda z, w, r: z.movedim(0, -1) + w.permute(1, 2, 0).transpose(0, 1).swapaxes(0, 1).reshape(3, 4, 2),
    "taken": lambda z, w, r: z[:, MASK] + w[..., MASK] + z.index_select(2, PLACES).sum() + z[0, 1, 2] + z[:, [0]].sum(),
    "masks of one axis": lambda z, w, r: z[:, MASK[:, 0]] + r[:, MASK[:, 0]],
    "repeated": lambda z, w, r: z[:1].expand(2, -1, -1) + r[:1].expand_as(z) + w[:1].repeat(2, 1, 1),
    "put": lambda z, w, r: z.index_copy(2, PLACES, w[..., :2]) + r.index_copy(2, PLACES, r[..., :2]),
    "either": lambda z, w, r: torch.where(MASK, z, w) + torch.where(MASK, r, z) + torch.where(MASK, z, 0.0),
    "einsum": lambda z, w, r: torch.einsum("bij->bj", z) + torch.einsum("bij->bj", w) * r[:, 0],
    "several": lambda z, w, r: sum(z.unbind(1)) + sum(w.split(1, 1)).squeeze(1),
    "filled": lambda z, w, r: torch.zeros(3, 4, dtype=torch.complex64) + torch.zeros_like(z) + z.new_zeros(1),
    "types": lambda z, w, r: z.to(torch.complex64) + w.to(z.device) if z.is_complex() and z.ndim == 3 else w,
    "sizes": lambda z, w, r: z.sum() * z.numel() * z.shape[1] * z.size(2) * len(z) * z.dim(),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_pair_is_what_a_complex_tensor_is(name):
    expected = FUNCTIONS[name](torch.view_as_complex(Z), torch.view_as_complex(W), R)
    with real_arithmetic():
        found = FUNCTIONS[name](as_pair(Z), as_pair(W), R)
    if expected.is_complex():
        assert isinstance(found, Pair)
        found, expected = parts_of(found), torch.view_as_real(expected.resolve_conj())
    # rounding of single precision in another order
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_gradients_pass_through():
    leaf, parts = torch.view_as_complex(Z).requires_grad_(), Z.clone().requires_grad_()
    (leaf * torch.view_as_complex(W)).abs().sum().backward()
    with real_arithmetic():
        (as_pair(parts) * as_pair(W)).abs().sum().backward()
    torch.testing.assert_close(parts.grad, torch.view_as_real(leaf.grad))


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (lambda z, w: torch.fft.fft(z), "fft_fft"),
        (lambda z, w: torch.linalg.inv(z[0]), "linalg_inv"),
        (lambda z, w: z.add_(w), "add_"),
        (lambda z, w: z**3, "power 3"),
        (lambda z, w: z * HELD, "complex numbers that the network holds"),
        (lambda z, w: torch.einsum("bij,bij->b", z, w), "einsum of two"),
    ],
)
def test_what_has_no_rule_is_named(function, named):
    with pytest.raises(NoRealForm, match=named), real_arithmetic():
        function(as_pair(Z), as_pair(W))
