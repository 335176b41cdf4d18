"""Name and description of an experiment whose site was changed by an override: those of the site that is used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

#: Options of channels that say which site it is.
_SITE_OPTIONS = ("rays", "responses")


def retitled(given: Mapping[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """`changed`, the values of an experiment file with overrides, under a name and a description that hold.

    given: the values before the overrides. Where these put other rays or recorded responses in place of the file's own,
    the name's words for the old site are replaced by the new one's file name, and the description says so. What the
    overrides themselves set is left alone, as is everything else.
    """
    before, after = _site(given), _site(changed)
    if before is None or after is None or before == after:
        return changed
    result = dict(changed)
    name, site = str(given.get("name", "")), _plain(PurePath(after).stem)
    if site and changed.get("name") == given.get("name"):
        old = set(PurePath(before).stem.split("-"))
        kept = [word for word in name.split("-") if word not in old]
        result["name"] = "-".join([site, *kept])[:100]
    if "description" in given and changed.get("description") == given["description"]:
        result["description"] = f"The experiment {name} on another site: {PurePath(after).name} for {before}."
    return result


def _site(values: Mapping[str, Any]) -> str | None:
    """The file or the set that a channel's site comes from; None where it has none, or several."""
    channel = values.get("channel")
    if not isinstance(channel, Mapping):
        return None
    found = [channel[option] for option in _SITE_OPTIONS if isinstance(channel.get(option), str)]
    trace = channel.get("trace")
    if isinstance(trace, Mapping) and isinstance(trace.get("scene"), str):
        found.append(trace["scene"])
    return str(found[0]) if len(found) == 1 else None


def _plain(text: str) -> str:
    """A file name as a name of an experiment may be."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
