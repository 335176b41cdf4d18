"""Our PUSCH configuration as Sionna's, for tests that take Sionna as the oracle."""

from sionna.phy.nr import CarrierConfig, PUSCHConfig, PUSCHTransmitter

from ran.phy.config import Carrier, Pusch, Users
from ran.phy.pusch import assign_ports


def sionna_transmitter(carrier: Carrier, pusch: Pusch, users: Users) -> PUSCHTransmitter:
    configs = []
    for user, ports in enumerate(assign_ports(pusch, users)):
        other = PUSCHConfig(
            carrier_config=CarrierConfig(
                n_cell_id=carrier.n_cell_id,
                subcarrier_spacing=carrier.subcarrier_spacing_khz,
                n_size_grid=carrier.num_prb,
                slot_number=carrier.slot_number,
            )
        )
        codebook = pusch.num_antenna_ports is not None
        other.num_layers = pusch.num_layers
        other.num_antenna_ports = pusch.num_antenna_ports if codebook else pusch.num_layers
        other.precoding = "codebook" if codebook else "non-codebook"
        other.tpmi = pusch.tpmi
        other.mapping_type = pusch.mapping_type
        other.symbol_allocation = [pusch.start_symbol, pusch.num_symbols]
        other.n_rnti = pusch.n_rnti + user
        other.tb.n_id = pusch.n_id
        other.tb.mcs_table = pusch.mcs_table
        other.tb.mcs_index = pusch.mcs_index
        other.dmrs.config_type = pusch.dmrs.config_type
        other.dmrs.length = pusch.dmrs.length
        other.dmrs.num_cdm_groups_without_data = pusch.dmrs.num_cdm_groups_without_data
        other.dmrs.dmrs_port_set = list(ports)
        other.dmrs.type_a_position = pusch.dmrs.type_a_position
        other.dmrs.additional_position = pusch.dmrs.additional_position
        other.dmrs.n_id = pusch.dmrs.n_id
        other.dmrs.n_scid = pusch.dmrs.n_scid
        configs.append(other)
    return PUSCHTransmitter(configs)
