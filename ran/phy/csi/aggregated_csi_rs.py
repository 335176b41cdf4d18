"""Several CSI-RS resources as one of 48, 64 or 128 ports (TS 38.214, Rel-19)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ran.errors import bad_value
from ran.phy.csi.csi_rs import CsiRs, usual_resource
from ran.phy.csi.port_layout import LARGE_LAYOUTS

#: Ports of every resource by ports of all; of 48 and 64 ports there are other divisions, which nothing here depends on.
_PORTS_EACH = {48: 24, 64: 32, 128: 32}
#: The largest offset in slots of a resource of an aperiodic set.
_LAST_SLOT = 7


@dataclass(frozen=True)
class AggregatedCsiRs:
    """CSI-RS resources whose ports are measured as those of one panel.

    resources: of equal density and code. slots: of every resource, counted from the first; resources of one slot may
    not share elements. Ports are counted resource after resource. `InputError` for what does not fit together.
    """

    resources: tuple[CsiRs, ...]
    slots: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.num_ports not in LARGE_LAYOUTS:
            allowed = ", ".join(map(str, LARGE_LAYOUTS))
            raise bad_value("ports of all resources", self.num_ports, f"{allowed} (TS 38.214 table 5.2.2.2.1a-1)")
        if len(self.slots) != len(self.resources) or any(not 0 <= slot <= _LAST_SLOT for slot in self.slots):
            raise bad_value("slots", self.slots, f"{len(self.resources)} numbers from 0 to {_LAST_SLOT}")
        for name in ("num_ports", "cdm_length", "density", "first_prb"):
            found = {getattr(resource, name) for resource in self.resources}
            if len(found) > 1:
                raise bad_value(f"resources: {name}", sorted(found), "one for all")
        elements = [
            (slot, *place)
            for slot, resource in zip(self.slots, self.resources, strict=True)
            for place in resource.elements
        ]
        if len(set(elements)) != len(elements):
            raise bad_value("resources", self.slots, "slots in which resources do not share elements")

    @property
    def num_ports(self) -> int:
        return sum(resource.num_ports for resource in self.resources)

    @property
    def cdm_length(self) -> int:
        """Ports that share the resource elements of a group."""
        return self.resources[0].cdm_length

    def prbs(self, num_prb: int) -> np.ndarray:
        """PRBs with resource elements, int64."""
        return self.resources[0].prbs(num_prb)

    def pilots(self, num_prb: int, slot: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Elements int64 [num_re, 3] (slot from `slot` on, subcarrier in the PRB, symbol), and what every port sends on
        them, complex128 [num_prb_used, num_ports, num_re]: on those of other resources nothing."""
        places, values = [], []
        for offset, resource in zip(self.slots, self.resources, strict=True):
            elements, sent = resource.pilots(num_prb, slot + offset)
            places.append(np.concatenate([np.full((len(elements), 1), offset), elements], 1))
            values.append(sent)
        sizes = [sent.shape[2] for sent in values]
        found = np.zeros((len(values[0]), self.num_ports, sum(sizes)), complex)
        port = element = 0
        for sent in values:
            found[:, port : port + sent.shape[1], element : element + sent.shape[2]] = sent
            port, element = port + sent.shape[1], element + sent.shape[2]
        return np.concatenate(places), found


def usual_resources(num_ports: int, density: float = 1.0) -> CsiRs | AggregatedCsiRs:
    """`usual_resource`, or for 48, 64 and 128 ports several of them, in a slot each."""
    each = _PORTS_EACH.get(num_ports)
    if each is None:
        return usual_resource(num_ports, density)
    count = num_ports // each
    return AggregatedCsiRs((usual_resource(each, density),) * count, tuple(range(count)))
