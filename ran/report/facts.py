"""What was simulated, in a few words: for the head of a page and for the caption of a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ran.registry import KINDS
from ran.registry.lookup import described
from ran.report.curves import run_labels

if TYPE_CHECKING:
    from ran.sim.results import RunResults


def figure_caption(runs: Sequence[RunResults]) -> str:
    """The link of each run with its drops per point, a sentence each: what a figure in a paper has to say."""
    sentences = []
    for run, label in zip(runs, run_labels(runs), strict=True):
        drops = sorted({point.drops for point in run.points})
        count = f"{drops[0]:,}" if len(drops) == 1 else f"{drops[0]:,} to {drops[-1]:,}"
        sentence = f"{link_caption(run.experiment.resolved())}; {count} drops per point."
        sentences.append(f"{label}: {sentence}" if len(runs) > 1 else sentence)
    return " ".join(sentences)


def link_caption(settings: dict[str, Any]) -> str:
    """The link of a resolved experiment in one line, for the caption of a figure."""
    named = {
        "MCS": "MCS {}",
        "Precoding": "precoding {}",
        "Users": "{} users",
        "Receive antennas": "{} receive antennas",
    }
    facts = link_facts(settings)
    if str(facts.get("Receive antennas")) == "1":
        named["Receive antennas"] = "{} receive antenna"
    return ", ".join(
        named.get(name, "{}").format(value)
        for name, value in facts.items()
        if name != "Seed" and (name, value) != ("Users", "1")
    )


def receiver_words(run: RunResults) -> dict[str, str]:
    """What each receiver with points is, by its title: the first sentence of its class, and its weights or file.

    Of a class of a user's own only the place is known, since a report is made from the store alone.
    """
    with_points = {point.receiver for point in run.points}
    words = {}
    for receiver in run.experiment.receivers:
        if receiver.title in with_points:
            place = KINDS["receivers"].shipped.get(receiver.name)
            told = described(place) if place else receiver.name
            weights = receiver.block().get("weights")
            words[receiver.title] = f"{told} Weights: {weights}." if weights else told
    return words


def link_facts(settings: dict[str, Any]) -> dict[str, str]:
    """The link in a line of facts, as far as the experiment states them."""
    carrier, channel = settings.get("carrier", {}), settings.get("pdsch") or settings.get("pusch", {})
    channels = settings.get("channel", {})
    channels = channels if isinstance(channels, list) else [channels]
    facts = {
        "Carrier": f"{carrier.get('num_prb')} PRB at {carrier.get('subcarrier_spacing_khz')} kHz",
        "Shared channel": "PDSCH" if "pdsch" in settings else None,
        "MCS": f"{_mcs(channel, settings)} of table {channel.get('mcs_table')}",
        "Precoding": _precoding(settings),
        "Channel": ", ".join(dict.fromkeys(_channel(c) for c in channels)),
        "Link budget": _budget(settings.get("link_budget")),
        "Users": settings.get("users", {}).get("num_users"),
        "Resource blocks": _resource_blocks(settings),
        "Receive antennas": settings.get("num_rx_ant"),
        "Seed": settings.get("seed"),
    }
    return {name: str(value) for name, value in facts.items() if value is not None and "None" not in str(value)}


def _budget(budget: dict[str, Any] | None) -> str | None:
    """Powers and noise in a few words."""
    if budget is None:
        return None
    powers = ", ".join(f"{power:g}" for power in budget["tx_power_dbm"])
    text = f"{powers} dBm, noise figure {budget['noise_figure_db']:g} dB at {budget['temperature_k']:g} K"
    control = budget.get("power_control")
    return text if control is None else f"{text}, P0 {control['p0_dbm']:g} dBm, alpha {control['alpha']:g}"


def _mcs(channel: dict[str, Any], settings: dict[str, Any]) -> str:
    """The MCS index, or those of two codewords or of unlike users."""
    of_users = (settings.get("users") or {}).get("mcs_index")
    if of_users is not None:
        return ", ".join(map(str, of_users))
    second = channel.get("mcs_index_2")
    return f"{channel.get('mcs_index')}" if second is None else f"{channel.get('mcs_index')} and {second}"


def _resource_blocks(settings: dict[str, Any]) -> str | None:
    """PRBs of users that have their own."""
    of_users = (settings.get("users") or {}).get("allocation")
    return "; ".join(map(_prbs, of_users)) if of_users else None


def _prbs(allocation: dict[str, Any]) -> str:
    """An allocation in a few words."""
    if allocation.get("rbg_bitmap"):
        return f"RBGs {allocation['rbg_bitmap']}"
    if allocation.get("prbs"):
        return f"PRBs {', '.join(map(str, allocation['prbs']))}"
    first, count = allocation["first_prb"], allocation["num_prb"]
    text = f"PRBs from {first}" if count is None else f"PRBs {first} to {first + count - 1}"
    text += f" of the part from PRB {allocation['bwp_start']}" if allocation["bwp_start"] else ""
    hop = allocation["second_hop_prb"]
    return text if hop is None else f"{text}, {allocation['hopping']} hop to {hop}"


def _precoding(settings: dict[str, Any]) -> str | None:
    """Precoder of a downlink, its antennas, and what the transmitter knows of the channel."""
    block = settings.get("precoding")
    if not block:
        return None
    antennas = block.get("num_tx_ant") or 2 * block.get("n1", 0) * block.get("n2", 0)
    text = f"{block['name']}, {antennas} antennas" if antennas else str(block["name"])
    if "csi_delay_slots" not in block:
        return text
    delay, snr_db = block["csi_delay_slots"], block.get("csi_snr_db")
    if srs := block.get("srs"):
        return f"{text}, SRS estimate {delay} slots old at {srs['esn0_db']:g} dB"
    if not delay and snr_db is None:
        return f"{text}, ideal CSI"
    return f"{text}, CSI {delay} slots old" + ("" if snr_db is None else f" at {snr_db:g} dB")


def _channel(block: Any) -> str:
    """A channel block in a few words: its name, for a tapped delay line its profile, the site that its rays are of, and
    how far it is spread in delay and Doppler."""
    if not isinstance(block, dict):
        return str(block)
    named = [str(block[key]) for key in ("name", "profile") if key in block]
    named += [PurePath(block[key]).name for key in ("rays", "responses") if block.get(key)]
    units = {"delay_spread_ns": "ns", "max_doppler_hz": "Hz", "speed_mps": "m/s"}
    named += [f"{block[key]:g} {unit}" for key, unit in units.items() if isinstance(block.get(key), int | float)]
    return " ".join(named)
