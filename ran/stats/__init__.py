"""Numbers with intervals: one type, one notation, and the methods that make them. Needs numpy and scipy only."""

from ran.stats.crossing import ReplicatedCurve, falling_crossing, interpolable_rates, rising_crossing
from ran.stats.estimate import LEVEL, Estimate
from ran.stats.mean import common_units, normal_mean, paired_difference, student_half_widths, student_mean
from ran.stats.normal import two_sided_t, two_sided_z
from ran.stats.notation import MISSING, PERCENT, Notation, csv_cells, percent
from ran.stats.proportion import (
    exact_share,
    grouped_wilson,
    grouped_wilson_prefixes,
    paired_share_difference,
    sign_test,
    wilson,
)
from ran.stats.quantile import (
    bootstrap_percentile,
    order_statistics_percentile,
    quartiles,
    upper_tolerance_limit,
)
from ran.stats.ratio import Pairs, fieller, ratio_of_independent, ratio_of_means, weighted_ratios
from ran.stats.resampling import Counted, bootstrap_shares, central_interval
from ran.stats.roc import area_under_roc

__all__ = [
    "LEVEL",
    "MISSING",
    "PERCENT",
    "Counted",
    "Estimate",
    "Notation",
    "Pairs",
    "ReplicatedCurve",
    "area_under_roc",
    "bootstrap_percentile",
    "bootstrap_shares",
    "central_interval",
    "common_units",
    "csv_cells",
    "exact_share",
    "falling_crossing",
    "fieller",
    "grouped_wilson",
    "grouped_wilson_prefixes",
    "interpolable_rates",
    "normal_mean",
    "order_statistics_percentile",
    "paired_difference",
    "paired_share_difference",
    "percent",
    "quartiles",
    "ratio_of_independent",
    "ratio_of_means",
    "rising_crossing",
    "sign_test",
    "student_half_widths",
    "student_mean",
    "two_sided_t",
    "two_sided_z",
    "upper_tolerance_limit",
    "weighted_ratios",
    "wilson",
]
