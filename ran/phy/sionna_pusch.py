"""Our PUSCH in Sionna's terms. Sionna is imported when a function is called: that is slow."""

from __future__ import annotations

from typing import Any

from ran.errors import bad_value
from ran.phy.config import Carrier, Pusch, Users
from ran.phy.pusch import assign_ports

_OF_CARRIER = {"subcarrier_spacing_khz", "num_prb", "n_cell_id", "slot_number"}
_OF_PUSCH = {
    "mapping_type", "start_symbol", "num_symbols", "mcs_table", "mcs_index", "num_layers", "n_rnti", "n_id", "dmrs",
    "num_antenna_ports", "tpmi",
    # of receivers' memory alone, which Sionna does not limit
    "max_num_layers", "limited_buffer",
}  # fmt: skip
_OF_DMRS = {
    "type_a_position", "additional_position", "num_cdm_groups_without_data", "n_id", "n_scid", "config_type", "length",
}  # fmt: skip


def _check(carrier: Carrier, pusch: Pusch) -> None:
    for title, block, taken in (
        ("carrier", carrier, _OF_CARRIER), ("pusch", pusch, _OF_PUSCH), ("pusch.dmrs", pusch.dmrs, _OF_DMRS)
    ):  # fmt: skip
        for name, field in type(block).model_fields.items():
            value, default = getattr(block, name), field.get_default(call_default_factory=True)
            if name not in taken and value != default:
                raise bad_value(f"{title}.{name}", value, f"{default!r}, Sionna's configuration has no other")


def pusch_configs(carrier: Carrier, pusch: Pusch, users: Users | None = None) -> list[Any]:
    """A `sionna.phy.nr.PUSCHConfig` per user, for `PUSCHTransmitter` and the receivers of `receivers.from_sionna`.

    `InputError` for what Sionna's configuration does not have: a link of Sionna would send another signal.
    """
    users = users or Users()
    users.check_one_allocation("in Sionna's configuration")
    pusch, users = users.with_common_allocation(pusch)
    _check(carrier, pusch)
    from sionna.phy.nr import CarrierConfig, PUSCHConfig

    configs, rntis = [], users.rntis(pusch)
    for user, (ports, mcs_index) in enumerate(zip(assign_ports(pusch, users), users.mcs_indices(pusch), strict=True)):
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
        config.n_rnti = rntis[user]
        config.tb.n_id = pusch.n_id
        config.tb.mcs_table = pusch.mcs_table
        config.tb.mcs_index = mcs_index
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
