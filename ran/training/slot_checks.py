"""What can be found wrong with a receiver's recipe before anything is written or computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch

from ran.errors import InputError
from ran.link import Link
from ran.link.catalogue import build_channel
from ran.phy.numerology import NUM_SYMBOLS_PER_SLOT
from ran.sim.experiment import load as load_experiment
from ran.training.catalogue import replayed_recipe
from ran.training.recipe import Recipe
from ran.training.slots import slot_source
from ran.training.validation import Validation

#: Received grids and channels of a draw at most; what a network makes of them comes on top.
_MOST_BYTES = 16 * 2**30


def check(recipe: Recipe) -> None:
    """All that can be found out before anything is written or computed."""
    _check_evaluation(recipe)
    Validation(recipe.validation, recipe.seed, recipe.name, torch.device("cpu"))
    _check_slots(recipe, recipe)
    replayed = replayed_recipe(recipe)
    if replayed is not None:
        _check_slots(replayed, recipe)


def _check_slots(recipe: Recipe, trained: Recipe) -> None:
    """Draw some configurations and build their links, so that a bad recipe fails at once and not in the night.

    trained: the recipe whose weights are to serve on these slots.
    """
    if recipe.data is not None:
        observation, _ = slot_source(recipe, torch.device("cpu"))(0)
        _check_bits(trained, observation.bits_per_layer or (observation.bits_per_symbol,))
        return
    with _of_slots():
        for config in recipe.extreme_configs():
            for block in (config.channel,) if isinstance(config.channel, Mapping) else config.channel:
                build_channel(block)
    for step in range(32):
        with _of_slots():
            config, _ = recipe.slot_config(step)
            config.users.check_one_allocation("to train")
            link = Link(config)
            _check_memory(link, recipe.schedule.batch_slots)
        if config.link_budget is not None:
            raise InputError("slots.link_budget: got a block; allowed: none, slots are drawn at esn0_db")
        _check_bits(trained, link.grid.bits_per_layer)


@contextmanager
def _of_slots() -> Iterator[None]:
    """Errors of a configuration that was drawn as those of the recipe's `slots`."""
    try:
        yield
    except KeyError as error:
        raise InputError(f"slots.{error.args[0]}: missing; allowed: a number or a distribution") from None
    except ValueError as error:
        raise InputError(f"slots: {' '.join(str(error).split())}") from None


def _check_evaluation(recipe: Recipe) -> None:
    """The experiments of the model card, which otherwise would be read when all is trained."""
    for number, asked in enumerate(recipe.evaluate):
        try:
            name, *settings = asked.split() or [""]
            load_experiment(name, settings)
        except InputError as error:
            raise InputError(f"evaluate.{number}: {error}") from None


def _check_memory(link: Link, batch_slots: int) -> None:
    """`InputError` for a draw whose received grids and channels alone, complex64, are more than a machine has."""
    layers, config = link.grid.num_layers, link.config
    needed = 8 * batch_slots * config.num_rx_ant * (1 + layers) * NUM_SYMBOLS_PER_SLOT * 12 * config.carrier.num_prb
    if needed > _MOST_BYTES:
        most = int(batch_slots * _MOST_BYTES / needed)
        raise InputError(
            f"schedule.batch_slots: got {batch_slots}, whose grids and channels need {needed / 2**30:.0f} GiB; "
            f"allowed: up to {most} slots of this size, {_MOST_BYTES / 2**30:.0f} GiB"
        )


def _check_bits(recipe: Recipe, bits_per_layer: Sequence[int]) -> None:
    each = sorted(set(bits_per_layer))
    if len(each) > 1:
        given = ", ".join(map(str, each))
        raise InputError(
            f"bits per symbol of the layers: got {given} in one slot; allowed: one modulation for all layers of a slot "
            "to train on"
        )
    bits_per_symbol = each[0]
    if bits_per_symbol not in recipe.bits_per_symbol:
        raise InputError(
            f"bits_per_symbol: got {list(recipe.bits_per_symbol)}, but the slots hold {bits_per_symbol} "
            "bits per symbol; allowed: a list with every modulation of the slots"
        )
