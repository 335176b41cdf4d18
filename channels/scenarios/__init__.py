"""Scenarios of TR 38.901: environments, links, large-scale parameters, clusters, networks of cells."""

from __future__ import annotations

from channels.scenarios.layout import HexagonalLayout, IndoorLayout
from channels.scenarios.models import Inf, Inh, Rma, Sma, Uma, Umi
from channels.scenarios.network import NetworkDrop, drop_users, noise_power_dbm, serving_spreads
from channels.scenarios.network_channels import SiteChannels, site_channels
from channels.scenarios.scenario_channel import ScenarioChannel
from channels.scenarios.urban import UrbanMacro, UrbanMicro

__all__ = [
    "HexagonalLayout",
    "IndoorLayout",
    "Inf",
    "Inh",
    "NetworkDrop",
    "Rma",
    "ScenarioChannel",
    "SiteChannels",
    "Sma",
    "Uma",
    "Umi",
    "UrbanMacro",
    "UrbanMicro",
    "drop_users",
    "noise_power_dbm",
    "serving_spreads",
    "site_channels",
]
