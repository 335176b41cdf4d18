"""A draw of a clustered channel: how rays at both ends are paired, their phases and polarisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from channels.cluster_profiles import ClusterProfile
from channels.request import check_generators


@dataclass(frozen=True)
class Rays:
    """Rays of a batch of draws at the base station and the terminal, all on one device.

    at_base, at_terminal float64 [batch, num_clusters, num_rays, 3]: unit vectors from the array towards the ray.
    coupling complex64 [batch, num_clusters, num_rays, 2, 2]: from field components at the terminal to those at the
        base station, with start phases, cross-polarisation and the square root of the ray's power. Reciprocal: the
        other way it is the transpose.
    los_start complex64 [batch]: start phase of the line of sight.
    travel_azimuth_rad float64 [batch]: uniformly random.
    spare float64 [batch, num_spare]: uniform numbers from 0 to 1 for what a model draws beyond.
    """

    at_base: Tensor
    at_terminal: Tensor
    coupling: Tensor
    los_start: Tensor
    travel_azimuth_rad: Tensor
    spare: Tensor


def draw_rays(
    generators: Sequence[np.random.Generator],
    profile: ClusterProfile,
    num_spare: int = 0,
    device: torch.device | str = "cpu",
) -> Rays:
    """One draw per generator (TR 38.901 §7.7.1 steps 2 to 4, Rel-18).

    Random numbers of a drop, uniform from 0 to 1, in order: for azimuths at the terminal, zeniths at the terminal and
    zeniths at the base station a number per cluster and ray, whose ranks within the cluster pair them with the
    azimuths at the base station; four start phases per cluster and ray (zenith to zenith, terminal's azimuth to base
    station's zenith, the opposite, azimuth to azimuth); the start phase of the line of sight; the direction of travel;
    `num_spare` more.
    """
    check_generators(generators)
    clusters, rays = profile.num_clusters, profile.num_rays
    each = clusters * rays
    numbers = np.stack([generator.random(7 * each + 2 + num_spare) for generator in generators])
    batch = len(numbers)
    ranks = torch.from_numpy(numbers[:, : 3 * each].reshape(batch, 3, clusters, rays).argsort(-1)).to(device)
    phases = torch.from_numpy(numbers[:, 3 * each : 7 * each].reshape(batch, clusters, rays, 2, 2)).to(device)
    circles, strength = _constants(profile, str(device))

    def paired(angle: str, order: int) -> tuple[Tensor, Tensor]:
        cosine, sine = (part.expand(batch, -1, -1).gather(-1, ranks[:, order]) for part in circles[angle])
        return cosine, sine

    base_azimuth = tuple(part.expand(batch, -1, -1) for part in circles["aod"])
    at_base = _vectors(paired("zod", 2), (base_azimuth[0], base_azimuth[1]))
    at_terminal = _vectors(paired("zoa", 1), paired("aoa", 0))
    rest = torch.from_numpy(numbers[:, 7 * each :]).to(device)
    turned = 2 * torch.pi * rest[:, :2]
    return Rays(
        at_base,
        at_terminal,
        torch.polar(strength.expand(phases.shape).contiguous(), (2 * torch.pi * phases).to(torch.float32)),
        torch.polar(torch.ones_like(turned[:, 0]), turned[:, 0]).to(torch.complex64),
        turned[:, 1],
        rest[:, 2:],
    )


def _vectors(zenith: tuple[Tensor, Tensor], azimuth: tuple[Tensor, Tensor]) -> Tensor:
    """Unit vectors from cosine and sine of both angles."""
    (cos_zenith, sin_zenith), (cos_azimuth, sin_azimuth) = zenith, azimuth
    return torch.stack([sin_zenith * cos_azimuth, sin_zenith * sin_azimuth, cos_zenith], -1)


@lru_cache(maxsize=16)
def _constants(profile: ClusterProfile, device: str) -> tuple[dict[str, tuple[Tensor, Tensor]], Tensor]:
    """Cosine and sine of the rays' angles, float64 [num_clusters, num_rays], and the amplitudes of the four couplings,
    float32 [num_clusters, num_rays, 2, 2]."""
    with torch.inference_mode(False):  # what is kept must also serve callers that train
        circles = {
            angle: (torch.from_numpy(np.cos(values)).to(device), torch.from_numpy(np.sin(values)).to(device))
            for angle, values in profile.rays_rad.items()
        }
        amplitude = torch.from_numpy(np.sqrt(profile.powers / profile.num_rays)).to(device, torch.float32)
        crossed = torch.tensor([[1.0, profile.xpr**-0.5], [profile.xpr**-0.5, 1.0]], device=device)
        strength = amplitude[:, None, None, None] * crossed
        return circles, strength.expand(-1, profile.num_rays, -1, -1).contiguous()
