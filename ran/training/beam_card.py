"""The model card of a beam predictor: what it was made from, and how well it does in experiments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ran.sim.files import write_text
from ran.stats import Estimate, Notation
from ran.studies.beams.experiment import BeamExperiment, PredictorBlock, load
from ran.studies.beams.run import run_experiment
from ran.training.beam_recipe import BeamRecipe, Evaluated
from ran.training.card_parts import card_head

#: Figures of a card, of all that a run has.
_FIGURES = ("top1", "top2", "top4", "loss_db_k1", "loss_db_p95", "loss_db_k4", "adaptive_k", "adaptive_hit")
_TITLES = (
    "Top-1", "Top-2", "Top-4", "loss, dB", "95th percentile, dB", "loss of the best of 4, dB", "K for 90 %",
    "best among these",
)  # fmt: skip


def measure(weights: Path, recipe: BeamRecipe, workers: int | None = None) -> None:
    """Run the recipe's experiments with these weights, and write the figures into the card, NAME.json and NAME.md."""
    card_path = weights.with_suffix(".json")
    card = json.loads(card_path.read_text())
    card["measured"] = [_measured(part, weights) for part in recipe.evaluate]
    write_text(card_path, json.dumps(card, indent=1) + "\n")
    write_text(weights.with_suffix(".md"), card_text(card))


def _with_weights(experiment: BeamExperiment, weights: Path) -> BeamExperiment:
    """The experiment with these weights in the place of all that it has."""
    ours = PredictorBlock.model_validate({"name": "neural", "weights": str(weights.resolve()), "label": weights.stem})
    others = tuple(block for block in experiment.predictors if block.name != "neural")
    return experiment.model_copy(update={"predictors": (*others, ours)})


def _measured(part: Evaluated, weights: Path) -> dict[str, Any]:
    """Figures with their intervals, as plain values."""
    results = run_experiment(_with_weights(load(part.experiment, part.changes), weights))
    rows = [
        {
            "setting": result.setting.title,
            "predictor": result.predictor,
            **{name: value.plain(4) for name, value in result.values.items() if name in _FIGURES},
        }
        for result in results.results
        if result.refusal is None
    ]
    return {
        "experiment": results.experiment.name,
        "changes": list(part.changes),
        "scenario": results.scenario_id,
        "num_drops": results.experiment.num_drops,
        "rows": rows,
    }


def card_text(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    training = card["training"]
    lines = [
        *card_head(card),
        f"| temperature of the confidence | {card['temperature']}, fitted on {training['held_out_drops']:,} "
        "held-out drops |",
        f"| trained on | {training['drops']:,} drops, computed once and drawn from again and again: "
        f"{training['drops_seen']:,} in {training['steps']:,} steps, seed {training['seed']} |",
        f"| training time | {training['seconds']:,} s and {training['seconds_for_drops']:,} s for the drops, "
        f"{training['threads']} thread(s), torch {training['torch']} |",
        "",
        f"Made by `ran train {card['name']}`. The drops and measurements were drawn from:",
        "",
        "```json",
        json.dumps({key: training[key] for key in ("worlds", "set_b", "every", "mirror")}, indent=1),
        "```",
    ]
    if card.get("limits"):
        lines += ["", "## Limits", "", *[f"- {limit}" for limit in card["limits"]]]
    for measured in card["measured"]:
        changes = "".join(f" --set {change}" for change in measured["changes"])
        lines += ["", f"## Measured: `ran beams {measured['experiment']}{changes}`", ""]
        lines += [f"{measured['num_drops']} drops; 95 % intervals over drops in brackets.", ""]
        lines += ["| Set B | predictor | " + " | ".join(_TITLES) + " |", "|" + "---|" * (len(_TITLES) + 2)]
        lines += [
            f"| {row['setting']} | {row['predictor']} | "
            + " | ".join(_cell(name, row.get(name)) for name in _FIGURES)
            + " |"
            for row in measured["rows"]
        ]
    return "\n".join([*lines, ""])


def _cell(name: str, value: list[float] | None) -> str:
    if value is None:
        return ""
    middle, low, high = value
    share = name.startswith(("top", "adaptive_hit"))
    return (Notation(1, scale=100, suffix=" %") if share else Notation(2)).text(Estimate(middle, low, high))
