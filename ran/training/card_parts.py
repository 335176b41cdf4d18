"""What the model cards of all tasks have in common."""

from __future__ import annotations

import json
from typing import Any


def card_head(card: dict[str, Any]) -> list[str]:
    """The first lines of a card as Markdown, up to the facts of its own task."""
    return [
        f"# {card['name']}",
        "",
        card["description"],
        "",
        "| | |",
        "|---|---|",
        f"| licence | {card['licence']} |",
        f"| SHA-256 | `{card['sha256']}` |",
        f"| architecture | `{json.dumps(card['architecture'])}` |",
        f"| parameters | {card['parameters']:,} |",
    ]
