"""Links and receivers that are run on the stand-in for a GPU: every channel, way to transmit and kind of receiver."""

from __future__ import annotations

from typing import Any

TDL = {"name": "tdl", "profile": "B", "delay_spread_ns": 100.0, "max_doppler_hz": 50.0}
SMALL: dict[str, Any] = {"carrier": {"num_prb": 4}, "num_rx_ant": 2, "channel": TDL}
CDL = {"name": "cdl", "profile": "C", "delay_spread_ns": 100.0, "carrier_frequency_hz": 3.5e9, "speed_mps": 3.0}
UMI = {"name": "umi", "carrier_frequency_hz": 3.5e9, "speed_mps": 3.0}

#: Fields of `LinkConfig` beside `SMALL`.
LINKS: dict[str, dict[str, Any]] = {
    "tdl": {},
    "awgn": {"channel": {"name": "awgn"}, "num_rx_ant": 1},
    "hst": {"channel": {"name": "hst", "scenario": "1-NR350", "max_doppler_hz": 100.0}, "num_rx_ant": 1},
    "cdl": {"channel": CDL},
    "umi": {"channel": UMI},
    "two-layers": {"pusch": {"num_layers": 2}},
    "two-users": {"users": {"num_users": 2}},
    "dft-s-ofdm": {"pusch": {"mcs_table": 3, "transform_precoding": True}},
    "hops-and-gaps": {"pusch": {"allocation": {"prbs": [0, 1, 3]}}},
    "pt-rs": {"pusch": {"ptrs": {}}},
    "waveform": {
        "waveform": {
            "transmit_impairments": [
                {"name": "phase-noise", "carrier_hz": 3.5e9},
                {"name": "rapp", "input_back_off_db": 6.0},
            ]
        }
    },
    "pdsch": {"pusch": None, "pdsch": {"num_layers": 2}, "precoding": {"name": "svd", "num_tx_ant": 4}},
    "type-one": {"pusch": None, "pdsch": {"num_layers": 2}, "precoding": {"name": "type-one", "n1": 2, "n2": 1}},
}

#: A receiver, and the link that it is for.
RECEIVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ls-linear": ("tdl", {"name": "ls-linear"}),
    "lmmse": ("two-layers", {"name": "lmmse"}),
    "ep": ("two-layers", {"name": "lmmse", "detector": "ep"}),
    "ml": ("two-layers", {"name": "lmmse", "detector": "ml"}),
    "k-best": ("two-layers", {"name": "lmmse", "detector": "k-best"}),
    "turbo": ("two-layers", {"name": "blind", "detector": "mmse-pic", "data_aided": True}),
    "exact": ("tdl", {"name": "ls-linear", "demapper": "exact"}),
    "blind": ("two-users", {"name": "blind"}),
    "irc": ("two-users", {"name": "blind", "noise": "irc"}),
    "reestimated": ("tdl", {"name": "blind", "num_reestimations": 2}),
    "impaired": ("tdl", {"name": "blind", "num_reestimations": 2, "track_phase": True, "amplifier_order": 5}),
    "perfect-csi": ("two-layers", {"name": "perfect-csi"}),
    "transform": ("dft-s-ofdm", {"name": "lmmse"}),
    "pt-rs": ("pt-rs", {"name": "lmmse"}),
    "in-parts": ("hops-and-gaps", {"name": "lmmse"}),
    "realtime": ("tdl", {"name": "neural", "weights": "pusch-realtime"}),
    "hybrid": ("tdl", {"name": "neural", "weights": "pusch-hybrid"}),
    "large": ("two-layers", {"name": "neural", "weights": "pusch-large"}),
}
