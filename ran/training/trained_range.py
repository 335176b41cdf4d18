"""What slots a recipe shows: how strong each modulation, and how few DM-RS positions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from ran.config.validation import validate
from ran.link import Link, LinkConfig
from ran.link.streams import stream
from ran.training import distribution
from ran.training.recipe import Recipe
from receivers.neural.weights import load_weights


def trained_range(recipe: Recipe) -> dict[str, Any]:
    """For the model card: the highest Es/N0 in dB by bits per symbol, and the fewest DM-RS positions of a slot.

    A network is not followed beyond either, see `receivers.neural.shown_range`. Slots of another recipe that `replay`
    mixes in do not count: they keep what was learnt before and say little of where the new weights hold. Of a training
    on a data set that of the weights it began with; empty where there are none.
    """
    if recipe.data is not None and recipe.init is not None:
        card = load_weights(recipe.init).card
        return {"trained_range": card["trained_range"]} if "trained_range" in card else {}
    highest: dict[int, float] = {}
    fewest = None
    generator = stream(recipe.seed, f"train/{recipe.name}", 0, "range")
    for case in recipe.cases:
        for variant in _of_channels(distribution.merge(recipe.slots, case)) if recipe.slots else ():
            end = max(distribution.ends(variant["esn0_db"])) + recipe.schedule.snr_bonus_db
            drawn = distribution.draw(variant, generator)
            drawn.pop("esn0_db")
            grid = Link(validate(LinkConfig, drawn)).grid
            for codeword in grid.codewords:
                bits = codeword.bits_per_symbol
                highest[bits] = max(highest.get(bits, end), end)
            positions = len(grid.channel.dmrs_groups)
            fewest = positions if fewest is None else min(fewest, positions)
    if fewest is None:
        return {}
    ends = {str(bits): float(end) for bits, end in sorted(highest.items())}
    return {"trained_range": {"highest_esn0_db": ends, "fewest_dmrs_positions": fewest}}


def _of_channels(slots: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The slots with every combination of what their PUSCH or PDSCH may be; all else is left to be drawn."""
    for name in ("pusch", "pdsch"):
        if name in slots:
            for variant in _variants(slots[name]):
                yield {**slots, name: variant}
            return
    yield dict(slots)


def _variants(node: Any) -> list[Any]:
    if distribution.is_distribution(node):
        each = [_variants(value) for value in distribution.ends(node)]
        return _distinct(itertools.chain.from_iterable(each))
    if isinstance(node, Mapping):
        return [
            dict(zip(node, values, strict=True)) for values in itertools.product(*(_variants(v) for v in node.values()))
        ]
    return [node]


def _distinct(values: Iterator[Any]) -> list[Any]:
    kept: list[Any] = []
    for value in values:
        if value not in kept:
            kept.append(value)
    return kept
