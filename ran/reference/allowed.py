"""What a JSON schema allows, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_TYPES = {"string": "text", "boolean": "true or false", "object": "block", "null": "null"}


def allowed(node: Mapping[str, Any]) -> str:
    """Values that a node of a schema allows; blocks are named as such, as their keys have lines of their own."""
    if "allowed" in node:
        return str(node["allowed"])
    if "enum" in node:
        return ", ".join(json.dumps(value) if value is None else str(value) for value in node["enum"])
    if "const" in node:
        return str(node["const"])
    for union in ("anyOf", "oneOf"):
        if union in node:
            return " or ".join(dict.fromkeys(allowed(option) for option in node[union]))
    if "$ref" in node or "allOf" in node:
        return "block"
    kind = node.get("type")
    if kind == "array":
        return _array(node)
    if kind in ("integer", "number"):
        return ("integer" if kind == "integer" else "number") + _range(node)
    return _TYPES.get(str(kind), "any value")


def _array(node: Mapping[str, Any]) -> str:
    if "prefixItems" in node:
        parts = [allowed(item) for item in node["prefixItems"]]
        return f"[{', '.join(parts)}]"
    return f"list of: {allowed(node.get('items', {}))}"


def _range(node: Mapping[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f", {low:g} to {high:g}"
    parts = [f"above {above:g}" if above is not None else "", f"at least {low:g}" if low is not None else ""]
    parts += [f"below {below:.3g}" if below is not None else "", f"at most {high:g}" if high is not None else ""]
    said = " and ".join(part for part in parts if part)
    return f", {said}" if said else ""
