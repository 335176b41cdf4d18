"""The PUSCH receiver of Sionna in an experiment of ours, beside our own receivers."""

from sionna.phy.nr import PUSCHReceiver, PUSCHTransmitter

from ran.phy.config import Carrier, Pusch
from ran.phy.sionna_pusch import pusch_configs
from receivers.from_sionna import SionnaReceiver, SoftOutput


class SionnaPusch(SionnaReceiver):
    """LS at the pilots, linear interpolation and LMMSE of Sionna; with `decodes` its decoder too."""

    def __init__(self, num_prb: int = 24, mcs_index: int = 14, decodes: bool = False) -> None:
        configs = pusch_configs(Carrier(num_prb=num_prb), Pusch(mcs_index=mcs_index))
        output = {"return_tb_crc_status": True} if decodes else {"tb_decoder": SoftOutput()}
        super().__init__(PUSCHReceiver(PUSCHTransmitter(configs), **output), configs)
