"""Folders of DeepMIMO, version 4, as sets of rays.

A folder has `params.json`, and per pair of a transmitter and a set of receivers one file per quantity, such as
`power_t000_tx000_r001.npz` or `.mat`: numbers of the transmitter set, the transmitter in it and the receiver set.
Arrays are [num_users, num_paths], NaN where a user has fewer paths: power in dB over what is sent, phase in degrees at
the carrier, delay in seconds, azimuth (_az) and zenith (_el, from the z axis) of arrival and departure in degrees;
rx_pos [num_users, 3] and tx_pos in metres.

As DeepMIMO's own generator takes them: the gain of a path is the square root of its power, turned by its phase. (Its
converter from Sionna RT leaves out how the carrier turns along the way, so phases of such folders are not those of the
place; `around_m` of the channel makes them random.) The format has one polarisation, which is taken to be the vertical
one at both ends, so horizontal elements meet nothing. Its interaction codes are digits in a row, from the transmitter
on: 1 reflection, 2 diffraction, 3 scattering, 4 transmission. The transmitter is taken to be the base station.

Values are refused, file by file, that are out of their range, and elevations over the horizon in place of zeniths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from channels.raytraced.deepmimo_folder import bad_folder, carrier_hz, file_of, read_array, read_parameters
from channels.raytraced.ray_checks import check_rays
from channels.raytraced.ray_set import Interaction, RaySet
from channels.value_checks import check_delays, check_values
from channels.waves import SPEED_OF_LIGHT_MPS

_ANGLES = {
    "base_azimuth_rad": "aod_az",
    "base_zenith_rad": "aod_el",
    "user_azimuth_rad": "aoa_az",
    "user_zenith_rad": "aoa_el",
}
#: What the digits mean, by digit.
_CODES = (
    Interaction.NONE,
    Interaction.REFLECTION,
    Interaction.DIFFRACTION,
    Interaction.SCATTERING,
    Interaction.REFRACTION,
)
_ZENITHS = "zeniths in degrees from the z axis, 0 to 180 (the zenith of an elevation over the horizon is 90 minus it)"
#: A line of sight's two angles are held against one another to so many degrees.
_LINE_OF_SIGHT_DEG = 1.0


def read_deepmimo(folder: Path, transmitter_set: int, transmitter: int, receiver_set: int) -> RaySet:
    """The rays from one transmitter to all users of a set of receivers.

    Users without a path are positions in outage. `ValueError` in one line for what is missing, damaged, out of range or
    does not belong together, for folders of version 3, and for dynamic scenarios as a whole.
    """
    parameters = read_parameters(folder)
    pair = f"t{transmitter_set:03}_tx{transmitter:03}_r{receiver_set:03}"
    names = ("power", "phase", "delay", *_ANGLES.values())
    files = {name: file_of(folder, name, pair) for name in (*names, "rx_pos", "tx_pos")}
    arrays = {name: read_array(files[name], name, 2) for name in names}
    positions = read_array(files["rx_pos"], "rx_pos", 2)
    base = read_array(files["tx_pos"], "tx_pos", None).reshape(-1)
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1 or positions.shape != (len(arrays["power"]), 3) or base.shape != (3,):
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise bad_folder(folder, f"{found}, rx_pos {positions.shape}, tx_pos {base.shape}")
    for name, place in (("rx_pos", positions), ("tx_pos", base)):
        check_values(str(files[name]), name, place)
    there = ~np.isnan(arrays["power"])
    _check_ranges(files, arrays, there)
    # by delay within a user, and what is not there last
    order = np.argsort(np.where(there, arrays["delay"], np.inf), axis=1, kind="stable")
    kept = np.take_along_axis(there, order, axis=1)

    def column(array: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.take_along_axis(array, order, axis=1)[kept], np.float64)

    values = {name: column(array) for name, array in arrays.items()}
    gain = 10 ** (values["power"] / 20) * np.exp(1j * np.deg2rad(values["phase"]))
    transfer = np.zeros((len(gain), 2, 2), np.complex64)
    transfer[:, 0, 0] = gain
    interactions, vertices = _vertices(folder, pair, order, kept)
    _check_convention(files, values, interactions)
    length = (values["delay"] * SPEED_OF_LIGHT_MPS).astype(np.float32)
    rays = RaySet(
        carrier_frequency_hz=carrier_hz(folder, parameters),
        base_position_m=base.astype(np.float64),
        positions_m=positions.astype(np.float32),
        headings_rad=np.full(len(positions), np.nan, np.float32),
        first=np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int32),
        delays_s=values["delay"].astype(np.float32),
        transfer=transfer,
        base_radius_m=length,
        user_radius_m=length,
        interactions=interactions,
        vertices_m=vertices,
        details={
            "scene": folder.name,
            "tracer": "DeepMIMO",
            "pair": pair,
            "positions_without_rays": int((~kept.any(axis=1)).sum()),
            "polarisation": "vertical alone",
        },
        **{name: np.deg2rad(values[theirs]).astype(np.float32) for name, theirs in _ANGLES.items()},
    )
    check_rays(str(folder), rays)
    return rays


def _check_ranges(files: dict[str, Path], arrays: dict[str, NDArray[Any]], there: NDArray[np.bool_]) -> None:
    """`ValueError` of one line that names file, place and value unless all paths have values within their ranges."""

    def of_paths(name: str) -> NDArray[Any]:
        # places keep their numbers; where no path is, a value that is allowed
        return np.where(there, arrays[name], 0.0)

    def source(name: str) -> str:
        return str(files[name])

    check_values(source("power"), "power", of_paths("power"), -300, 0, "dB over what is sent, -300 to 0")
    check_values(source("phase"), "phase", of_paths("phase"), allowed="finite degrees")
    check_delays(source("delay"), "delay", of_paths("delay"))
    for name in ("aod_el", "aoa_el"):
        check_values(source(name), name, of_paths(name), 0, 180, _ZENITHS)
    for name in ("aod_az", "aoa_az"):
        check_values(source(name), name, of_paths(name), -360, 360, "azimuths in degrees, -360 to 360")


def _check_convention(
    files: dict[str, Path], values: dict[str, NDArray[np.float64]], interactions: NDArray[np.uint8]
) -> None:
    """`ValueError` of one line where the lines of sight say that one file has elevations and the other zeniths.

    The zeniths of a line of sight at both its ends add up to 180 degrees. Elevations of one sign are within the range
    of zeniths: only that sum tells them.
    """
    straight = ~interactions.any(axis=1)
    if not straight.any():
        return
    departure, arrival = values["aod_el"][straight], values["aoa_el"][straight]

    def add_up(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
        return bool((np.abs(first + second - 180) < _LINE_OF_SIGHT_DEG).all())

    if add_up(departure, arrival):
        return
    guilty = [
        name
        for name, ends in (
            ("aod_el", (90 - departure, arrival)),
            ("aoa_el", (departure, 90 - arrival)),
            ("aod_el", (90 - departure, 90 - arrival)),
        )
        if add_up(*ends)
    ]
    if guilty:
        given = float(values[guilty[0]][straight][0])
        raise ValueError(
            f"{files[guilty[0]]}: {guilty[0]}: got {given:g} for a line of sight, an elevation over the horizon by the "
            f"angle at its other end; allowed: {_ZENITHS}"
        )


def _vertices(
    folder: Path, pair: str, order: NDArray[Any], kept: NDArray[Any]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Interactions and places of the kept paths, from the base station on."""
    file = file_of(folder, "inter", pair)
    given = read_array(file, "inter", 2)
    file_of_places = file_of(folder, "inter_pos", pair)
    places = read_array(file_of_places, "inter_pos", 4)
    if given.shape != order.shape or places.shape[:2] != order.shape or places.shape[3] != 3:
        raise bad_folder(folder, f"inter {given.shape}, inter_pos {places.shape} beside paths {order.shape}")
    codes = np.take_along_axis(given, order, axis=1)[kept]
    check_values(str(file), "inter", codes, 0, allowed="codes from 0 of paths that have a power")
    places = np.take_along_axis(places, order[:, :, None, None], axis=1)[kept].astype(np.float32)
    interactions = np.zeros(places.shape[:2], np.uint8)
    for ray, code in enumerate(codes):
        digits = [int(digit) for digit in str(int(code))] if code > 0 else []
        if len(digits) > places.shape[1] or any(digit >= len(_CODES) for digit in digits):
            raise bad_folder(folder, f"the interaction code {code:g} with {places.shape[1]} places")
        interactions[ray, : len(digits)] = [_CODES[digit] for digit in digits]
    check_values(str(file_of_places), "inter_pos of interactions", places[interactions > 0])
    places[interactions == 0] = np.nan
    return interactions, places
