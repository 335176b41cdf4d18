"""The radio materials that a scene's file asks for."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from xml.etree import ElementTree

from channels.errors import unknown_name

_ITU = "itu-radio-material"


def check_materials(path: Path, known: Collection[str]) -> None:
    """`ValueError` of one line unless `known` has every ITU material that a Mitsuba file asks for.

    A material is of the type "itu-radio-material" with the name as its string `type`, or has an id that begins with
    `itu_` or `mat-itu_` and goes on with the name. known: empty where it is not known what there is.
    """
    if not known:
        return
    for bsdf in ElementTree.parse(path).getroot().iter("bsdf"):
        name = _material(bsdf)
        if name is not None and name not in known:
            raise unknown_name(f"{path}: material {bsdf.get('id', '')}".rstrip(), name, known)


def _material(bsdf: ElementTree.Element) -> str | None:
    """The ITU material of a BSDF, None for another kind."""
    identifier = (bsdf.get("id") or "").removeprefix("mat-")
    by_name = identifier[:4] in ("itu_", "itu-")
    if bsdf.get("type") != _ITU and not by_name:
        return None
    given = bsdf.find("string[@name='type']")
    if given is not None:
        return given.get("value")
    return identifier[4:] if by_name else None
