"""Rays of a scene by Sionna RT, which is imported when the first scene is traced."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from channels.errors import bad_value, unknown_name
from channels.raytraced.ray_checks import check_rays
from channels.raytraced.ray_set import Interaction, RaySet
from channels.raytraced.runtime import VARIABLE, llvm_library, missing, tracer_version
from channels.raytraced.scene_materials import check_materials
from channels.raytraced.trace_options import TraceOptions
from channels.waves import SPEED_OF_LIGHT_MPS

#: Positions traced together; memory grows with them, and every call costs about a second of compilation once.
_STEP = 64
#: What bends a wavefront anew.
_SOURCES = Interaction.SCATTERING | Interaction.DIFFRACTION


def scene_file(scene: str) -> Path | None:
    """The Mitsuba file of a scene; None for a name that cannot be looked up without the ray tracer.

    `ValueError` in one line for a file or a name that is not there.
    """
    if scene.endswith(".xml"):
        path = Path(scene)
        if not path.is_file():
            raise bad_value("trace.scene", scene, "a Mitsuba file that exists, or a scene's name")
        return path
    folder = _built_in_folder()
    if folder is None:
        return None
    names = sorted(path.parent.name for path in folder.glob("*/*.xml"))
    if scene not in names:
        raise unknown_name("trace.scene", scene, [*names, "FILE.xml"])
    return folder / scene / f"{scene}.xml"


def scene_sha256(path: Path) -> str:
    """SHA-256 over a Mitsuba file and all files that it names. `ValueError` for one that is no scene."""
    digest = hashlib.sha256(path.read_bytes())
    for name in sorted(_named_files(path)):
        part = path.parent / name
        if not part.is_file():
            raise bad_value(f"{path}", name, "a file beside the scene; there is none")
        digest.update(name.encode() + hashlib.sha256(part.read_bytes()).digest())
    return digest.hexdigest()


def trace(options: TraceOptions, say: Callable[[str], None] = lambda text: None) -> RaySet:
    """Rays of all positions. `ValueError` in one line for a scene that does not load, or a tracer that is not there.

    say: told about progress.
    """
    path = scene_file(options.scene)
    lacking = missing()
    if path is None or (lacking and not _has_gpu()):
        raise ValueError(f"trace: got {options.scene!r}, not traced before; allowed: after this: {'; '.join(lacking)}")
    library = llvm_library()
    if library is not None:
        os.environ.setdefault(VARIABLE, str(library))
    from sionna import rt

    scene_hash = scene_sha256(path)
    check_materials(path, _itu_materials())
    try:
        scene = rt.load_scene(str(path), merge_shapes=True)
        scene.frequency = options.carrier_frequency_hz
        for material in scene.radio_materials.values():
            if options.scattering:
                material.scattering_coefficient = options.scattering
    except Exception as error:  # Mitsuba and Sionna raise what they like for a scene that they cannot use
        raise bad_value("trace.scene", options.scene, f"a scene that loads: {reason(error)}") from None
    # isotropic, vertical and horizontal: both field components, so all four couplings of a ray
    probe = rt.PlanarArray(
        num_rows=1, num_cols=1, vertical_spacing=0.5, horizontal_spacing=0.5, pattern="iso", polarization="VH"
    )
    scene.tx_array = scene.rx_array = probe
    scene.add(rt.Transmitter("base", position=list(options.base_position_m)))
    solver = rt.PathSolver(deterministic=True)
    places = options.positions_m
    parts: list[dict[str, np.ndarray]] = []
    lost = 0.0
    for start in range(0, len(places), _STEP):
        say(f"{start} of {len(places)} positions")
        chosen = places[start : start + _STEP]
        for number, place in enumerate(chosen):
            scene.add(rt.Receiver(f"user{number}", position=place.tolist()))
        paths = solver(
            scene,
            max_depth=options.max_depth,
            samples_per_src=options.samples,
            synthetic_array=True,
            refraction=options.refraction,
            diffraction=options.diffraction,
            diffuse_reflection=options.scattering > 0,
            seed=options.seed,
        )
        for number in range(len(chosen)):
            scene.remove(f"user{number}")
        found = _arrays(paths, len(chosen), options)
        for user in range(len(chosen)):
            part, share = _of_user(found, user, options, chosen[user])
            parts.append(part)
            lost = max(lost, share)
    counts = [len(part["delays_s"]) for part in parts]
    rays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    traced = RaySet(
        carrier_frequency_hz=options.carrier_frequency_hz,
        base_position_m=np.array(options.base_position_m, np.float64),
        positions_m=places.astype(np.float32),
        headings_rad=options.headings_rad.astype(np.float32),
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        details={
            "scene": path.stem,
            "scene_sha256": scene_hash,
            "tracer": f"sionna-rt {tracer_version()}",
            "options": options.plain(),
            "positions_without_rays": int(np.count_nonzero(np.array(counts) == 0)),
            "largest_share_of_power_left_out": float(lost),
        },
        **rays,
    )
    check_rays(f"sionna-rt {tracer_version()}", traced)
    return traced


def _arrays(paths: Any, num_users: int, options: TraceOptions) -> dict[str, np.ndarray]:
    """Sionna's arrays of one base station, users first."""
    real, imaginary = (np.asarray(part.numpy()) for part in paths.a)
    shape = (num_users, real.shape[-1])
    # [users, user polarisation, 1, base polarisation, paths] -> [users, paths, base, user]
    coefficients = (real + 1j * imaginary)[:, :, 0].transpose(0, 3, 2, 1).astype(np.complex128)
    delays = paths.tau.numpy().reshape(shape).astype(np.float64)
    carrier = np.exp(-2j * np.pi * ((options.carrier_frequency_hz * delays) % 1))
    found = {
        "valid": np.asarray(paths.valid.numpy()).reshape(shape),
        "delays_s": delays,
        "transfer": coefficients * carrier[..., None, None],
    }
    # Sionna's transmitter is the base station
    for name, theirs in (("base", "t"), ("user", "r")):
        found[f"{name}_zenith_rad"] = getattr(paths, f"theta_{theirs}").numpy().reshape(shape)
        found[f"{name}_azimuth_rad"] = getattr(paths, f"phi_{theirs}").numpy().reshape(shape)
    depth = options.max_depth
    interactions = np.zeros((*shape, depth), np.uint8)
    vertices = np.full((*shape, depth, 3), np.nan)
    if depth and shape[1]:
        found_depth = paths.interactions.shape[0]
        interactions[..., :found_depth] = np.moveaxis(paths.interactions.numpy()[:, :, 0], 0, -1)
        vertices[..., :found_depth, :] = np.moveaxis(paths.vertices.numpy()[:, :, 0], 0, 2)
        vertices[interactions == 0] = np.nan
    return found | {"interactions": interactions, "vertices_m": vertices}


def _of_user(
    found: dict[str, np.ndarray], user: int, options: TraceOptions, place: np.ndarray
) -> tuple[dict[str, np.ndarray], float]:
    """The strong rays of a user by delay, and the share of the power that was left out."""
    power = np.where(found["valid"][user], np.square(np.abs(found["transfer"][user])).sum((1, 2)), 0.0)
    order = np.argsort(-power, kind="stable")[: options.max_rays]
    kept = order[power[order] > power.max(initial=0.0) * 10 ** (-options.relative_db / 10)]
    if power.sum() / 2 < 10 ** (-options.max_path_loss_db / 10):  # of both polarisations
        kept = kept[:0]
    kept = kept[np.argsort(found["delays_s"][user, kept], kind="stable")]
    lost = 1 - power[kept].sum() / power.sum() if len(kept) else 0.0
    part = {name: found[name][user, kept] for name in found if name != "valid"}
    length = part["delays_s"] * SPEED_OF_LIGHT_MPS
    ends = (np.array(options.base_position_m), place)
    radii = [_radius(part["interactions"], part["vertices_m"], length, end, flip) for flip, end in enumerate(ends)]
    part |= {"base_radius_m": radii[0], "user_radius_m": radii[1]}
    dtypes = {"transfer": np.complex64, "interactions": np.uint8}
    return {name: value.astype(dtypes.get(name, np.float32)) for name, value in part.items()}, float(lost)


def _radius(
    interactions: np.ndarray, vertices: np.ndarray, length: np.ndarray, end: np.ndarray, flip: int
) -> np.ndarray:
    """Way from an end of the rays to the centre of their wavefronts, [num_rays]; flip: the user's end."""
    radius = length.copy()
    for ray, met in enumerate(interactions):
        at = np.flatnonzero(met)
        at = at[::-1] if flip else at
        way, before = 0.0, end
        for place in at:
            way += float(np.linalg.norm(vertices[ray, place] - before))
            before = vertices[ray, place]
            if met[place] & _SOURCES:
                radius[ray] = way
                break
    return radius


def reason(error: Exception) -> str:
    """What an error of Mitsuba or Sionna says, in one line: of the traceback that it may hold the last line."""
    text = str(error)
    if "Traceback (most recent call last)" in text:
        text = next(line for line in reversed(text.splitlines()) if line.strip()).strip()
        # the class of the exception is of no use to who reads it
        text = re.sub(r"^[\w.]*(?:Error|Exception): ", "", text)
    return " ".join(text.split()) or type(error).__name__


def _itu_materials() -> tuple[str, ...]:
    """Materials of ITU-R P.2040 that the tracer knows; empty where it has them no longer under this name."""
    try:
        from sionna.rt.radio_materials.itu import ITU_MATERIALS_PROPERTIES
    except ImportError:
        return ()
    return tuple(ITU_MATERIALS_PROPERTIES)


def _built_in_folder() -> Path | None:
    if tracer_version() is None:
        return None
    # located without importing, which costs a second and needs LLVM
    package = util.find_spec("sionna")
    places = [Path(place) / "rt" / "scenes" for place in (package.submodule_search_locations or [])] if package else []
    return next((place for place in places if place.is_dir()), None)


def _named_files(path: Path) -> set[str]:
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, UnicodeDecodeError) as error:
        raise bad_value("trace.scene", str(path), f"a Mitsuba file: {error}") from None
    if root.tag != "scene":
        raise bad_value("trace.scene", str(path), "a Mitsuba file, whose root is <scene>")
    return {str(entry.get("value")) for entry in root.iter("string") if entry.get("name") == "filename"}


def _has_gpu() -> bool:
    import torch

    return tracer_version() is not None and torch.cuda.is_available()
