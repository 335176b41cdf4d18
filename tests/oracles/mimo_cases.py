"""Random MIMO observations, and the LLRs of a detector that tries all combinations."""

import itertools

import torch

from ran.phy.modulation import constellation, modulate


def case(num_layers, bits_per_symbol, n=40, num_rx=4, noise=0.2, seed=1):
    torch.manual_seed(seed)
    bits = torch.randint(0, 2, (2, num_layers, n * bits_per_symbol), dtype=torch.uint8)
    x = modulate(bits, bits_per_symbol)
    h = torch.randn(2, num_rx, num_layers, n, dtype=torch.complex64) / num_layers**0.5
    noise_var = noise * (0.5 + torch.rand(2, n))
    w = torch.randn(2, num_rx, n, dtype=torch.complex64)
    y = (h * x.unsqueeze(1)).sum(2) + noise_var.sqrt().unsqueeze(1) * w
    return y, h, noise_var, bits.reshape(2, num_layers, n, bits_per_symbol)


def enumerate_llr(y, h, noise_var, bits_per_symbol, exact=False, prior=None):
    """LLRs over all combinations of all layers' points."""
    points = torch.from_numpy(constellation(bits_per_symbol))
    labels = (torch.arange(len(points))[:, None] >> torch.arange(bits_per_symbol - 1, -1, -1)) & 1
    num_layers = h.shape[2]
    index = torch.tensor(list(itertools.product(range(len(points)), repeat=num_layers)))
    error = y.unsqueeze(-1) - torch.einsum("brln,cl->brnc", h, points[index].to(h.dtype))
    log = -(error.abs() ** 2).sum(1) / noise_var.unsqueeze(-1)
    out = torch.empty(2, num_layers, y.shape[2], bits_per_symbol)
    if prior is not None:
        log = log + 0.5 * torch.einsum("blnk,clk->bnc", prior, 1.0 - 2 * labels[index])
    for layer in range(num_layers):
        for bit in range(bits_per_symbol):
            one = labels[index[:, layer], bit].bool()
            best = torch.logsumexp if exact else torch.amax
            out[:, layer, :, bit] = best(log[..., ~one], dim=-1) - best(log[..., one], dim=-1)
    return out if prior is None else out - prior
