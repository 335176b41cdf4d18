"""A receiver of ours in a link of Sionna: `python examples/receiver_in_sionna.py` prints the blocks that each loses."""

from sionna.phy import config
from sionna.phy.channel import OFDMChannel
from sionna.phy.channel.tr38901 import TDL
from sionna.phy.nr import CarrierConfig, PUSCHConfig, PUSCHReceiver, PUSCHTransmitter

from receivers import Blind, LsLinear
from receivers.to_sionna import AsSionnaReceiver


def blocks_lost(num_slots: int = 128, no: float = 0.2, seed: int = 1) -> dict[str, int]:
    """Blocks that each receiver loses of the same slots: TDL-A, 16QAM, 8 PRB, two receive antennas."""
    config.seed = seed
    pusch = PUSCHConfig(carrier_config=CarrierConfig(n_size_grid=8))
    sender = PUSCHTransmitter(pusch)
    tdl = TDL("A", 100e-9, 3.5e9, min_speed=1.0, max_speed=1.0, num_rx_ant=2)
    x, bits = sender(num_slots)
    y = OFDMChannel(tdl, sender.resource_grid)(x, no)
    receivers = {
        "sionna": PUSCHReceiver(sender),
        "ls-linear": AsSionnaReceiver(LsLinear(), sender, pusch),
        "blind": AsSionnaReceiver(Blind(), sender, pusch),
    }
    return {name: int((receive(y, no) != bits).any(-1).sum()) for name, receive in receivers.items()}


if __name__ == "__main__":
    print(blocks_lost())
