"""What monitoring says under the conditions of a robustness study, kept in the store of the study's folder."""

from __future__ import annotations

import json
from pathlib import Path

from ran.studies.folder import StudyFolder, load_parts, text_in
from ran.studies.robustness.outcome import Outcome
from ran.studies.robustness.run import KIND, outcomes_in

#: Keys of the store's text: names of what the last request shows, and everything that was found, by its name.
SHOWN, FOUND = "alarms", "alarms "

#: By condition and receiver, the detectors that have an alarm there, in words.
Alarms = dict[tuple[str, str], str]


def watched_point(outcome: Outcome) -> float | None:
    """Es/N0 in dB at which a receiver is watched: that of its own 10 % BLER, or the last point where it is not known;
    None where nothing was simulated."""
    if outcome.verdict == "refused" or not outcome.points:
        return None
    value = outcome.crossing.value
    return outcome.points[-1].esn0_db if value is None else value


def show_none(folder: Path) -> None:
    """The last request of the study in a folder has no monitoring; what was found stays there."""
    with StudyFolder(folder, KIND) as study:
        if json.loads(study.content.meta.get(SHOWN, "[]")):
            study.store.set_meta({SHOWN: "[]"})


def alarms_in(folder: Path) -> Alarms:
    """What the last request in the folder of a study shows of monitoring, from its store alone.

    Where the link, the receiver or the Es/N0 has changed since, as in a request that is not finished, there is nothing.
    """
    text, runs = text_in(folder), runs_in(folder)
    stored = [json.loads(text[FOUND + name]) for name in json.loads(text.get(SHOWN, "[]")) if FOUND + name in text]
    said = {(entry["run"], entry["at"]): entry["alarms"] for entry in stored}
    found: Alarms = {}
    for outcome in outcomes_in(folder):
        place = outcome.condition.name, outcome.receiver
        key = runs.get(place, ""), watched_point(outcome)
        if key in said:
            found[place] = said[key]
    return found


def runs_in(folder: Path) -> dict[tuple[str, str], str]:
    """By condition and receiver, what names the run: its link, receiver with weights, decoder, seed and version."""
    return {
        (part.facts["condition"]["name"], part.facts["receiver"]): part.results.meta["run_id"]
        for part in load_parts(folder)
        if part.results is not None
    }
