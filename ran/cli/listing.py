"""`ran list`: what can be named on the command line and in experiment files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from ran.cli import completion
from ran.cli.answer import answer
from ran.errors import unknown_name


def list_(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            autocompletion=completion.kinds,
            help="receivers, channels, impairments, experiments, adaptations, beam-experiments, beam-predictors, "
            "csi-experiments, csi-feedback, architectures, weights, recipes, presets (experiments by evaluation "
            "assumptions of 3GPP), studies or export-targets (or targets).",
        ),
    ],
) -> None:
    """List what is available of a kind: receivers, channels, experiments, trained weights, targets of export, ..."""
    known = kinds()
    if kind not in known:
        raise unknown_name("KIND", kind, known)
    entries = known[kind]()
    width = max(map(len, entries), default=0)
    answer(kind=kind, entries=entries)
    for name, description in entries.items():
        print(f"{name:{width}}  {description}".rstrip())


def kinds() -> dict[str, Callable[[], dict[str, str]]]:
    """What gives name and description of everything of a kind, by its name."""
    return {
        "receivers": _receivers,
        "channels": _channels,
        "impairments": _impairments,
        "experiments": _experiments,
        "adaptations": _adaptations,
        "beam-experiments": _beam_experiments,
        "beam-predictors": _beam_predictors,
        "csi-experiments": _csi_experiments,
        "csi-feedback": _csi_feedback,
        "architectures": _architectures,
        "weights": _weights,
        "recipes": _recipes,
        "presets": _presets,
        "export-targets": _export_targets,
        "studies": _studies,
        "targets": _export_targets,
    }


def _receivers() -> dict[str, str]:
    from ran.link.catalogue import receiver_catalogue

    return receiver_catalogue()


def _channels() -> dict[str, str]:
    from ran.link.catalogue import channel_catalogue

    return channel_catalogue()


def _impairments() -> dict[str, str]:
    from ran.link.catalogue import impairment_catalogue

    return impairment_catalogue()


def _experiments() -> dict[str, str]:
    return _described("ran.experiments")


def _adaptations() -> dict[str, str]:
    from ran.studies.adaptation.experiment import built_in_experiments, load

    return {name: load(name).description for name in built_in_experiments()}


def _beam_experiments() -> dict[str, str]:
    from ran.studies.beams.experiment import built_in_experiments, load

    return {name: load(name).description for name in built_in_experiments()}


def _beam_predictors() -> dict[str, str]:
    from ran.studies.beams.catalogue import predictor_catalogue

    return predictor_catalogue()


def _csi_experiments() -> dict[str, str]:
    from ran.studies.csi.experiment import built_in_experiments, load

    return {name: load(name).description for name in built_in_experiments()}


def _csi_feedback() -> dict[str, str]:
    """Ways to report the channel in `feedback` of a CSI experiment."""
    from ran.studies.csi.feedback_catalogue import FEEDBACK

    return {name: (cls.__doc__ or "").split("\n")[0] for name, cls in FEEDBACK.items()}


def _architectures() -> dict[str, str]:
    from ran.registry import KINDS, descriptions

    return descriptions(KINDS["architectures"])


def _weights() -> dict[str, str]:
    """Trained weights that ship with the package, and what their model cards say of them."""
    from receivers.neural.weights import shipped_weights

    return {name: card["description"] for name, card in shipped_weights().items()}


def _recipes() -> dict[str, str]:
    return _described("ran.training.recipes")


def _presets() -> dict[str, str]:
    """Experiments that follow evaluation assumptions of 3GPP, and the command that runs each."""
    from ran.studies.presets import presets

    return {name: f"{preset.item}: {preset.command} {name}" for name, preset in presets().items()}


def _described(package: str) -> dict[str, str]:
    """Name and description of the YAML files that a package ships; they are ours, so nothing is checked."""
    from ran.config.yaml_file import read_mapping
    from ran.sim.loading import shipped

    return {name: str(read_mapping(path).get("description", "")) for name, path in shipped(package).items()}


def _studies() -> dict[str, str]:
    """What `ran study` runs; other studies have verbs of their own."""
    from ran.registry import KINDS, descriptions

    return descriptions(KINDS["studies"])


def _export_targets() -> dict[str, str]:
    """What models are exported for, and the packages that takes besides."""
    from ran.registry import KINDS, descriptions

    return descriptions(KINDS["export-targets"])
