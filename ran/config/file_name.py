"""Names that become the names of files and folders."""

from __future__ import annotations

import re

#: What no common file system takes in a name, or reads as another place.
_FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
_LONGEST_BYTES = 100


def checked_file_name(name: str) -> str:
    """`name`, which results may use as the name of a file or folder. `ValueError` for one that leads elsewhere."""
    found = _FORBIDDEN.search(name)
    if found:
        raise ValueError(f'got {name!r}, with {found[0]!r}; allowed: a name without / \\ : * ? " < > | and line breaks')
    if not name.strip() or name.startswith(".") or name != name.strip() or name.endswith("."):
        raise ValueError(
            f"got {name!r}; allowed: a name that does not begin with a dot or end in a dot, without blanks around it"
        )
    if len(name.encode()) > _LONGEST_BYTES:
        raise ValueError(f"got {len(name.encode())} bytes; allowed: a name of at most {_LONGEST_BYTES}")
    return name
