"""General slots among those of a site: what keeps a fine-tuned receiver from forgetting."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ran.phy.config import Config


class Replay(Config):
    """Slots of another recipe in a share of the draws.

    recipe: a built-in one or a file, with `slots`; its cases and offsets are used, not its schedule.
    share: of the draws, by chance.
    """

    recipe: str
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
