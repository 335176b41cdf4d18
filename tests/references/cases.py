"""What the reference curves are of: `ran sim` of these arguments, one file of counts each."""

_FEW = ["carrier.num_prb=6", "stopping.min_block_errors=null", "stopping.max_slots=96", "stopping.min_bler=null"]
_CLASSICAL = "receivers=[ls-linear,lmmse,blind,perfect-csi]"


def _sim(experiment: str, *settings: str) -> list[str]:
    return [experiment, *(part for setting in settings for part in ("--set", setting))]


def _family(channel: str, esn0_db: str = "[2,6]", *settings: str) -> list[str]:
    return _sim("pusch-receivers", *_FEW, f"channel={channel}", _CLASSICAL, f"esn0_db={esn0_db}", *settings)


#: By name: arguments of `ran sim`.
CASES = {
    # channel families, under the classical receivers
    "awgn": _family("{name: awgn}", "[0.5,1,2]"),
    "rayleigh-block": _family("{name: rayleigh-block}"),
    "tdl": _family("{name: tdl, profile: D, delay_spread_ns: 300, max_doppler_hz: 200}", "[2,4]"),
    "cdl": _family("{name: cdl, profile: A, delay_spread_ns: 100, speed_mps: 8, carrier_frequency_hz: 3.5e9}"),
    "hst": _family(
        "{name: hst, scenario: 1-NR350, max_doppler_hz: 1340}", "[2,4]", "carrier.subcarrier_spacing_khz=15"
    ),
    "umi": _family("{name: umi, carrier_frequency_hz: 3.5e9}", "[0,4]"),
    "uma": _family("{name: uma, carrier_frequency_hz: 3.5e9}", "[0,4]"),
    "rma": _family("{name: rma, carrier_frequency_hz: 0.7e9}", "[0,4]"),
    "sma": _family("{name: sma, carrier_frequency_hz: 3.5e9}", "[0,4]"),
    "inh": _family("{name: inh, carrier_frequency_hz: 3.5e9}", "[0,4]"),
    "inf": _family("{name: inf, carrier_frequency_hz: 3.5e9}", "[0,4]"),
    "ray-traced": _sim("munich-street", *_FEW, _CLASSICAL, "esn0_db=[0,4]"),
    # receivers
    "receivers": _sim(
        "pusch-receivers",
        *_FEW,
        "receivers=[ls-linear, lmmse, blind, {name: blind, label: semi-blind, num_reestimations: 2}, perfect-csi,"
        " {name: neural, weights: pusch-realtime}, {name: neural, label: large, weights: pusch-large},"
        " {name: neural, label: hybrid, weights: pusch-hybrid}, {name: neural, label: munich, weights: pusch-munich}]",
        "esn0_db=[1,4]",
    ),
    "without-pilots": _sim("pilotless", *_FEW, "stopping.max_slots=32", "esn0_db=[5]"),
    "superimposed": _sim("superimposed-pilot", *_FEW, "stopping.max_slots=32", "esn0_db=[6]"),
    "two-users": _sim("target-two-users", *_FEW, "stopping.max_slots=64", "esn0_db=[4]"),
    "one-symbol": _sim("sparse-pilots-one", *_FEW, "esn0_db=[5]"),
    "phase-noise": _sim("pusch-robust-phase-noise", *_FEW, "stopping.max_slots=32", "esn0_db=[20]"),
    "amplifier": _sim("pusch-robust-64qam", *_FEW, "stopping.max_slots=32", "esn0_db=[14]"),
    "radios": _sim("pusch-impaired-radios", *_FEW, "stopping.max_slots=32", "esn0_db=[16]"),
    # links
    "harq": _sim("harq-incremental", "stopping.min_block_errors=null", "stopping.max_slots=256", "esn0_db=[0,2,4]"),
    "downlink": _sim("pdsch-svd", *_FEW, "stopping.max_slots=48", "esn0_db=[6]"),
    "link-budget": _sim("pusch-uma-link-budget", *_FEW),
}
