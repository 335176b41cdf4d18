"""What the numeric options of channels, impairments, receivers and networks may be, by the name of the option.

A name has one meaning and one unit wherever it appears, so it has one range. The ranges say what a radio or a computer
can be, with room above it; what a class allows within them is its own matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sys import float_info
from typing import Any

from ran.errors import InputError


@dataclass(frozen=True)
class Limit:
    """Least and greatest value of an option, and why no more makes sense."""

    low: float
    high: float
    reason: str

    @property
    def allowed(self) -> str:
        return f"{self.low:g} to {self.high:g} ({self.reason})"


def _limits(low: float, high: float, reason: str, *names: str) -> dict[str, Limit]:
    return dict.fromkeys(names, Limit(low, high, reason))


LIMITS: dict[str, Limit] = {
    # Interference
    **_limits(0, 1, "shares of the waveform", "start", "stop"),
    # Propagation
    **_limits(0, 1e5, "30 km of detour last 100 µs", "delay_spread_ns", "prior_delay_spread_ns"),
    **_limits(0, 1e6, "a satellite's at 30 GHz is below 1 MHz", "max_doppler_hz", "prior_max_doppler_hz", "max_cfo_hz"),
    **_limits(0, 1e4, "a low orbit has 7.8 km/s", "speed_mps", "max_speed_mps"),
    **_limits(0, 1e3, "km/h of the fastest aeroplane", "speed_kmh"),
    **_limits(1e7, 1e12, "radio waves", "carrier_frequency_hz", "carrier_hz"),
    **_limits(-200, 200, "in dB", "k_factor_db", "gain_db", "gains_db", "level_db", "xpr_db", "attenuation_db"),
    **_limits(
        0,
        1e5,
        "links on Earth are shorter",
        "inter_site_distance_m",
        "distance_m",
        "around_m",
        "hall_size_m",
        "clutter_size_m",
        "clutter_height_m",
        "building_height_m",
        "street_width_m",
    ),
    **_limits(0, 1e6, "seconds of a ride", "start_s"),
    **_limits(1, 16, "cores that share a slot", "num_threads"),
    **_limits(1e-6, 1e6, "LLRs fit into eight bits by less", "llr_scale"),
    **_limits(0, 1, "a share", "indoor_ratio", "clutter_density", "mean_power", "density", "mobile_ratio"),
    **_limits(0, 1, "a share", "least_information"),
    **_limits(
        -720,
        720,
        "two turns",
        "travel_azimuth_deg",
        "travel_zenith_deg",
        "phase_deg",
        "am_pm_deg",
        "bearing_deg",
        "downtilt_deg",
        "slant_deg",
        "angle_spreads_deg",
        "mean_angles_deg",
        "azimuth_deg",
        "zenith_deg",
        "orientation_deg",
        "subarray_zenith_deg",
        "slants_deg",
    ),
    # Radios
    **_limits(-100, 100, "in dB from saturation", "input_back_off_db", "clip_db"),
    **_limits(0, 100, "steeper is a limiter", "smoothness", "am_pm_exponent", "am_pm_knee"),
    **_limits(
        -1e6,
        1e6,
        "of a unit amplitude",
        "amplitude_gain",
        "amplitude_compression",
        "phase_gain_rad",
        "phase_compression",
        "coefficients",
    ),
    **_limits(0, 1e30, "power of the input", "reference_power", "noise_power"),
    **_limits(-500, 100, "dBc/Hz of an oscillator", "psd0_dbc_hz"),
    **_limits(-1e12, 1e12, "radio waves", "poles", "zeros"),
    **_limits(
        -1e10,
        1e10,
        "no sampled band is wider than 10 GHz",
        "frequency_hz",
        "centre_hz",
        "offset_hz",
        "max_frequency_hz",
        "bandwidth_hz",
        "linewidth_hz",
        "min_frequency_hz",
        "subcarrier_spacing_hz",
    ),
    **_limits(0, 1, "a slot lasts 1 ms at most", "duration_s"),
    **_limits(0, 1e12, "phase is random within a sample beyond", "variance_rad2_per_s"),
    **_limits(-1e4, 1e4, "1 % is no longer an offset", "offset_ppm"),
    **_limits(1, 24, "converters have fewer", "bits"),
    **_limits(1, 1000, "each one is simulated", "num_sources"),
    **_limits(1, 10_000, "an OFDM symbol of NR has at most 3300", "num_subcarriers"),
    # Arrays
    **_limits(
        1,
        1024,
        "elements on a side of a panel",
        *("rows", "columns", "panel_rows", "panel_columns", "panels", "subarray_rows"),
    ),
    **_limits(1, 65_536, "elements of the largest array", "num_elements"),
    **_limits(-1e5, 1e5, "links on Earth are shorter", "positions_m"),
    **_limits(0, 1000, "in wavelengths", "spacing", "panel_spacing"),
    # Receivers
    **_limits(1, 1024, "the time grows with it", "num_paths"),
    **_limits(
        0,
        64,
        "each one is another pass over the slot",
        "num_turbo",
        "num_iterations",
        "num_reestimations",
        "num_passes",
        "reestimate",
    ),
    **_limits(1, 275, "PRBs of the widest carrier", "irc_num_prb"),
    **_limits(1, 9, "orders of a power amplifier that are modelled", "amplifier_order"),
    # Networks
    **_limits(1, 8192, "the memory grows with its square", "num_channels", "num_states", "width", "num_hidden"),
    **_limits(1, 3300, "no slot is wider", "dilations"),
    **_limits(2, 12, "a PRB is whole nodes", "node_subcarriers"),
    **_limits(1, 64, "each layer is computed", "num_layers"),
    **_limits(0, 10, "bits of 1024QAM", "constellation_bits"),
    **_limits(1, 65_536, "beams of the largest codebook", "num_set_a", "num_rx_beams", "num_tx_beams"),
    # Beam predictors
    **_limits(1, 4096, "beams of the largest Set B", "num_wide", "num_kept"),
    **_limits(1, 100_000, "drops of a site", "num_neighbours"),
    **_limits(1, 65_536, "directions of the finest grid", "num_directions"),
    **_limits(0, 1000, "in direction cosines, which reach from -1 to 1", "reach"),
    **_limits(1, 64, "finer grids tell no more directions apart", "oversampling"),
    **_limits(0, 4, "filters beyond are not stable", "alpha", "beta"),
    **_limits(0, 100, "in dB", "noise_db", "spread_db", "drift_db_per_s15"),
    **_limits(0, 1e5, "users have moved on after 100 s", "memory_ms"),
}


def shown_number(value: float) -> str:
    """A number as messages give it; of a whole number of very many digits their count."""
    if isinstance(value, int) and abs(value) > float_info.max:
        return "a whole number beyond 1e308"
    return str(value)


#: Of numbers whose name is not among the above: more than any quantity, less than what arithmetic overflows by.
_ANY = Limit(-1e19, 1e19, "no option needs more")


def check_limits(options: Mapping[str, Any], path: str) -> None:
    """`InputError` for a number among options, or in blocks and lists among them, that is beyond its limit.

    Numbers without a limit of their own have that of all. path: of the options, for the message.
    """
    for name, value in options.items():
        _check(name, value, f"{path}.{name}")


def _check(name: str, value: Any, path: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            # of a block of numbers, such as {azimuth: 10}, the block's name says what they are
            _check(key if key in LIMITS else name, item, f"{path}.{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, item in enumerate(value):
            _check(name, item, f"{path}.{number}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        limit = LIMITS.get(name, _ANY)
        if not limit.low <= value <= limit.high:
            raise InputError(f"{path}: got {shown_number(value)}; allowed: {limit.allowed}")
