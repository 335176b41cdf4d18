"""A channel model of Sionna in an experiment of ours: TDL-A beside our own."""

from sionna.phy.channel.tr38901 import TDL

from channels.from_sionna import SionnaChannel


class SionnaTdl(SionnaChannel):
    """TDL of Sionna, with two receive antennas."""

    def __init__(self, profile: str = "A", delay_spread_ns: float = 100.0, speed_mps: float = 1.0) -> None:
        speed = {"min_speed": speed_mps, "max_speed": speed_mps}
        super().__init__(TDL(profile, delay_spread_ns * 1e-9, 3.5e9, **speed, num_rx_ant=2, num_tx_ant=1))
