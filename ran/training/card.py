"""The model card of trained weights: what they were made from and how well they do, with counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ran.report import summary_table
from ran.sim.experiment import Experiment, load
from ran.sim.files import write_text
from ran.sim.results import RunResults
from ran.sim.run import Listener, run
from ran.training.recipe import Recipe

_MODULATION = {2: "QPSK", 4: "16QAM", 6: "64QAM", 8: "256QAM"}


def measure(weights: Path, recipe: Recipe, workers: int | None = None, listener: Listener | None = None) -> None:
    """Run the recipe's experiments with these weights and write the curves into the card, NAME.json and NAME.md.

    The runs stay beside the weights in `evaluate/EXPERIMENT`; an interrupted call goes on where it was.
    """
    card_path = weights.with_suffix(".json")
    card = json.loads(card_path.read_text())
    card["measured"] = []
    for name in recipe.evaluate:
        experiment = _with_weights(load(name), weights)
        results = run(experiment, weights.parent / "evaluate" / name, workers=workers, listener=listener)
        card["measured"].append(_measured(name, results))
    write_text(card_path, json.dumps(card, indent=1) + "\n")
    write_text(weights.with_suffix(".md"), card_text(card))


def _with_weights(experiment: Experiment, weights: Path) -> Experiment:
    """The experiment with `weights` in every receiver named `neural`."""
    receivers = tuple(
        r.model_validate({**r.model_dump(), "weights": str(weights.resolve())}) if r.name == "neural" else r
        for r in experiment.receivers
    )
    return experiment.model_copy(update={"receivers": receivers})


def _measured(name: str, results: RunResults) -> dict[str, Any]:
    """Counts of every point and the crossings, as plain values."""
    points = [
        {
            "receiver": p.receiver,
            "esn0_db": p.esn0_db,
            "blocks": p.blocks,
            "block_errors": p.block_errors,
            "bler": round(p.bler, 6),
            "bler_low": round(p.bler_low, 6),
            "bler_high": round(p.bler_high, 6),
        }
        for p in results.points
    ]
    rows = summary_table(results)
    reference = next((row.receiver for row in rows if row.is_reference), "")
    return {
        "experiment": name,
        "scenario": results.meta["scenario"],
        "points": points,
        "summary": [
            {
                "receiver": row.receiver,
                "target_bler": target,
                "esn0_db": str(crossing),
                "reference": reference,
                "gain_db": str(gain),
                "loss_db": str(loss),
            }
            for row in rows
            for target, crossing, gain, loss in zip(row.target_blers, row.crossings, row.gains, row.losses, strict=True)
        ],
    }


def add_matrix(card_path: Path, matrix: dict[str, Any]) -> None:
    """Put the matrix of `ran generalise` into a card, NAME.json and NAME.md."""
    card = json.loads(card_path.read_text())
    card["generalisation"] = matrix
    write_text(card_path, json.dumps(card, indent=1) + "\n")
    write_text(card_path.with_suffix(".md"), card_text(card))


def card_text(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    training = card["training"]
    modulations = ", ".join(_MODULATION[b] for b in card["bits_per_symbol"])
    lines = [
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
        f"| may be used for | {modulations}; {' or '.join(str(n) for n in card['num_layers'])} layer(s) |",
        f"| trained on | {training['slots_seen']:,} slots in {training['steps']:,} steps, seed {training['seed']} |",
        f"| training time | {training['seconds']:,} s, {training['threads']} thread(s), torch {training['torch']} |",
        "",
        f"Made by `ran train {card['name']}`. The slots were drawn from:",
        "",
        "```json",
        json.dumps(
            {key: training[key] for key in ("slots", "cases", "offsets", "data", "init") if key in training}, indent=1
        ),
        "```",
    ]
    for measured in card["measured"]:
        lines += ["", f"## Measured: `ran sim {measured['experiment']}`", ""]
        lines += _table(measured["summary"])
        lines += ["", "| receiver | Es/N0, dB | blocks | errors | BLER | 95 % interval |", "|---|---|---|---|---|---|"]
        lines += [
            f"| {p['receiver']} | {p['esn0_db']:g} | {p['blocks']} | {p['block_errors']} | {p['bler']:.4g} "
            f"| {p['bler_low']:.4g} to {p['bler_high']:.4g} |"
            for p in measured["points"]
        ]
    if "generalisation" in card:
        lines += _matrix(card["generalisation"])
    return "\n".join([*lines, ""])


def _matrix(matrix: dict[str, Any]) -> list[str]:
    """What `ran generalise` found, and the limits that it showed."""
    lines = ["", f"## Generalisation: `{matrix['command']}`", "", *(f"{line}." for line in matrix["summary"]), ""]
    lines += ["Es/N0 at 10 % BLER and gains in dB, paired, with 95 % intervals.", "", *_table(matrix["rows"])]
    if matrix["limits"]:
        lines += ["", "Limits seen there:", "", *(f"- {limit}" for limit in matrix["limits"])]
    return lines


def _table(rows: list[dict[str, Any]]) -> list[str]:
    keys = list(rows[0])
    body = ["| " + " | ".join(str(row[key]) for key in keys) + " |" for row in rows]
    return ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys), *body]
