"""Which pairs of duration and position have DM-RS, against the conditions of TS 38.211 §6.4.1.1.3 and §7.4.1.1.2."""

from __future__ import annotations

from itertools import product

import pytest

from ran.errors import InputError
from ran.phy.config import Dmrs, Pdsch
from ran.phy.dmrs_positions import Direction, dmrs_positions

#: Durations of mapping type A that have a row: PUSCH from 4 symbols on; PDSCH from 3, with double symbols from 4.
SHORTEST = {("uplink", 1): 4, ("uplink", 2): 4, ("downlink", 1): 3, ("downlink", 2): 4}


def is_allowed(direction: Direction, duration: int, length: int, additional: int, type_a_position: int) -> bool:
    """The conditions in the clauses' own order, written out here a second time."""
    if not SHORTEST[direction, length] <= duration <= 14:
        return False
    if length == 2 and additional > 1:
        return False
    if type_a_position == 2:
        return True
    # position pos3 needs pos2; of l_d = 3 and 4 the tables for single and double symbols need it "respectively"
    return additional != 3 and duration != {1: 3, 2: 4}[length]


@pytest.mark.parametrize("direction", ["uplink", "downlink"])
@pytest.mark.parametrize("length", [1, 2])
def test_pairs_of_duration_and_position(direction: Direction, length: int) -> None:
    for duration, additional, position in product(range(1, 15), range(4), (2, 3)):
        given = (direction, "A", 0, duration, length, additional, position)
        if not is_allowed(direction, duration, length, additional, position):
            with pytest.raises(InputError):
                dmrs_positions(*given)  # type: ignore[arg-type]
            continue
        symbols = dmrs_positions(*given)  # type: ignore[arg-type]
        assert symbols[0] == position
        assert list(symbols) == sorted(set(symbols))
        # all of them within the duration, the second symbol of double-symbol DM-RS too
        assert symbols[-1] + length <= duration


def test_four_symbols_of_pdsch_with_the_first_dmrs_in_symbol_3() -> None:
    assert Pdsch(num_symbols=4, dmrs=Dmrs(type_a_position=3)).dmrs_groups == ((3,),)
    assert Pdsch(start_symbol=1, num_symbols=3, dmrs=Dmrs(type_a_position=3)).dmrs_groups == ((3,),)
