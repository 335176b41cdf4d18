"""An antenna array: where its elements are, how they are polarised and turned, and how ports combine them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from channels.arrays.pattern import check_pattern, is_uniform, power_gain
from channels.arrays.rotation import angles, polarisation_basis, rotation_matrix
from channels.errors import bad_value
from channels.waves import turns


@dataclass(frozen=True, eq=False)
class AntennaArray:
    """Elements around the array's centre, which is the origin of the local coordinates and the phase reference.

    positions_m float64 [num_elements, 3]: local coordinates; an element's main direction is the local x axis.
    slants_rad float64 [num_elements]: polarisation slant, 0 vertical, pi/2 horizontal (model 2 of TR 38.901 §7.3.2).
    pattern: name of the element pattern.
    orientation_rad: bearing, downtilt and slant of the whole array (TR 38.901 §7.1.3).
    weights complex128 [num_ports, num_elements]: a port's signal is that of the elements times its row; None: every
        element is a port.
    """

    positions_m: np.ndarray
    slants_rad: np.ndarray
    pattern: str = "omni"
    orientation_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        check_pattern(self.pattern)
        shape = np.shape(self.positions_m)
        if len(shape) != 2 or shape[0] < 1 or shape[1] != 3 or not np.isfinite(self.positions_m).all():
            raise bad_value("positions_m", shape, "finite numbers [num_elements, 3]")
        if np.shape(self.slants_rad) != shape[:1]:
            raise bad_value("slants_rad", np.shape(self.slants_rad), f"one per element, {shape[:1]}")
        if self.weights is not None and (np.ndim(self.weights) != 2 or np.shape(self.weights)[1] != shape[0]):
            raise bad_value("weights", np.shape(self.weights), f"[num_ports, {shape[0]}], a column per element")

    @property
    def num_elements(self) -> int:
        return len(self.positions_m)

    @property
    def num_ports(self) -> int:
        return self.num_elements if self.weights is None else len(self.weights)

    @property
    def aperture_m(self) -> float:
        """Largest distance between two elements along the array's diagonal."""
        return float(np.linalg.norm(np.ptp(self.positions_m, axis=0)))

    @cached_property
    def rotation(self) -> Tensor:
        """Local to global coordinates, float64 [3, 3]."""
        with torch.inference_mode(False):
            return rotation_matrix(*self.orientation_rad)

    @cached_property
    def _slants(self) -> tuple[np.ndarray, np.ndarray]:
        """The different slants, and every element's place among them."""
        values, places = np.unique(self.slants_rad, return_inverse=True)
        return values, places.reshape(-1)

    @cached_property
    def _coordinates(self) -> tuple[tuple[int, Tensor, Tensor], ...]:
        """Of every axis along which the array extends: the different coordinates, and every element's among them."""
        found = []
        with torch.inference_mode(False):  # what is kept must also serve callers that train
            for axis in range(3):
                values, places = np.unique(np.round(self.positions_m[:, axis], 12), return_inverse=True)
                if len(values) > 1 or values[0] != 0:
                    found.append((axis, torch.from_numpy(values), torch.from_numpy(places.reshape(-1))))
        return tuple(found)

    @cached_property
    def _slant_of_element(self) -> Tensor:
        """Every element's place among the slants, int64 [num_elements]."""
        with torch.inference_mode(False):
            return torch.from_numpy(self._slants[1])

    def fields(self, directions: Tensor) -> Tensor:
        """Field components of an element with each of the different slants, float64 [..., num_slants, 2].

        directions float64 [..., 3]: global unit vectors from the array to where the wave comes from or goes to.
        The components are those along growing zenith and growing azimuth, in global coordinates
        (TR 38.901 eq. (7.1-11), (7.3-4), (7.3-5)).
        """
        of_zenith, of_azimuth = polarisation_basis(directions)
        local, turned = directions, of_zenith
        if any(self.orientation_rad):
            rotation = self.rotation.to(directions.device)
            local = directions @ rotation  # the transpose turns back
            turned = polarisation_basis(local)[0] @ rotation.T
        cosine, sine = (turned * of_zenith).sum(-1), (turned * of_azimuth).sum(-1)
        slants = torch.as_tensor(self._slants[0], dtype=directions.dtype, device=directions.device)
        along, beside = slants.cos(), slants.sin()
        # by the angle between both bases: [..., num_slants]
        theta = cosine[..., None] * along - sine[..., None] * beside
        phi = sine[..., None] * along + cosine[..., None] * beside
        fields = torch.stack([theta, phi], -1)
        if is_uniform(self.pattern):
            return fields
        return power_gain(self.pattern, *angles(local)).sqrt()[..., None, None] * fields

    def steering(self, directions: Tensor, wavelength_m: float) -> Tensor:
        """Phase of a plane wave at every element, complex64 [..., num_elements, num_rays].

        directions float64 [..., num_rays, 3]: as in `fields`. exp(2j pi direction . position / wavelength), as in
        TR 38.901 eq. (7.5-22).
        """
        local = directions @ self.rotation.to(directions.device)
        factors = []
        for axis, metres, places in self._coordinates:
            # a uniform array has few different coordinates per axis: the sines are of these alone
            factor = turns((metres / wavelength_m).to(local.device)[:, None] * local[..., None, :, axis])
            factors.append(factor.index_select(-2, places.to(local.device)))
        if not factors:
            shape = (*local.shape[:-2], self.num_elements, local.shape[-2])
            return torch.ones(shape, dtype=torch.complex64, device=local.device)
        product = factors[0]
        for factor in factors[1:]:
            product = product * factor
        return product

    def response(self, directions: Tensor, wavelength_m: float, fields: Tensor | None = None) -> Tensor:
        """Field of every port for plane waves, complex64 [..., num_ports, num_rays, 2].

        directions float64 [..., num_rays, 3]. Element pattern, slant, rotation, phase and weights included.
        fields: of these directions, where the caller has them.
        """
        of_elements = self.fields(directions) if fields is None else fields
        return self._ports(self.steering(directions, wavelength_m), of_elements)

    def response_to_points(self, points_m: Tensor, wavelength_m: float, element_gains: Tensor | None = None) -> Tensor:
        """The same for spherical waves from or to points, complex64 [..., num_ports, num_rays, 2].

        points_m float64 [..., num_rays, 3]: global coordinates relative to the array's centre. The phase follows from
        the distance of every element to the point, relative to that of the centre, and the pattern from the element's
        own direction (element-wise phases and angles, TR 38.901 §7.6.13, Rel-19). Distances do not change amplitudes.
        element_gains float32 [..., num_elements, num_rays]: amplitude factors, of visibility for instance.
        """
        vectors = points_m[..., None, :, :] - self.global_positions(points_m.device)[:, None, :]
        distances = torch.linalg.vector_norm(vectors, dim=-1)  # [..., num_elements, num_rays]
        centre = torch.linalg.vector_norm(points_m, dim=-1)[..., None, :]
        steering = turns((centre - distances) / wavelength_m)
        if element_gains is not None:
            steering = steering * element_gains
        # [..., num_elements, num_rays, num_slants, 2]: of each element its own slant
        fields = self.fields(vectors / distances[..., None])
        slant = self._slant_of_element.to(points_m.device)
        index = slant.view(-1, 1, 1, 1).expand(*fields.shape[:-2], 1, 2)
        own = fields.gather(-2, index)[..., 0, :].to(torch.float32)
        return self._combined(steering[..., None] * own)

    def global_positions(self, device: torch.device | str = "cpu") -> Tensor:
        """Global coordinates of the elements, metres from the array's centre, float64 [num_elements, 3]."""
        return (torch.from_numpy(np.asarray(self.positions_m, np.float64)) @ self.rotation.T).to(device)

    def with_gains(self, directions: Tensor, wavelength_m: float, element_gains: Tensor) -> Tensor:
        """`response` with amplitude factors per element and ray, float32 [..., num_elements, num_rays]."""
        return self._ports(self.steering(directions, wavelength_m) * element_gains, self.fields(directions))

    def _ports(self, steering: Tensor, fields: Tensor) -> Tensor:
        """Steering [..., num_elements, num_rays] times the field of each element's slant, combined to ports."""
        slant = self._slant_of_element.to(steering.device)
        # [..., num_slants, num_rays, 2] -> [..., num_elements, num_rays, 2]
        own = fields.to(torch.float32).transpose(-2, -3).index_select(-3, slant)
        return self._combined(steering[..., None] * own)

    def _combined(self, elements: Tensor) -> Tensor:
        """Ports from elements [..., num_elements, num_rays, 2]."""
        if self.weights is None:
            return elements
        weights = torch.as_tensor(self.weights, dtype=torch.complex64, device=elements.device)
        return (weights @ elements.flatten(-2)).unflatten(-1, elements.shape[-2:])
