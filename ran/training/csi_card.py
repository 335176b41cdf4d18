"""The model card of a two-sided CSI model: what it was made from, and how well it does in experiments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ran.sim.files import write_text
from ran.studies.csi.experiment import CsiExperiment, FeedbackBlock, load
from ran.studies.csi.outcome import paired_gain
from ran.studies.csi.page import REFERENCE
from ran.studies.csi.run import run_experiment
from ran.training.card_parts import card_head
from ran.training.csi_recipe import CsiRecipe
from ran.training.delay_angle_recipe import DelayAngleRecipe

_FIGURES = ("sgcs", "gcs")


def measure(weights: Path, recipe: CsiRecipe | DelayAngleRecipe, workers: int | None = None) -> None:
    """Run the recipe's experiments with these weights beside what they compare, and write the figures into the card,
    NAME.json and NAME.md. Runs stay beside the weights in `evaluate/NUMBER-EXPERIMENT`."""
    card_path = weights.with_suffix(".json")
    card = json.loads(card_path.read_text())
    card["measured"] = [_measured(number, recipe, weights, workers) for number in range(len(recipe.evaluate))]
    write_text(card_path, json.dumps(card, indent=1) + "\n")
    write_text(weights.with_suffix(".md"), card_text(card))


def _with_weights(experiment: CsiExperiment, weights: Path, recipe: CsiRecipe | DelayAngleRecipe) -> CsiExperiment:
    """The experiment with these weights, at every number of latents they were trained with or bits that the recipe
    names, in the place of all of their kind that it has."""
    block: dict[str, Any] = {"weights": str(weights.resolve()), "label": weights.stem}
    if isinstance(recipe, DelayAngleRecipe):
        block |= {"name": "delay-angle", "num_bits": sorted(set(recipe.num_bits))}
    else:
        block |= {"name": "neural", "num_values": sorted(set(recipe.num_values))}
    ours = FeedbackBlock.model_validate(block)
    others = tuple(block for block in experiment.feedback if block.name != ours.name)
    return experiment.model_copy(update={"feedback": (*others, ours)})


def _measured(number: int, recipe: CsiRecipe | DelayAngleRecipe, weights: Path, workers: int | None) -> dict[str, Any]:
    """Figures with their intervals, as plain values."""
    part = recipe.evaluate[number]
    experiment = _with_weights(load(part.experiment, part.changes), weights, recipe)
    out = weights.parent / "evaluate" / f"{number}-{Path(part.experiment).stem}"
    results = run_experiment(experiment, out, workers)
    reference = results.curve(REFERENCE)
    rows = []
    for outcome in results.outcomes:
        gain = None if outcome.curve == REFERENCE else paired_gain(outcome, reference, "sgcs")
        rows.append(
            {
                "point": outcome.title,
                "bits": round(outcome.mean_bits, 1),
                **{name: outcome.value(name).plain(4) for name in _FIGURES},
                "gain": None if gain is None else gain.plain(4),
                "cost": dict(outcome.cost),
            }
        )
    return {
        "experiment": experiment.name,
        "changes": list(part.changes),
        "scenario": results.scenario_id,
        "num_drops": experiment.num_drops,
        "rows": rows,
    }


def card_text(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    training = card["training"]
    drops = training["csi_drops"]
    of_kind = _of_refinement(card) if "base" in card else _of_coder(card)
    payload = "scalar quantisation with levels 1/8, 3/8, 5/8 and 7/8, " if "base" in card else "scalar quantisation, "
    part = "a codebook's report is part of the payload." if "base" in card else "reports are coded to a fixed payload."
    if _is_plain(card):
        part = "payloads are numbers of latents, which are reported as they are."
    if card["architecture"].get("bits_per_value") == 1:
        payload = "scalar quantisation with levels 1/4 and 3/4, "
    lines = [
        *card_head(card),
        *of_kind[:-1],
        f"| trained on | {drops['num_drops']:,} drops of `{drops['experiment']}`, computed once and drawn from "
        f"again and "
        f"again: {training['samples_seen']:,} in {training['steps']:,} steps, seed {training['seed']} |",
        of_kind[-1],
        f"| training time | {training['seconds']:,} s{_time_of_drops(training['seconds_for_drops'])}, "
        f"{training['threads']} thread(s), torch {training['torch']} |",
        "",
        f"Made by `ran train {card['name']}`.",
        "",
        "## Assumptions of the Rel-18/19 evaluations (TR 38.843)",
        "",
        "Followed: one layer's eigenvectors of subbands as input and SGCS as the measure (by the true channel), "
        "32 ports "
        f"and 4 receive antennas, 52 PRBs in 13 subbands, 80 % of the users indoors, {payload}payload counted in "
        "bits, an enhanced type II report and the eigenvectors without quantisation as references.",
        "",
        "Not followed: the channel is one sector of a cell whose users are drawn by themselves (no system "
        "simulation, no "
        "scheduling); users are all at the same speed; channel knowledge is ideal unless the experiment says "
        "otherwise; "
        f"the model is trained for one antenna layout and one number of subbands; {part}",
    ]
    if card.get("limits"):
        lines += ["", "## Limits", "", *[f"- {limit}" for limit in card["limits"]]]
    for measured in card["measured"]:
        changes = "".join(f" --set {change}" for change in measured["changes"])
        lines += ["", f"## Measured: `ran csi {measured['experiment']}{changes}`", ""]
        lines += [f"{measured['num_drops']} drops; 95 % intervals over drops in brackets.", ""]
        lines += [f"| feedback | bits | SGCS | GCS | SGCS over {REFERENCE} at equal payload |", "|---|---|---|---|---|"]
        lines += [
            f"| {row['point']} | {row['bits']:g} | {_cell(row['sgcs'])} | {_cell(row['gcs'])} | "
            f"{'' if row['gain'] is None else _cell(row['gain'], '+')} |"
            for row in measured["rows"]
        ]
    return "\n".join([*lines, ""])


def _of_refinement(card: dict[str, Any]) -> list[str]:
    """Rows of the card's head for a two-sided model, over a codebook or not."""
    training, base = card["training"], card["base"]
    layout = f"({base['n1']}, {base['n2']}), {base['num_units']} PMI units"
    under = f"| refines | {base['codebook']}, paramCombination {base['combination']}, {layout} |"
    return [
        *([] if "pair" not in card else [f"| trained alone, for the latents of | `{card['pair']}` |"]),
        f"| codes | whole precoders, without a codebook, {layout} |" if _is_plain(card) else under,
        f"| SGCS of {training['csi_drops']['num_held_out']} held-out drops with {training['held_out_values']} latents"
        " | " + ", ".join(f"{value} after {step} steps" for step, value in training["held_out_sgcs"].items()) + " |",
    ]


def _is_plain(card: dict[str, Any]) -> bool:
    """Whether it is of a two-sided model that refines no codebook."""
    return "base" in card and card["base"]["codebook"] is None


def _of_coder(card: dict[str, Any]) -> list[str]:
    """The same for a delay-angle model."""
    training, layout = card["training"], card["layout"]
    held_out = training["csi_drops"]["num_held_out"]
    prices = training.get("prices")
    choice = "before the choice by cost" if prices is None else f"at {sum(prices) / 2:g} for a bit"
    began = training.get("init_sha256")
    return [
        *([] if began is None else [f"| began from | weights with the SHA-256 `{began}` |"]),
        f"| codes | precoders of ({layout['n1']}, {layout['n2']}) ports in {layout['num_units']} PMI units |",
        f"| bits and SGCS of {held_out} held-out drops, by step of the quantiser, {choice} | "
        + ", ".join(
            f"{row['bits']:.1f} and {row['sgcs']:.4f} at {row['quantiser_step']:.2f} after {row['step']:.0f} steps"
            for row in training["held_out"]
        )
        + " |",
    ]


def _cell(value: list[float], sign: str = "") -> str:
    middle, low, high = (f"{v:{sign}.4f}" for v in value)
    return f"{middle} ({low} to {high})"


def _time_of_drops(seconds: int | None) -> str:
    return ", the drops not timed" if seconds is None else f" and {seconds:,} s for the drops"
