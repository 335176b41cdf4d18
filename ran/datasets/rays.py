"""Rays of a scene, traced into a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import channels.raytraced
from channels.datasets.aodt import aodt_folder, read_aodt
from channels.datasets.impulse_responses import ImpulseResponses, write_impulse_responses
from channels.raytraced import RaySet, cached_rays, read_deepmimo, trace_options, write_rays
from ran.config.overrides import apply_overrides
from ran.config.yaml_file import read_mapping
from ran.errors import InputError, unknown_name

_SHIPPED = Path(channels.raytraced.__file__).parent


def trace_to_file(
    name_or_path: str,
    out: Path,
    overrides: Iterable[str] = (),
    say: Callable[[str], None] = lambda text: None,
    pair: tuple[int, int, int] = (0, 0, 1),
) -> RaySet:
    """Trace what a YAML file asks for, or what a set of rays that ships was made of, and write it; or write the rays
    of a DeepMIMO folder.

    pair: of that folder, the transmitter set, the transmitter in it, and the set of receivers. A scene's file that is
    relative is taken relative to the YAML file. InputError in one line for all that is wrong with the options, the
    scene, the tracer, the folder or the file to write, and where no ray reaches any position.
    """
    path = Path(name_or_path)
    if path.is_dir():
        return _written(lambda: read_deepmimo(path, *pair), out)
    if path.suffix not in (".yaml", ".yml"):
        shipped = {entry.stem: entry for entry in _SHIPPED.glob("*.yaml")}
        if name_or_path not in shipped:
            raise unknown_name("TRACE", name_or_path, [*shipped, "FILE.yaml"])
        path = shipped[name_or_path]
    values = apply_overrides(read_mapping(path), overrides)
    scene = values.get("scene")
    if isinstance(scene, str) and scene.endswith(".xml"):
        values["scene"] = str(path.resolve().parent / scene)
    return _written(lambda: cached_rays(trace_options(values), say), out)


def is_aodt(name_or_path: str) -> bool:
    """Whether this is a folder of AODT's tables, or its table of impulse responses."""
    return aodt_folder(Path(name_or_path)) is not None


def responses_to_file(folder: str, out: Path) -> ImpulseResponses:
    """Write the impulse responses of a folder of AODT's tables. InputError in one line for all that is wrong."""
    try:
        if out.suffix != ".npz":
            raise ValueError(f"--out: got {str(out)!r}; allowed: a name that ends in .npz")
        responses = read_aodt(aodt_folder(Path(folder)) or Path(folder))
        write_impulse_responses(out, responses)
    except ValueError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(f"--out: got {str(out)!r}: {error.strerror}; allowed: a file that can be written") from None
    return responses


def _written(make: Callable[[], RaySet], out: Path) -> RaySet:
    try:
        # found out before minutes are spent on tracing
        if out.suffix != ".npz":
            raise ValueError(f"--out: got {str(out)!r}; allowed: a name that ends in .npz")
        rays = make()
        if not len(rays.served):
            raise ValueError(
                f"rays: got {rays.num_positions} positions, none of which a ray reaches; allowed: at least one: look "
                "at base_position_m, users and max_path_loss_db, or at --pair of a DeepMIMO folder"
            )
        write_rays(out, rays)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(f"--out: got {str(out)!r}: {error.strerror}; allowed: a file that can be written") from None
    return rays
