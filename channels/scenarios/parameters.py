"""Large-scale parameters and cluster constants of every scenario and propagation condition (TR 38.901 table 7.5-6)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np

from channels.scenarios.environment import CONDITIONS, Environment

#: Order of the large-scale parameters in step 4 of §7.5: the Cholesky factor depends on it.
ORDER = ("sf", "k", "ds", "asd", "asa", "zsd", "zsa")
#: Scaling of azimuths and zeniths by the number of clusters (tables 7.5-2 and 7.5-4).
_AZIMUTH_SCALE = {10: 1.090, 11: 1.123, 12: 1.146, 14: 1.190, 15: 1.211, 16: 1.226, 19: 1.273, 20: 1.289, 25: 1.358}
_ZENITH_SCALE = {10: 0.957, 11: 1.031, 12: 1.104, 14: 1.1072, 15: 1.1088, 16: 1.1276, 19: 1.184, 20: 1.178, 25: 1.282}


@dataclass(frozen=True)
class Parameters:
    """Parameters of an environment at its frequency; first axis the condition: LOS, NLOS, O2I.

    mean, std float64 [3, 7]: in the order of `ORDER`; shadowing and K factor in dB, spreads as log10 of s or degrees.
        The mean zenith spread of departure is the links' own and 0 here.
    root float64 [3, 7, 7]: Cholesky factor of the correlations. distance_m float64 [3, 7]: correlation distances.
    The rest float64 [3], num_clusters int64.
    """

    mean: np.ndarray
    std: np.ndarray
    root: np.ndarray
    distance_m: np.ndarray
    num_clusters: np.ndarray
    delay_scaling: np.ndarray
    cluster_shadowing_db: np.ndarray
    xpr_mean_db: np.ndarray
    xpr_std_db: np.ndarray
    cluster_delay_spread_s: np.ndarray
    cluster_asd_deg: np.ndarray
    cluster_asa_deg: np.ndarray
    cluster_zsa_deg: np.ndarray
    azimuth_scale: np.ndarray
    zenith_scale: np.ndarray


@lru_cache(maxsize=1)
def _table() -> dict[tuple[str, str], dict[str, str]]:
    text = resources.files("channels.scenarios").joinpath("large_scale_parameters.csv").read_text(encoding="utf-8")
    return {(row["scenario"], row["condition"]): row for row in csv.DictReader(text.splitlines())}


def parameters(environment: Environment) -> Parameters:
    """The table's values at the environment's frequency. Indoor scenarios have no O2I: NLOS stands in its place.

    Rows of an older release have its number behind the scenario's name.
    """
    table = _table()
    scenario = environment.name if environment.spec == 19 else f"{environment.name}-{environment.spec}"
    names = [c if (scenario, c) in table else "nlos" for c in CONDITIONS]
    rows = [table[scenario, name] for name in names]
    # UMa's formulas are of log10(f), all others of log10(1 + f)
    frequency = environment.parameter_frequency_ghz
    log_f = np.log10(frequency if environment.name == "uma" else 1 + frequency)

    def column(name: str) -> np.ndarray:
        return np.array([float(row[name]) for row in rows])

    def of(parameter: str, moment: str) -> np.ndarray:
        return column(f"{parameter}_{moment}") + column(f"{parameter}_{moment}_slope") * log_f

    zero = np.zeros(len(rows))
    mean = [zero, column("k_mu_db"), of("ds", "mu"), of("asd", "mu"), of("asa", "mu"), zero, of("zsa", "mu")]
    std = [column("sf_sigma_db"), column("k_sigma_db"), of("ds", "sigma"), of("asd", "sigma"), of("asa", "sigma")]
    std += [column("zsd_sigma"), of("zsa", "sigma")]
    correlation = np.tile(np.eye(len(ORDER)), (len(rows), 1, 1))
    for i, first in enumerate(ORDER):
        for j in range(i + 1, len(ORDER)):
            correlation[:, i, j] = correlation[:, j, i] = column(f"{first}_{ORDER[j]}")
    # the cluster delay spread of UMa depends on the frequency and stands in a note
    spread_ns = [float(row["c_ds_ns"] or max(0.25, 6.5622 - 3.4084 * np.log10(frequency))) for row in rows]
    clusters = column("num_clusters").astype(np.int64)
    return Parameters(
        mean=np.stack(mean, -1),
        std=np.stack(std, -1),
        root=np.linalg.cholesky(correlation),
        distance_m=np.stack([column(f"{name}_distance_m") for name in ORDER], -1),
        num_clusters=clusters,
        delay_scaling=column("delay_scaling"),
        cluster_shadowing_db=column("cluster_shadowing_db"),
        xpr_mean_db=column("xpr_mu_db"),
        xpr_std_db=column("xpr_sigma_db"),
        cluster_delay_spread_s=np.array(spread_ns) * 1e-9,
        cluster_asd_deg=column("c_asd_deg"),
        cluster_asa_deg=column("c_asa_deg"),
        cluster_zsa_deg=column("c_zsa_deg"),
        azimuth_scale=np.array([_AZIMUTH_SCALE[int(n)] for n in clusters]),
        zenith_scale=np.array([_ZENITH_SCALE[int(n)] for n in clusters]),
    )
