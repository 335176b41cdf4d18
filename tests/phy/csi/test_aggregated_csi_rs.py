"""CSI-RS of 48, 64 and 128 ports: several resources, each as it is alone, and the channel estimated from them."""

from __future__ import annotations

import numpy as np
import pytest

from ran.errors import InputError
from ran.phy.csi.aggregated_csi_rs import AggregatedCsiRs, usual_resources
from ran.phy.csi.csi_rs import CsiRs, usual_resource
from receivers.csi.channel_estimate import least_squares


@pytest.mark.parametrize(("num_ports", "each"), [(48, 24), (64, 32), (128, 32)])
def test_ports_of_a_resource_are_those_it_has_alone(num_ports, each):
    signal = usual_resources(num_ports)
    elements, pilots = signal.pilots(5, slot=3)
    assert pilots.shape == (5, num_ports, num_ports)
    for number in range(num_ports // each):
        alone_at, alone = usual_resource(each).pilots(5, slot=3 + number)
        own = elements[:, 0] == number
        np.testing.assert_array_equal(elements[own, 1:], alone_at)
        np.testing.assert_array_equal(pilots[:, each * number : each * (number + 1)][..., own], alone)
        # and on elements of the others it is silent
        assert not pilots[:, each * number : each * (number + 1)][..., ~own].any()


@pytest.mark.parametrize("density", [0.5, 1.0])
def test_without_noise_the_channel_comes_back(density):
    signal = usual_resources(64, density)
    rng = np.random.default_rng(1)
    prbs, (_, pilots) = signal.prbs(9), signal.pilots(9)
    h = rng.standard_normal((len(prbs), 2, 64, 2)) @ [1, 1j]
    np.testing.assert_allclose(least_squares(h @ pilots, pilots), h.transpose(1, 2, 0), atol=1e-12)


def test_resources_of_one_slot_may_share_it():
    parts = tuple(CsiRs(18, (0, 2, 4, 6), (symbol,)) for symbol in (2, 6))
    elements, _ = AggregatedCsiRs(parts, (1, 1)).pilots(4)
    assert len({tuple(place) for place in elements.tolist()}) == 64


@pytest.mark.parametrize(
    ("resources", "slots", "message"),
    [
        ((usual_resource(32),), (0,), "ports of all resources: got 32; allowed: 48, 64, 128"),
        ((usual_resource(32),) * 2, (0, 0), "do not share elements"),
        ((usual_resource(32),) * 2, (0, 8), "slots: got"),
        ((usual_resource(32),) * 2, (0,), "slots: got"),
        ((usual_resource(32), usual_resource(32, 0.5)), (0, 1), "resources: density: got"),
        ((usual_resource(32), usual_resource(16), usual_resource(16)), (0, 1, 2), "resources: num_ports: got"),
    ],
)
def test_what_does_not_fit_together_is_refused(resources, slots, message):
    with pytest.raises(InputError, match=message):
        AggregatedCsiRs(resources, slots)
