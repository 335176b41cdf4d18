"""A figure inside a page: its SVG without what pages do not need, in the colours and the font of the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from markupsafe import Markup

from ran.report.palette import VARIABLES

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_VARIABLE = {light: f"var(--{name})" for name, (light, _) in VARIABLES.items()}
_COLOR = re.compile(r"#[0-9a-f]{6}\b")
_FONT = re.compile(r"(?<=font:)([^;]*?)'DejaVu Sans'[^;]*|font-family: 'DejaVu Sans'[^;]*")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
# decimals of a point are a quarter of a pixel apart on the largest screen
_DECIMALS = re.compile(r"(\d+\.\d\d)\d+")


def inline_svg(svg: bytes, name: str, description: str) -> Markup:
    """An SVG element of `ran.report.figures`, for a page.

    name: of the figure, unlike that of any other of the page, since identifiers inside begin with it.
    description: what readers hear who do not see it.
    """
    root = ElementTree.fromstring(svg)
    _shorten(root)
    used = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            used |= {value[1:]} if key == f"{_XLINK}href" else set(_REFERENCE.findall(value))
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.tail = None if element.tail is None or not element.tail.strip() else element.tail
        element.text = None if element.text is None or not element.text.strip() else element.text
        changed = {}
        for key, value in element.attrib.items():
            if key == "id" and value not in used:
                continue
            changed[key.replace(_XLINK, "")] = _themed(key, value, name)
        element.attrib.clear()
        element.attrib.update(changed)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": description}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _shorten(root: ElementTree.Element) -> None:
    """Take out the metadata, and the style sheet, which would be one of the whole page; page.css has its two rules."""
    for child in list(root):
        if child.tag == f"{_SVG}metadata" or child.find(f"{_SVG}style") is not None:
            root.remove(child)


def _themed(key: str, value: str, name: str) -> str:
    """An attribute's value with the page's colours, its font, and identifiers of this figure alone."""
    if key == "id":
        return f"{name}-{value}"
    if key == f"{_XLINK}href":
        return value if value.startswith("data:") else f"#{name}-{value[1:]}"
    if key == "style":
        value = _FONT.sub(lambda found: f"{found[1]}var(--sans)" if found[1] else "font-family: var(--sans)", value)
        return _COLOR.sub(lambda found: _VARIABLE.get(found[0], found[0]), _REFERENCE.sub(rf"url(#{name}-\1)", value))
    if key in ("d", "x", "y", "points", "transform", "width", "height"):
        return _DECIMALS.sub(r"\1", value)
    return _REFERENCE.sub(rf"url(#{name}-\1)", value)
