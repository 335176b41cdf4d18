import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ran.errors import InputError
from ran.phy.mcs import mcs, num_re_for_tbs, transport_block_size

# Payloads of the fixed reference channels of TS 38.104 Annex A: modulation order, rate x 1024, PRBs, layers, bits.
# One DM-RS symbol and one additional, two CDM groups without data: 24 of 168 REs of a PRB.
FRC = [
    *(
        (2, 193, prb, 1, size)
        for prb, size in ((24, 1320), (25, 1352), (51, 2792), (52, 2856), (106, 5768), (273, 14856))
    ),
    *(
        (2, 193, prb, 2, size)
        for prb, size in ((24, 2600), (25, 2728), (51, 5512), (52, 5640), (106, 11528), (273, 29736))
    ),
    *((2, 193, prb, 4, size) for prb, size in ((24, 5256), (25, 5384), (273, 59496))),
    *((4, 658, prb, 1, size) for prb, size in ((24, 8968), (25, 9224), (51, 18960), (52, 19464), (106, 38936))),
    *((4, 658, prb, 2, size) for prb, size in ((24, 17928), (25, 18432), (51, 37896), (52, 38936), (106, 77896))),
    *((4, 658, 273, layers, size) for layers, size in ((1, 100392), (2, 200808))),
    *((6, 567, prb, 1, size) for prb, size in ((24, 11528), (25, 12040), (51, 24576), (52, 25104), (106, 50184))),
    (6, 567, 273, 1, 131176),
    *((4, 434, prb, 4, size) for prb, size in ((24, 23568), (25, 24576), (273, 270576))),
]


@pytest.mark.parametrize(("bits_per_symbol", "rate", "num_prb", "num_layers", "payload"), FRC)
def test_reference_channels_of_ts_38_104(bits_per_symbol, rate, num_prb, num_layers, payload):
    num_re = num_re_for_tbs(num_prb, 14, 24)
    assert transport_block_size(num_re, rate / 1024, bits_per_symbol, num_layers) == payload


@pytest.mark.parametrize(("table", "last"), [(1, 28), (2, 27)])
def test_tables_equal_sionna(table, last):
    from sionna.phy.nr.utils import decode_mcs_index

    for index in range(last + 1):
        order, rate = decode_mcs_index(index, table_index=table)
        entry = mcs(table, index)
        assert entry.bits_per_symbol == int(order)
        assert entry.target_rate == pytest.approx(float(rate), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([(t, i) for t, last in ((1, 28), (2, 27)) for i in range(last + 1)]),
    st.integers(1, 275),
    st.integers(4, 14),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_sizes_equal_sionna(table_index, num_prb, num_symbols, num_layers, num_dmrs_symbols):
    from sionna.phy.nr.utils import calculate_tb_size

    entry = mcs(*table_index)
    num_dmrs = 12 * min(num_dmrs_symbols, num_symbols - 1)
    expected, *_ = calculate_tb_size(
        modulation_order=entry.bits_per_symbol,
        target_coderate=entry.target_rate,
        num_prbs=num_prb,
        num_ofdm_symbols=num_symbols,
        num_dmrs_per_prb=num_dmrs,
        num_layers=num_layers,
    )
    num_re = num_re_for_tbs(num_prb, num_symbols, num_dmrs)
    assert transport_block_size(num_re, entry.target_rate, entry.bits_per_symbol, num_layers) == int(expected)


def test_bad_input():
    with pytest.raises(InputError, match="0 to 28"):
        mcs(1, 29)
    with pytest.raises(InputError, match="0 to 27"):
        mcs(2, 28)
    with pytest.raises(InputError, match="1, 2, 3, 4"):
        mcs(5, 0)
    with pytest.raises(InputError, match="num_re"):
        transport_block_size(0, 0.5, 2)
    with pytest.raises(InputError, match="target_rate"):
        transport_block_size(100, 1.0, 2)
    with pytest.raises(InputError, match="data"):
        num_re_for_tbs(0, 14, 24)
