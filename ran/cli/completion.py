"""Names that a shell completes, besides commands and options: built-in experiments, recipes, weights and kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module


def _names(place: str) -> Callable[[str], list[str]]:
    """A completion by the names that MODULE:FUNCTION gives; asked for only when a shell completes."""

    def complete(incomplete: str) -> list[str]:
        module, _, function = place.partition(":")
        found: Iterable[str] = getattr(import_module(module), function)()
        return sorted(name for name in found if name.startswith(incomplete))

    return complete


_experiments = _names("ran.sim.experiment:built_in_experiments")
_presets = _names("ran.studies.presets:preset_experiments")


def experiments(incomplete: str) -> list[str]:
    """Experiments of `ran sim`."""
    return _experiments(incomplete) + _presets(incomplete)


kinds = _names("ran.cli.listing:kinds")
recipes = _names("ran.training.catalogue:recipe_names")
adaptations = _names("ran.studies.adaptation.experiment:built_in_experiments")
beam_experiments = _names("ran.studies.beams.experiment:built_in_experiments")
csi_experiments = _names("ran.studies.csi.experiment:built_in_experiments")
weights = _names("receivers.neural.weights:shipped_weights")
