"""Curves of the calibration campaign of 2016: medians over the companies, by metric and percentile.

Large scale (coupling loss, geometry without noise): R1-165974. Spreads of the serving link, with antenna configuration
1 of the full calibration: R1-165975. Both of August 2016, with the tables of TR 38.900 V14.0.0. The documents hold
every company's curve; the medians over them are as the calibration data of QuaDRiGa tabulate them (file
`tutorials/calib_3GPP_ref_data.m`, github.com/fraunhoferhhi/QuaDRiGa). Coupling loss and geometry in dB, delay spread in
ns, angles in degrees. Of the office no spreads: its tables were others in TR 38.900 than they are in TR 38.901.
"""

from __future__ import annotations

#: Percentiles of the large-scale curves.
_PERCENTS = (5, 50, 95)


def _curve(*values: float) -> dict[int, float]:
    return dict(zip(_PERCENTS, values, strict=True))


UMI_30GHZ = {
    "coupling_loss": _curve(-164.6, -132.4, -89.3),
    "sir": _curve(-1.6, 7.5, 24.9),
    "ds": _curve(19.5, 195.0, 792.4),
    "asd": _curve(5.9, 19.2, 78.4),
    "asa": _curve(25.2, 60.4, 94.7),
    "zsd": _curve(0.26, 0.87, 4.97),
    "zsa": _curve(5.39, 10.81, 37.79),
}
UMA_30GHZ = {
    "coupling_loss": _curve(-172.0, -140.1, -102.0),
    "sir": _curve(-1.0, 8.6, 25.6),
    "ds": _curve(46.9, 224.1, 871.1),
    "asd": _curve(6.4, 20.2, 77.2),
    "asa": _curve(32.4, 60.2, 92.7),
    "zsd": _curve(0.22, 1.88, 12.81),
    "zsa": _curve(6.38, 12.04, 37.72),
}
INH_6GHZ = {
    "coupling_loss": _curve(-71.1, -59.3, -45.0),
    "sir": _curve(-4.4, 3.0, 17.9),
}
INH_30GHZ = {
    "coupling_loss": _curve(-85.0, -73.3, -59.1),
    "sir": _curve(-4.3, 3.1, 18.0),
}
