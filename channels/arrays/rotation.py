"""Local and global coordinates: directions, rotations and the polarisation basis (TR 38.901 §7.1, Rel-18).

Zenith angles count from the z axis, azimuth angles from the x axis towards the y axis, all in radians.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotation_matrix(bearing: float, downtilt: float, slant: float) -> Tensor:
    """Turns local into global coordinates, float64 [3, 3] (TR 38.901 eq. (7.1-2), Rel-18).

    About z by `bearing` after y by `downtilt` after x by `slant`, radians.
    """
    a, b, c = torch.tensor([bearing, downtilt, slant], dtype=torch.float64)
    one, zero = torch.ones_like(a), torch.zeros_like(a)
    about_z = torch.stack([a.cos(), -a.sin(), zero, a.sin(), a.cos(), zero, zero, zero, one]).view(3, 3)
    about_y = torch.stack([b.cos(), zero, b.sin(), zero, one, zero, -b.sin(), zero, b.cos()]).view(3, 3)
    about_x = torch.stack([one, zero, zero, zero, c.cos(), -c.sin(), zero, c.sin(), c.cos()]).view(3, 3)
    return about_z @ about_y @ about_x


def direction(zenith: Tensor, azimuth: Tensor) -> Tensor:
    """Unit vectors [..., 3] of angles [...] (TR 38.901 eq. (7.1-6))."""
    sine = zenith.sin()
    return torch.stack([sine * azimuth.cos(), sine * azimuth.sin(), zenith.cos()], -1)


def angles(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Zenith in 0 to pi and azimuth in -pi to pi of vectors [..., 3] of any length."""
    across = torch.linalg.vector_norm(vectors[..., :2], dim=-1)
    return torch.atan2(across, vectors[..., 2]), torch.atan2(vectors[..., 1], vectors[..., 0])


def polarisation_basis(unit_vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors of growing zenith and of growing azimuth at directions [..., 3]: the two axes of a field."""
    x, y, z = unit_vectors.unbind(-1)
    across = torch.linalg.vector_norm(unit_vectors[..., :2], dim=-1)
    # at the poles every azimuth is as good; 0 is taken
    pole = across < 1e-12
    safe = torch.where(pole, torch.ones_like(across), across)
    cosine, sine = torch.where(pole, torch.ones_like(x), x / safe), torch.where(pole, torch.zeros_like(y), y / safe)
    of_zenith = torch.stack([z * cosine, z * sine, -across], -1)
    return of_zenith, torch.stack([-sine, cosine, torch.zeros_like(z)], -1)
