"""Small-scale channels between the users of a network and all its sectors: signal and interference as channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from channels.arrays import AntennaArray
from channels.scenarios.clusters import draw_clusters, numbers_needed
from channels.scenarios.environment import Environment
from channels.scenarios.large_scale import LinkState
from channels.scenarios.layout import SECTOR_AZIMUTHS_DEG, Layout
from channels.scenarios.link_drop import LinkDrop
from channels.scenarios.links import Links
from channels.scenarios.network import NetworkDrop
from channels.scenarios.parameters import parameters
from channels.scenarios.response import Ends, path_gains
from channels.waves import SPEED_OF_LIGHT_MPS

#: Bytes of rays and of the arrays' responses to them that are held at once; users are taken in steps that fit.
_STEP_BYTES = 64 << 20


@dataclass(frozen=True)
class SiteChannels:
    """Paths between all users and the sectors of one site, path loss and everything else included.

    gains complex64 [num_users, 3, user_ports, sector_ports, num_paths]; delays_s float64 [num_users, num_paths]: the
        same for the sectors of the site, whose clusters are the same (TR 38.901 §7.6.3.4: site-specific).
    """

    site: int
    gains: Tensor
    delays_s: np.ndarray

    @property
    def powers(self) -> np.ndarray:
        """Mean power of an antenna pair over a band that tells all paths apart, float64 [num_users, 3]."""
        return self.gains.abs().double().square().sum(-1).mean((-1, -2)).cpu().numpy()


def site_channels(
    environment: Environment,
    layout: Layout,
    drop: NetworkDrop,
    sector: AntennaArray,
    user: AntennaArray,
    generator: np.random.Generator,
    device: torch.device | str = "cpu",
) -> Iterator[SiteChannels]:
    """Channels of a drop of `drop_users`, site after site: 57 sectors at once would fit into no memory.

    sector: of every sector, facing along x: each turns it to its direction. user: turned about the vertical by a
    random angle per user. Users stand still. Random numbers: the users' bearings, then per site uniform and normal
    numbers of all users.
    """
    num_users = len(drop.users_m)
    constants = parameters(environment)
    num_uniform, num_normal = numbers_needed(int(constants.num_clusters.max()))
    bearing = 2 * np.pi * generator.random(num_users)
    wavelength = SPEED_OF_LIGHT_MPS / environment.carrier_frequency_hz
    way = layout.from_sites_m(drop.users_m)
    turned = [
        replace(sector, orientation_rad=(float(np.deg2rad(azimuth)), *sector.orientation_rad[1:]))
        for azimuth in SECTOR_AZIMUTHS_DEG
    ]
    rays = 20 * (int(constants.num_clusters.max()) + 4)
    step = max(1, _STEP_BYTES // (rays * (32 * (sector.num_elements + user.num_elements) + 400)))
    for site in range(layout.num_sites):
        uniforms = generator.random((num_users, num_uniform))
        normals = generator.standard_normal((num_users, num_normal))
        parts, delays = [], []
        for first in range(0, num_users, step):
            some = slice(first, first + step)
            link = _link(environment, drop, way, site, some, bearing[some])
            clusters = draw_clusters(
                link.state, constants, link.azimuth_rad, link.links.zenith_at_base_rad, uniforms[some], normals[some]
            )
            whole = replace(link, clusters=clusters)
            of_sectors = [
                path_gains(Ends(array, user, False, wavelength, 0.0, False), whole, np.zeros(1), device)[:, :, 0]
                for array in turned
            ]
            parts.append(torch.stack(of_sectors, 1).unflatten(2, (user.num_ports, sector.num_ports)))
            delays.append(clusters.delays_s)
        yield SiteChannels(site, torch.cat(parts), np.concatenate(delays))


def _link(
    environment: Environment, drop: NetworkDrop, way: np.ndarray, site: int, some: slice, bearing: np.ndarray
) -> LinkDrop:
    """Links of some users to a site, without clusters yet."""
    x, y = way[some, site].T
    state = LinkState(**{field.name: getattr(drop.state, field.name)[some, site] for field in fields(LinkState)})
    links = Links(
        np.hypot(x, y),
        drop.indoor_distance_m[some],
        np.full(x.shape, environment.base_height_m),
        drop.height_m[some],
        drop.indoor[some],
    )
    return LinkDrop(links, np.arctan2(y, x), state, None, np.zeros_like(x), bearing)  # type: ignore[arg-type]
