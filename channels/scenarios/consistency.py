"""What stays alike along a user's way: soft line of sight, large-scale parameters, numbers of clusters (§7.6.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import erfinv, ndtr

from channels.scenarios.environment import Environment
from channels.scenarios.field import correlated_fields
from channels.scenarios.indoor import IndoorFactory
from channels.scenarios.parameters import ORDER, Parameters

#: Correlation distances in metres of numbers of clusters and rays with a line of sight, without, and into buildings;
#: of the state of the line of sight (TR 38.901 table 7.6.3.1-2, Rel-19).
_DISTANCES_M = {
    "umi": (12.0, 15.0, 15.0, 50.0),
    "uma": (40.0, 50.0, 15.0, 50.0),
    "sma": (40.0, 50.0, 15.0, 50.0),
    "rma": (50.0, 60.0, 15.0, 60.0),
    "inh": (10.0, 10.0, 10.0, 10.0),
    "inf": (10.0, 10.0, 10.0, 10.0),
}


def cluster_distances_m(environment: Environment) -> np.ndarray:
    """Correlation distances of cluster- and ray-specific numbers, float64 [3]: LOS, NLOS, O2I."""
    return np.array(_DISTANCES_M[environment.name][:3])


def sight_distance_m(environment: Environment) -> float:
    """Correlation distance of the state of the line of sight."""
    if isinstance(environment, IndoorFactory):
        return environment.clutter_size_m / 2
    return _DISTANCES_M[environment.name][3]


@dataclass(frozen=True)
class FieldValues:
    """Values of a drop's fields at places, about N(0, 1).

    sight float64 [batch, num_places]: of the line of sight. normals [batch, 3, num_places, 7]: of the large-scale
    parameters of every condition, before their mutual correlation.
    """

    sight: np.ndarray
    normals: np.ndarray


def fields_at(
    environment: Environment,
    parameters: Parameters,
    generators: Sequence[np.random.Generator],
    places_m: np.ndarray,
) -> FieldValues:
    """Fields of every drop at its places, [batch, num_places, 2] metres; a fixed number of random numbers per drop."""
    distances = np.concatenate([[sight_distance_m(environment)], parameters.distance_m.reshape(-1)])
    values = np.stack([correlated_fields(g, distances, places) for g, places in zip(generators, places_m, strict=True)])
    shape = (len(values), 3, len(ORDER), places_m.shape[1])
    return FieldValues(values[:, 0], values[:, 1:].reshape(shape).swapaxes(2, 3))


def soft_line_of_sight(probability: np.ndarray, field: np.ndarray, wavelength_m: float) -> np.ndarray:
    """0 without and 1 with a line of sight, in between at the border (TR 38.901 eq. (7.6-18)).

    It is above 1/2 where a number of the field is among the `probability` largest.
    """
    threshold = np.sqrt(2) * erfinv(2 * probability - 1)
    return 0.5 + np.arctan(np.sqrt(20 / wavelength_m) * (field + threshold)) / np.pi


def alike_numbers(
    generators: Sequence[np.random.Generator], places_m: np.ndarray, distances_m: np.ndarray, count: int
) -> np.ndarray:
    """Normal numbers at places along a way with correlation exp(-d / D), [batch, num_kinds, num_places, count].

    places_m [batch, num_places, 2]; distances_m [batch, num_kinds]. The numbers of a place depend on the
    places before it alone, so that a longer way begins as a shorter one does.
    """
    apart = np.linalg.norm(places_m[:, :, None] - places_m[:, None], axis=-1)
    correlation = np.exp(-apart[:, None] / distances_m[..., None, None])
    # a way may come back to a place: the least bit of independence keeps the matrix positive
    root = np.linalg.cholesky(correlation + 1e-9 * np.eye(places_m.shape[1]))
    independent = np.stack([g.standard_normal((places_m.shape[1], distances_m.shape[1], count)) for g in generators])
    return root @ independent.swapaxes(1, 2)


def uniform_of(normal: np.ndarray) -> np.ndarray:
    """Uniform numbers from 0 to below 1 of normal ones."""
    return np.minimum(ndtr(normal), np.nextafter(1.0, 0.0))
