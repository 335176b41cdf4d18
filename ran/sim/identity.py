"""Names of what was simulated: hashes of canonical JSON, so that equal things have equal names everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ran.errors import InputError
from ran.link.catalogue import channel_fingerprint, impairment_fingerprint, with_defaults, without_defaults
from ran.phy.config import Allocation
from ran.sim.device import device_kind
from ran.sim.experiment import Experiment, ReceiverBlock
from ran.sim.loading import FILE_SUFFIXES

#: Raised whenever numbers move: a change of the link, the decoder or a receiver that changes any outcome.
SIMULATION_VERSION = 3

#: Parts of an experiment that decide the physics of a drop; `channel_data` is the content of files.
PHYSICS_KEYS = (
    "carrier",
    "pusch",
    "pdsch",
    "precoding",
    "users",
    "num_rx_ant",
    "channel",
    "harq",
    "waveform",
    "data",
    "channel_data",
)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, in which a number has one spelling (1.0 and -0.0 as 1 and 0)."""
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def physics(experiment: Experiment) -> dict[str, Any]:
    """Everything that decides the physics of a drop, except the SNR; the key of its random numbers.

    Options of channels that are written out though they are the defaults do not enter: equal physics, equal numbers.
    """
    resolved = experiment.resolved()
    # without retransmissions there is no `harq`, as in experiments from before there was one; likewise the rest
    found = {key: resolved[key] for key in PHYSICS_KEYS if key in resolved and key != "data"}
    if experiment.link_budget is not None:
        found["link_budget"] = experiment.link_budget.identity()
    if experiment.data is not None:
        found["data"] = experiment.data.identity()
    blocks = [without_defaults(block) for block in _channels(resolved)]
    found["channel"] = blocks if isinstance(resolved["channel"], list | tuple) else blocks[0]
    contents = [channel_fingerprint(block) for block in blocks]
    if any(contents):
        # of files the content decides, not where they are
        named = [_without_folder(block) for block in blocks]
        found["channel"] = named if len(blocks) > 1 else named[0]
        found["channel_data"] = contents
    found |= _of_users_impairments(resolved.get("waveform") or {})
    return found | _of_users_alike(found)


def _of_users_alike(found: Mapping[str, Any]) -> dict[str, Any]:
    """Users whose MCS index or resource blocks are written out for each but the same for all, or RNTIs that count up,
    as if they were those of the PUSCH."""
    users, pusch = dict(found.get("users") or {}), dict(found.get("pusch") or {})
    alike = [name for name in ("mcs_index", "allocation") if len(set(map(repr, users.get(name) or ()))) == 1]
    rntis = users.get("n_rnti")
    if rntis and list(rntis) == list(range(rntis[0], rntis[0] + len(rntis))):
        alike.append("n_rnti")
    if not alike:
        return {}
    for name in alike:
        pusch[name] = users.pop(name)[0]
    if pusch.get("allocation") == Allocation().model_dump(mode="json"):
        del pusch["allocation"]  # as where it is not written out
    return {"users": users, "pusch": pusch}


def _of_users_impairments(waveform: Mapping[str, Any]) -> dict[str, Any]:
    """The waveform with the source of impairments that a user brings in place of where they are; empty without any."""
    ends = ("transmit_impairments", "receive_impairments")
    sources = {end: [impairment_fingerprint(block) for block in waveform.get(end, ())] for end in ends}
    if not any(source for end in ends for source in sources[end]):
        return {}
    named = {end: [_without_folder(block) for block in waveform.get(end, ())] for end in ends}
    return {"waveform": {**waveform, **named}, "impairment_data": sources}


def _channels(resolved: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    channel = resolved["channel"]
    return list(channel) if isinstance(channel, list | tuple) else [channel]


def resolved_channels(experiment: Experiment) -> list[dict[str, Any]]:
    """The channels' blocks with every option, files without their folders: a default that changes, changes this."""
    return [_without_folder(with_defaults(block)) for block in _channels(experiment.resolved())]


def filled_in(experiment: Experiment) -> dict[str, Any]:
    """`experiment.resolved()` with the options of its channels and receivers too; validates to the same physics."""
    resolved = experiment.resolved()
    channels = [with_defaults(block) for block in _channels(resolved)]
    return {
        **resolved,
        "channel": channels if isinstance(resolved["channel"], list | tuple) else channels[0],
        "receivers": [with_defaults(block) for block in resolved["receivers"]],
    }


def scenario_id(experiment: Experiment, esn0_db: float) -> str:
    """Names the physics of one SNR point, without receivers and decoder, which share its random numbers."""
    return _scenario_id(experiment, physics(experiment), esn0_db)


def _scenario_id(experiment: Experiment, of_link: Mapping[str, Any], esn0_db: float) -> str:
    point = "esn0_db" if experiment.link_budget is None else "tx_power_dbm"
    return digest({**of_link, point: float(esn0_db)})


def scenario_ids(experiment: Experiment) -> dict[float, str]:
    """`scenario_id` of every point that may be simulated."""
    of_link = physics(experiment)
    return {esn0_db: _scenario_id(experiment, of_link, esn0_db) for esn0_db in experiment.snr_grid}


def receiver_identity(block: ReceiverBlock, fingerprint: str, device: str = "cpu") -> dict[str, Any]:
    """What decides what a receiver does: name, all options, the fingerprint of its weights or source, and a GPU.

    A GPU rounds differently: its outcomes are never mixed with those of a processor.
    Where files are does not matter, what they hold is in the fingerprint; so of paths only the file name enters.
    """
    identity = {key: _without_folder(value) for key, value in with_defaults(block.block()).items()}
    kind = device_kind(device)
    return {**identity, "fingerprint": fingerprint, **({} if kind == "cpu" else {"device": kind})}


def _without_folder(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_folder(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_folder(item) for item in value]
    is_file = isinstance(value, str) and (".py:" in value or value.endswith(FILE_SUFFIXES))
    return PurePath(value).name if is_file else value


def task_id(experiment: Experiment, receiver: Mapping[str, Any], esn0_db: float) -> str:
    """Names the outcomes of one receiver (its `receiver_identity`) at one SNR point."""
    return _task_id(experiment, receiver, scenario_id(experiment, esn0_db), resolved_channels(experiment))


def task_ids(
    experiment: Experiment, receivers: Mapping[str, Mapping[str, Any]], scenarios: Mapping[float, str]
) -> dict[tuple[str, float], str]:
    """`task_id` of every receiver at every point, by title and Es/N0. receivers: `receiver_identity` by title.
    scenarios: `scenario_ids` of the experiment."""
    channels = resolved_channels(experiment)
    return {
        (title, esn0_db): _task_id(experiment, receiver, scenario, channels)
        for title, receiver in receivers.items()
        for esn0_db, scenario in scenarios.items()
    }


def _task_id(experiment: Experiment, receiver: Mapping[str, Any], scenario: str, channels: Any) -> str:
    return digest(
        {
            "scenario": scenario,
            "channels": channels,
            "receiver": receiver,
            "decoder": experiment.decoder.model_dump(mode="json"),
            "seed": experiment.seed,
            "simulation_version": SIMULATION_VERSION,
        }
    )


def run_identity(experiment: Experiment, receivers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What two runs must share to go on in one folder: all but the stopping rule and the description."""
    resolved = experiment.resolved()
    for key in ("name", "description", "stopping"):
        del resolved[key]
    of_link = physics(experiment)
    without_folders = {key: v for key, v in of_link.items() if key.startswith(("channel", "data", "impairment"))}
    if "impairment_data" in of_link:
        without_folders["waveform"] = of_link["waveform"]
    channels = resolved_channels(experiment)
    without_folders["channel"] = channels if isinstance(resolved["channel"], list | tuple) else channels[0]
    return {**resolved, **without_folders, "receivers": dict(receivers), "simulation_version": SIMULATION_VERSION}


def first_difference(stored: Any, given: Any, path: str = "") -> str:
    """Path of the first key in which two run identities differ and both values, in words; empty when equal."""
    if isinstance(stored, Mapping) and isinstance(given, Mapping):
        for key in sorted({*stored, *given}):
            below = f"{path}.{key}" if path else key
            if key not in stored or key not in given:
                return f"{below} is only in {'this experiment' if key in given else 'the existing run'}"
            if difference := first_difference(stored[key], given[key], below):
                return difference
        return ""
    if canonical_json(stored) == canonical_json(given):
        return ""
    return f"{path} is {canonical_json(stored)} there and {canonical_json(given)} here"


def replay_key(experiment: Experiment, esn0_db: float, drop: int) -> str:
    """Names one drop of an experiment: SCENARIO:SEED:ESN0_DB:DROP."""
    return f"{scenario_id(experiment, esn0_db)[:12]}:{experiment.seed}:{esn0_db:g}:{drop}"


def parse_replay_key(key: str, experiment: Experiment) -> tuple[float, int]:
    """Es/N0 in dB and drop index of a replay key; the experiment must be the one that the key came from."""
    parts = key.split(":")
    try:
        scenario, seed, esn0_db, drop = parts[0], int(parts[1]), float(parts[2]), int(parts[3])
        well_formed = len(parts) == 4 and drop >= 0
    except (IndexError, ValueError):
        well_formed = False
    if not well_formed:
        raise InputError(
            f"--replay: got {key!r}; allowed: the key that a stopped run printed, SCENARIO:SEED:ESN0_DB:DROP"
        )
    expected = replay_key(experiment, esn0_db, drop)
    if expected != f"{scenario}:{seed}:{esn0_db:g}:{drop}":
        raise InputError(
            f"--replay: got {key!r}; this experiment's key for that drop is {expected!r}; "
            "allowed: a key of the same experiment with the same --set and --seed"
        )
    return esn0_db, drop
