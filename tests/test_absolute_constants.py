"""No absolute level in the numerical code: every small constant, or smallest number of a format, has a reason."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("receivers", "channels", "ran/phy", "ran/link")
SYMBOL = "of unit-power symbols or of their SINR, which have no level"
RATIO = "a share of another quantity, or a floor on a ratio"
FEATURE = "a trained feature: a logarithm of a ratio, which the weights know"
UNIT = "a unit or a stated physical quantity"
GEOMETRY = "a length, an angle or a direction in stated units"
NOTHING = "divides only what is exactly zero"
WEIGHTS = "beam powers relative to the strongest, which weights were trained with"

#: File -> how many such constants it holds, and why none of them is a level of the received grid.
ALLOWED: dict[str, tuple[int, str]] = {
    "channels/arrays/codebook.py": (1, "a number of beams"),
    "channels/arrays/learned_codebook.py": (2, RATIO),
    "channels/arrays/rotation.py": (1, GEOMETRY),
    "channels/cdl.py": (2, UNIT),
    "channels/fading.py": (2, RATIO),
    "channels/from_sionna.py": (1, UNIT),
    "channels/impairments/frequency_offset.py": (1, UNIT),
    "channels/impairments/interface.py": (1, NOTHING),
    "channels/impairments/metrics.py": (1, NOTHING),
    "channels/impairments/power_amplifier.py": (1, "the drive relative to saturation"),
    "channels/impairments/sampling_offset.py": (1, UNIT),
    "channels/profiles.py": (1, UNIT),
    "channels/raytraced/ray_checks.py": (1, "the least power gain of a ray that can be read, a stated range"),
    "channels/raytraced/user_places.py": (2, GEOMETRY),
    "channels/scenarios/beam_response.py": (1, RATIO),
    "channels/scenarios/blockage.py": (2, GEOMETRY),
    "channels/scenarios/clusters.py": (1, RATIO),
    "channels/scenarios/consistency.py": (1, "a ridge on a correlation matrix"),
    "channels/scenarios/evolution.py": (1, NOTHING),
    "channels/scenarios/network.py": (2, NOTHING + "; a gain of -300 dB, which no path has"),
    "channels/scenarios/parameters.py": (1, UNIT),
    "channels/scenarios/response.py": (1, NOTHING),
    "channels/spatial_correlation.py": (1, RATIO),
    "channels/tdl.py": (1, UNIT),
    "ran/link/kernels.py": (1, "a scale from integers to the interval 0 to 1"),
    "ran/link/link_budget.py": (1, "the Boltzmann constant"),
    "ran/link/philox.py": (1, "a scale from integers to the interval 0 to 1"),
    "ran/link/pucch.py": (1, RATIO),
    "ran/phy/prach/waveform.py": (4, UNIT),
    "ran/phy/pusch.py": (1, RATIO),
    "ran/phy/srs/estimator.py": (3, "shares of a port's power, of the received power, and of a determinant's terms"),
    "receivers/arbitration/evidence.py": (2, RATIO + "; " + NOTHING),
    "receivers/beams/geometric.py": (4, WEIGHTS),
    "receivers/beams/interpolation.py": (2, RATIO),
    "receivers/beams/matching_pursuit.py": (3, WEIGHTS),
    "receivers/beams/spectrum.py": (4, WEIGHTS),
    "receivers/c_library/receiver.py": (1, "the range of a scale of LLRs"),
    "receivers/classical/amplifier.py": (2, SYMBOL),
    "receivers/classical/blind_estimate.py": (1, RATIO),
    "receivers/classical/data_aided.py": (2, SYMBOL),
    "receivers/classical/delay_statistics.py": (
        3,
        "shares, and the noise of a slot of zeros, which `level` brings near unit level beforehand",
    ),
    "receivers/classical/expectation_propagation.py": (2, SYMBOL),
    "receivers/classical/interference.py": (2, "a share of the trace, and " + NOTHING),
    "receivers/classical/lmmse.py": (2, "a share of the largest eigenvalue, and nanoseconds"),
    "receivers/classical/noise_parts.py": (1, RATIO),
    "receivers/classical/phase_tracking.py": (1, RATIO),
    "receivers/classical/symbol_phase.py": (2, "curvatures of log likelihoods, and square radians"),
    "receivers/classical/timing.py": (1, NOTHING),
    "receivers/classical/two_layer_list.py": (1, "a gain in unit noise"),
    "receivers/classical/unrolled.py": (2, RATIO),
    "receivers/control/channel_prior.py": (2, UNIT),
    "receivers/csi/channel_prediction.py": (6, RATIO),
    "receivers/csi/delay_angle.py": (1, "the smallest number, in the place of 0, so that nothing is 0 over 0"),
    "receivers/csi/delay_angle_coder.py": (1, RATIO),
    "receivers/csi/two_sided.py": (1, "a latent between 0 and 1, which a logit would take to infinity"),
    "receivers/csi/transform_entropy.py": (3, RATIO + ", of coefficients of unit-norm precoders"),
    "receivers/csi/transform_lattice.py": (2, RATIO + ", of coefficients of unit-norm precoders"),
    "receivers/control/pilot_receiver.py": (1, RATIO),
    "receivers/control/preamble_detector.py": (1, "a distance in samples"),
    "receivers/monitoring/inputs.py": (2, NOTHING + ", after the level is taken out"),
    "receivers/neural/hybrid.py": (5, FEATURE + "; nanoseconds of the prior in s"),
    "receivers/neural/matched.py": (1, FEATURE),
    "receivers/neural/refined_blind.py": (2, FEATURE),
    "receivers/neural/soft_pilots.py": (4, FEATURE),
    "receivers/onnx/generic.py": (1, UNIT),
    "receivers/onnx/least_squares.py": (3, "shares, and the noise of an input of zeros"),
    "receivers/onnx/neural_rx.py": (1, NOTHING),
    "receivers/onnx/probe.py": (1, UNIT),
    "receivers/transform_precoding.py": (1, SYMBOL),
}


def is_small(node: ast.AST) -> bool:
    """A literal up to 1e-6, or the smallest number or the precision of a number format."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float) and 0 < abs(node.value) <= 1e-6
    if isinstance(node, ast.Attribute):
        return node.attr in ("tiny", "eps", "smallest_normal")
    match node:
        case ast.BinOp(ast.Constant(float(base) | int(base)), ast.Pow(), ast.UnaryOp(ast.USub(), ast.Constant(power))):
            return base > 1 and float(base) ** -power <= 1e-6
    return False


def found() -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            lines = [node.lineno for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if is_small(node)]
            if lines:
                places[file.relative_to(ROOT).as_posix()] = sorted(lines)
    return places


@pytest.mark.parametrize("source", ["x.clamp_min(1e-12)", "x + 1e-30", "np.finfo(np.float32).tiny", "x * 2.0**-40"])
def test_small_constants_are_found(source):
    assert any(is_small(node) for node in ast.walk(ast.parse(source)))


@pytest.mark.parametrize("source", ["x * 1e-3", "x * 0.5", "2.0**-4", "x ** -0.5", "x.eps_r"])
def test_others_are_not(source):
    assert not any(is_small(node) for node in ast.walk(ast.parse(source)))


def test_every_small_constant_has_a_reason():
    places = found()
    for file, lines in places.items():
        allowed = ALLOWED.get(file, (0, ""))[0]
        assert len(lines) == allowed, (
            f"{file}: got {len(lines)} small constants (lines {', '.join(map(str, lines))}); allowed: {allowed}. "
            "Make the floor relative to a power at hand, or say in ALLOWED why it is no level"
        )
    stale = sorted(set(ALLOWED) - set(places))
    assert not stale, f"no small constants any more in {', '.join(stale)}: take them out of ALLOWED"
