"""The model card of trained weights: what they were made from and how well they do, with counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ran.report import summary_table
from ran.report.crossing import Crossings
from ran.report.summary import TARGET_BLERS
from ran.sim.experiment import Experiment, ReceiverBlock, load
from ran.sim.files import write_text
from ran.sim.results import RunResults
from ran.sim.run import Listener, run
from ran.stats import Estimate, Notation, central_interval
from ran.training.card_parts import card_head
from ran.training.flops import NUM_RX_ANT, STATED
from ran.training.recipe import Recipe
from receivers.neural.constellation import TENSOR, trained_points
from receivers.neural.weights import load_weights

#: What the card tells of where the slots came from.
_SOURCES = ("slots", "cases", "offsets", "data", "init", "replay", "guard_tolerance", "guard_level")
_CHANGE = Notation(4)
_MODULATION = {2: "QPSK", 4: "16QAM", 6: "64QAM", 8: "256QAM"}


def measure(weights: Path, recipe: Recipe, workers: int | None = None, listener: Listener | None = None) -> None:
    """Run the recipe's experiments with these weights and write the curves into the card, NAME.json and NAME.md.

    Weights that began with others (`init`) meet these on the same drops: the card says what was won or lost.

    The runs stay beside the weights in `evaluate/NUMBER-EXPERIMENT`; an interrupted call goes on where it was.
    """
    card_path = weights.with_suffix(".json")
    card = json.loads(card_path.read_text())
    card["measured"] = []
    for number, asked in enumerate(recipe.evaluate):
        name, *settings = asked.split()
        experiment = _with_weights(load(name, settings), weights, recipe.init)
        short = Path(name).stem
        out = weights.parent / "evaluate" / f"{number}-{short}"
        results = run(experiment, out, workers=workers, listener=listener)
        card["measured"].append(_measured(" --set ".join([short, *settings]), results))
    write_text(card_path, json.dumps(card, indent=1) + "\n")
    write_text(weights.with_suffix(".md"), card_text(card))


def _with_weights(experiment: Experiment, weights: Path, init: str | None) -> Experiment:
    """The experiment with `weights` in every receiver named `neural`, and `init` in another beside it.

    Where it is sent with a constellation, and the weights have one, with that.
    """
    receivers: list[ReceiverBlock] = []
    for block in experiment.receivers:
        if block.name != "neural":
            receivers.append(block)
            continue
        given = {**block.model_dump(), "weights": str(weights.resolve())}
        receivers.append(block.model_validate(given))
        if init is not None:
            receivers.append(block.model_validate({**given, "weights": init, "label": _before(block.title)}))
    update: dict[str, Any] = {"receivers": tuple(receivers)}
    loaded = load_weights(str(weights))
    if TENSOR in loaded.tensors and experiment.uplink.constellation is not None:
        points = tuple((re, im) for re, im in trained_points(loaded))
        update["pusch"] = experiment.uplink.model_copy(update={"constellation": points})
    return experiment.model_copy(update=update)


def _before(title: str) -> str:
    """What results call the weights that a receiver's began with."""
    return f"{title} before training"


def _over_init(results: RunResults) -> dict[str, list[dict[str, Any]]]:
    """What receivers won over the weights that theirs began with: dB at target BLERs, and BLERs point by point.

    All is paired drop by drop; nothing for results without such weights.
    """
    known = {(p.receiver, p.esn0_db): p for p in results.points}
    crossings = Crossings(results)
    gains, points = [], []
    for title in dict.fromkeys(receiver for receiver, _ in known):
        own = sorted(snr for receiver, snr in known if receiver == title)
        if sorted(snr for receiver, snr in known if receiver == _before(title)) != own:
            continue
        gains += [
            {"receiver": title, "target_bler": target, "gain_db": str(crossings.gain(title, _before(title), target))}
            for target in TARGET_BLERS
        ]
        changes = crossings.replicated_bler(title) - crossings.replicated_bler(_before(title))
        for snr, change in zip(own, changes.T, strict=True):
            before, after = known[_before(title), snr].bler, known[title, snr].bler
            moved = Estimate(after - before, *central_interval(change))
            row = {"receiver": title, "esn0_db": snr, "bler_before": round(before, 6), "bler": round(after, 6)}
            points.append(row | {"change": _CHANGE.text(moved)})
    return {"gain_over_init": gains, "change_over_init": points} if gains else {}


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
        **_over_init(results),
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
    """Put the matrix of `ran robustness` into a card, NAME.json and NAME.md."""
    card = json.loads(card_path.read_text())
    card["generalisation"] = matrix
    write_text(card_path, json.dumps(card, indent=1) + "\n")
    write_text(card_path.with_suffix(".md"), card_text(card))


def _range(card: dict[str, Any]) -> list[str]:
    """The rows on what the networks are not followed beyond."""
    if "trained_range" not in card:
        return []
    shown = card["trained_range"]
    ends = ", ".join(f"{_MODULATION[int(bits)]} {end:g} dB" for bits, end in shown["highest_esn0_db"].items())
    fewest = shown["fewest_dmrs_positions"]
    return [
        f"| trained up to an Es/N0 of | {ends}; beyond it the network is shown no stronger signal, and its corrections "
        "fade |",
        f"| fewest DM-RS positions | {fewest}; with fewer the classical receiver decides |",
    ]


def card_text(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    training = card["training"]
    modulations = ", ".join(_MODULATION[b] for b in card["bits_per_symbol"])
    lines = [
        *card_head(card),
        *_flops(card),
        f"| may be used for | {modulations}; {' or '.join(str(n) for n in card['num_layers'])} layer(s) |",
        *_range(card),
        f"| trained on | {training['slots_seen']:,} slots in {training['steps']:,} steps, seed {training['seed']} |",
        f"| training time | {training['seconds']:,} s, {training['threads']} thread(s), torch {training['torch']} |",
        *([f"| remark | {training['remark']} |"] if "remark" in training else []),
        "",
        *([f"**Limits.** {card['limits']}", ""] if "limits" in card else []),
        f"Made by `ran train {card['name']}`. The slots were drawn from:",
        "",
        "```json",
        json.dumps({key: training[key] for key in _SOURCES if key in training}, indent=1),
        "```",
    ]
    if training.get("held_out"):
        lines += ["", "Bit cross-entropy on held-out slots, in nat, before training and of these weights:", ""]
        lines += _table(training["held_out"])
    lines += _learning_curve(training)
    for measured in card["measured"]:
        lines += ["", f"## Measured: `ran sim {measured['experiment']}`", ""]
        lines += _table(measured["summary"])
        for key in ("gain_over_init", "change_over_init"):
            if measured.get(key):
                what = "gain in dB" if key == "gain_over_init" else "change of the BLER"
                lines += ["", f"Over the weights that training began with, on the same drops: {what}.", ""]
                lines += _table(measured[key])
        lines += ["", "| receiver | Es/N0, dB | blocks | errors | BLER | 95 % interval |", "|---|---|---|---|---|---|"]
        lines += [
            f"| {p['receiver']} | {p['esn0_db']:g} | {p['blocks']} | {p['block_errors']} | {p['bler']:.4g} "
            f"| {p['bler_low']:.4g} to {p['bler_high']:.4g} |"
            for p in measured["points"]
        ]
    if "generalisation" in card:
        lines += _matrix(card["generalisation"])
    return "\n".join([*lines, ""])


def _learning_curve(training: dict[str, Any]) -> list[str]:
    """Bit cross-entropy over slots, and where it stopped paying; that there is none where the log was not kept."""
    curve = training.get("learning_curve")
    if not curve:
        return ["", "**Learning curve.** The log of this training was not kept."]
    lines = [
        "",
        f"**Learning curve.** Bit cross-entropy, in nat, over slots; these weights are of {_best(training)}.",
        "",
    ]
    return [*lines, *_table(curve)]


def _best(training: dict[str, Any]) -> str:
    best, end = training["slots_seen"], training["learning_curve"][-1]["slots"]
    if best < end:
        return f"{best:,}, the last at which it fell, of {end:,} slots"
    return f"the last, {end:,} slots"


def _matrix(matrix: dict[str, Any]) -> list[str]:
    """What `ran robustness` found, and the limits that it showed."""
    lines = ["", f"## Robustness: `{matrix['command']}`", "", *(f"{line}." for line in matrix["summary"]), ""]
    lines += ["Es/N0 at 10 % BLER and gains in dB, paired, with 95 % intervals.", "", *_table(matrix["rows"])]
    if matrix["limits"]:
        lines += ["", "Limits seen there:", "", *(f"- {limit}" for limit in matrix["limits"])]
    return lines


def _flops(card: dict[str, Any]) -> list[str]:
    """Row of the networks' work per slot."""
    if "convolution_flops" not in card:
        return []
    each = ", ".join(f"{flops / 1e9:.2f} G with {n}" for n, flops in card["convolution_flops"].items())
    return [f"| FLOPs per slot | {each} layer(s); convolutions, {STATED} PRB, {NUM_RX_ANT} antennas |"]


def _table(rows: list[dict[str, Any]]) -> list[str]:
    keys = list(rows[0])
    body = ["| " + " | ".join(str(row[key]) for key in keys) + " |" for row in rows]
    return ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys), *body]
