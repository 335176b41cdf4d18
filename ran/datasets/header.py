"""The head of a data set: everything in it that is known before the first drop is simulated."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ran.config.doors import parse_json
from ran.config.provenance import versions
from ran.datasets.budget_tables import budget_tables
from ran.datasets.field import Encoding, Field
from ran.datasets.request import DataRequest, data_identity, drop_esn0_db, stream_id
from ran.datasets.splits import SPLITS, split_of
from ran.errors import InputError
from ran.link import Link
from ran.link.snr import noise_var
from ran.link.streams import stream
from ran.sim.experiment import Experiment
from ran.sim.identity import canonical_json
from receivers import PilotLayout, SlotObservation

FORMAT = "ran6g data set"
FORMAT_VERSION = 1
_BUDGET_CONVENTIONS = (
    "Grids and channels at the level at which the strongest user of a drop has unit mean power, noise_var for that: "
    "path_gain_db holds the absolute gain; where esn0_db is meant it is that user's received_esn0_db; "
)
#: Bytes of a chunk, of all fields together, uncompressed: large enough that a read is limited by the disk.
CHUNK_BYTES = 16 * 2**20
_MAX_CHUNK_DROPS = 4096


@dataclass(frozen=True)
class Table:
    """An array that is written once, with the names of its axes."""

    array: NDArray
    axes: tuple[str, ...]
    unit: str
    description: str


@dataclass(frozen=True)
class Header:
    """attrs: plain values and JSON texts. tables: arrays of the whole set. fields: what chunks hold per drop."""

    attrs: Mapping[str, Any]
    tables: Mapping[str, Table]
    fields: tuple[Field, ...]

    @property
    def num_drops(self) -> int:
        return int(self.attrs["num_drops"])

    @property
    def chunk_drops(self) -> int:
        return int(self.attrs["chunk_drops"])

    @property
    def num_chunks(self) -> int:
        return -(-self.num_drops // self.chunk_drops)

    @property
    def drop_bytes(self) -> int:
        """Bytes of a drop in the file, uncompressed."""
        return sum(field.drop_bytes for field in self.fields)

    @property
    def points(self) -> NDArray[np.float64] | None:
        """What every drop was simulated at: Es/N0 in dB, or with a link budget the transmit power in dBm."""
        found = self.tables.get("tx_power_dbm") or self.tables.get("esn0_db")
        return None if found is None else found.array

    def chunk(self, number: int) -> range:
        """Drops of a chunk."""
        start = number * self.chunk_drops
        return range(start, min(start + self.chunk_drops, self.num_drops))

    def json(self, name: str) -> Any:
        """An attribute that is a JSON text, as plain values."""
        return parse_json(self.attrs[name], name)

    def digest(self) -> str:
        """SHA-256 over attributes, tables and fields."""
        tables = {
            name: [str(t.array.dtype), list(t.array.shape), hashlib.sha256(t.array.tobytes()).hexdigest()]
            for name, t in self.tables.items()
        }
        attrs = {name: value for name, value in self.attrs.items() if name != "header_sha256"}
        whole = {"attrs": attrs, "tables": tables, "fields": [asdict(field) for field in self.fields]}
        return hashlib.sha256(canonical_json(whole).encode()).hexdigest()


def build_header(
    experiment: Experiment, request: DataRequest, link: Link, check_size: Callable[[int], None] = lambda size: None
) -> Header:
    """Attributes, tables and fields of a data set. InputError for whatever does not fit together.

    check_size: refuses sets that are too large; it is told the bytes of all drops before anything is made per drop.
    """
    if experiment.harq is not None:
        raise InputError("harq: got retransmissions; allowed: none, a data set holds first transmissions")
    sample = link.batch([0], 0.0, experiment.seed, stream_id(experiment), with_channel=True)
    observation, h = sample.observation, sample.truth.h
    fields = _fields(request, observation, h.shape[1:], sample.coded_bits.shape[1:], sample.transport_blocks.shape[1:])
    drop_bytes = sum(field.drop_bytes for field in fields)
    check_size(drop_bytes * request.num_drops)
    chunk_drops = request.chunk_drops or _chunk_drops(drop_bytes, link.batch_drops)
    identity = data_identity(experiment, request, chunk_drops)
    attrs: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": request.kind,
        "name": experiment.name,
        "description": experiment.description,
        "num_drops": request.num_drops,
        "chunk_drops": chunk_drops,
        "stream_id": stream_id(experiment),
        "seed": experiment.seed,
        "conventions": (_BUDGET_CONVENTIONS if experiment.link_budget else "")
        + "LLR positive = bit 0 = log p(0)/p(1); coded_bits are the LLR targets; Es/N0 per resource "
        "element per receive antenna; noise_var = 10^(-esn0_db/10); a drop is an independent channel draw",
        "experiment": canonical_json(experiment.resolved()),
        "request": canonical_json(request.model_dump(mode="json")),
        "identity": canonical_json(identity),
        "versions": canonical_json(versions()),
        "observation": canonical_json(observation_constants(observation)),
        "split_names": canonical_json(list(SPLITS)),
    }
    header = Header(attrs, _tables(experiment, request, link, observation), fields)
    attrs["header_sha256"] = header.digest()
    return header


def _chunk_drops(drop_bytes: int, batch_drops: int) -> int:
    """About `CHUNK_BYTES`, in whole batches of the link where they are smaller than that."""
    wanted = max(1, min(CHUNK_BYTES // drop_bytes, _MAX_CHUNK_DROPS))
    return wanted // batch_drops * batch_drops or wanted


def _fields(
    request: DataRequest,
    observation: SlotObservation,
    h_shape: tuple[int, ...],
    bits_shape: tuple[int, ...],
    block_shape: tuple[int, ...],
) -> tuple[Field, ...]:
    grid = ("ofdm_symbol", "subcarrier")
    encoding: Encoding = "plain" if request.precision == "complex64" else "complex-float16"
    unit = "amplitude, 1 = a user's data RE at unit channel gain"
    fields = []
    if request.kind == "slots":
        shape = tuple(observation.y.shape[1:])
        fields.append(Field("y", ("rx_antenna", *grid), shape, "<c8", unit, "received grid", encoding))
        text = "coded and scrambled bits, the targets of LLRs; REs subcarrier first, then OFDM symbol"
        of_layers = ("layer", "data_re", "bit")
        fields.append(Field("coded_bits", of_layers, tuple(bits_shape), "|u1", "bit", text, "packed-bits"))
        text = "transport blocks as sent, before CRC and coding"
        fields.append(Field("transport_blocks", ("user", "bit"), tuple(block_shape), "|u1", "bit", text, "packed-bits"))
    if request.kind == "channels" or request.with_channel:
        axes = ("rx_antenna", "layer", *grid)
        text = "channel of the layers, precoding included"
        fields.append(Field("h", axes, tuple(h_shape), "<c8", "amplitude", text, encoding))
    scales = [
        Field(f.scale_name, (), (), "<f4", f.unit, f"{f.name} = pairs of float16 times this power of two")
        for f in fields
        if f.encoding == "complex-float16"
    ]
    return (*fields, *scales)


def observation_constants(observation: SlotObservation) -> dict[str, Any]:
    """What of an observation is no array."""
    layout = asdict(observation.layout)
    names = ["bits_per_symbol", "layer_amplitude", "layer_to_user", "subcarrier_spacing_hz", "transform_precoding"]
    # sets of before there were layers of different modulations do not name them
    if observation.bits_per_layer:
        names.append("bits_per_layer")
    points = {}
    if observation.constellation is not None:
        points["constellation"] = torch.view_as_real(observation.constellation.cpu()).tolist()
    return {"layout": layout, **{name: getattr(observation, name) for name in names}, **points}


def _tables(experiment: Experiment, request: DataRequest, link: Link, observation: SlotObservation) -> dict[str, Table]:
    esn0_db = drop_esn0_db(experiment, request)
    sites = drop_sites(experiment, request.num_drops, link)
    per_drop = ("drop",)
    budget: dict[str, Table] = {}
    if experiment.link_budget is not None:
        found = budget_tables(link, esn0_db, experiment.seed, stream_id(experiment))
        axes = {name: ("drop", "user") if array.ndim == 2 else per_drop for name, (array, _, _) in found.items()}
        budget = {name: Table(array, axes[name], unit, text) for name, (array, unit, text) in found.items()}
        text = "transmit power, with power control the largest"
        budget["tx_power_dbm"] = Table(esn0_db, per_drop, "dBm", text)
    n_sc = observation.data_mask.shape[1]
    frequencies = (np.arange(n_sc) - (n_sc - 1) / 2) * observation.subcarrier_spacing_hz
    tables = {
        "site": Table(sites, per_drop, "", "location of the drop; drops with the same number share it"),
        "split": Table(split_of(sites, request.split), per_drop, "", "part of the drop: index into split_names"),
        "symbol_times_s": Table(
            observation.symbol_times_s.numpy(), ("ofdm_symbol",), "s", "start of the useful part after the slot's start"
        ),
        "subcarrier_frequencies_hz": Table(frequencies, ("subcarrier",), "Hz", "offset from the carrier"),
        **budget,
    }
    if request.kind == "channels":
        return tables
    grid = ("ofdm_symbol", "subcarrier")
    pilots = observation.pilots.cpu().numpy()
    if not budget:
        noise = np.array([noise_var(value) for value in esn0_db], np.float32)
        tables |= {
            "esn0_db": Table(esn0_db, per_drop, "dB", "Es/N0 per resource element per receive antenna"),
            "noise_var": Table(noise, per_drop, "linear", "noise variance per resource element per antenna"),
        }
    return tables | {
        "pilots": Table(pilots, ("layer", *grid), "amplitude", "what layers send at pilot REs; zero elsewhere"),
        "data_mask": Table(observation.data_mask.cpu().numpy(), grid, "", "REs that carry data, on all layers"),
    }


def drop_sites(experiment: Experiment, num_drops: int, link: Link) -> NDArray[np.int64]:
    """Location of every drop, int64 [num_drops].

    Models without places draw every drop anew: each is a site of its own. A model that picks its draws from given
    places names them by a method `sites(generators)`, int64 [len(generators)].
    """
    naming = [channel for channel in link.channels if hasattr(channel, "sites")]
    if not naming:
        return np.arange(num_drops, dtype=np.int64)
    if len(link.channels) > 1:
        raise InputError(
            f"channel: got {len(link.channels)} channels of which some are bound to places; allowed: one channel, "
            "as users of a drop at places of their own cannot be split by site"
        )
    scenario = stream_id(experiment)
    generators = (stream(experiment.seed, scenario, drop, "channel") for drop in range(num_drops))
    return np.concatenate([np.asarray(naming[0].sites([g]), np.int64) for g in generators])


def observation_of(header: Header, y: NDArray, noise: NDArray) -> SlotObservation:
    """Received grids [batch, ...] and their noise variances [batch] as receivers take them."""
    constants = header.json("observation")
    points = constants.get("constellation")
    return SlotObservation(
        y=torch.from_numpy(y),
        pilots=torch.from_numpy(header.tables["pilots"].array),
        layout=PilotLayout(**{key: _tuples(value) for key, value in constants["layout"].items()}),
        data_mask=torch.from_numpy(header.tables["data_mask"].array),
        noise_var=torch.from_numpy(noise),
        bits_per_symbol=int(constants["bits_per_symbol"]),
        layer_amplitude=float(constants["layer_amplitude"]),
        layer_to_user=tuple(constants["layer_to_user"]),
        symbol_times_s=torch.from_numpy(header.tables["symbol_times_s"].array),
        subcarrier_spacing_hz=float(constants["subcarrier_spacing_hz"]),
        transform_precoding=bool(constants["transform_precoding"]),
        bits_per_layer=tuple(constants.get("bits_per_layer", ())),
        constellation=None if points is None else torch.view_as_complex(torch.tensor(points)),
    )


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
