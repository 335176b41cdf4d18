"""Our PUSCH in Sionna's terms. Sionna is imported when a function is called: that is slow."""

from __future__ import annotations

from typing import Any

from ran.phy.config import Carrier, Pusch, Users
from ran.phy.pusch import assign_ports


def pusch_configs(carrier: Carrier, pusch: Pusch, users: Users | None = None) -> list[Any]:
    """A `sionna.phy.nr.PUSCHConfig` per user, for `PUSCHTransmitter` and the receivers of `receivers.from_sionna`."""
    from sionna.phy.nr import CarrierConfig, PUSCHConfig

    configs = []
    for user, ports in enumerate(assign_ports(pusch, users or Users())):
        of_carrier = CarrierConfig(
            n_cell_id=carrier.n_cell_id,
            subcarrier_spacing=carrier.subcarrier_spacing_khz,
            n_size_grid=carrier.num_prb,
            slot_number=carrier.slot_number,
        )
        config = PUSCHConfig(carrier_config=of_carrier)
        codebook = pusch.num_antenna_ports is not None
        config.num_layers = pusch.num_layers
        config.num_antenna_ports = pusch.num_antenna_ports if codebook else pusch.num_layers
        config.precoding = "codebook" if codebook else "non-codebook"
        config.tpmi = pusch.tpmi
        config.mapping_type = pusch.mapping_type
        config.symbol_allocation = [pusch.start_symbol, pusch.num_symbols]
        config.n_rnti = pusch.n_rnti + user
        config.tb.n_id = pusch.n_id
        config.tb.mcs_table = pusch.mcs_table
        config.tb.mcs_index = pusch.mcs_index
        config.dmrs.config_type = pusch.dmrs.config_type
        config.dmrs.length = pusch.dmrs.length
        config.dmrs.num_cdm_groups_without_data = pusch.dmrs.num_cdm_groups_without_data
        config.dmrs.dmrs_port_set = list(ports)
        config.dmrs.type_a_position = pusch.dmrs.type_a_position
        config.dmrs.additional_position = pusch.dmrs.additional_position
        config.dmrs.n_id = pusch.dmrs.n_id
        config.dmrs.n_scid = pusch.dmrs.n_scid
        configs.append(config)
    return configs
