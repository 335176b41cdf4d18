"""Lower bounds of a slot's stages: operations at the measured peak, bytes at the measured memory bandwidth."""

from __future__ import annotations

from dataclasses import replace

from channels import Cdl, Tdl
from channels.scenarios.clusters import NUM_RAYS, num_paths
from channels.scenarios.scenario_channel import ScenarioChannel
from ran.bench import cost
from ran.bench.cost import Cost
from ran.bench.machine import Limits
from ran.bench.work import product_flops
from ran.link import Link
from ran.link.batch import SlotBatch
from ran.phy.numerology import NUM_SYMBOLS_PER_SLOT, symbol_times_s
from receivers import LsLinear, Receiver
from receivers.neural.receiver import NeuralReceiver

#: Bytes that a drop's counts take in the store.
_STORED_BYTES = 16.0


def floor_seconds(floor: Cost, limits: Limits) -> float:
    """Seconds on one core. A batch is larger than the caches: its bytes pass through main memory."""
    return floor.seconds(replace(limits, bytes_per_s=limits.memory_bytes_per_s))


def shared_floors(link: Link) -> dict[str, Cost]:
    """Of one slot, by stage, where one is known: bits drawn and coded, channel, noise, each array written once."""
    grid, num_rx_ant = link.grid, link.config.num_rx_ant
    layers, subcarriers = grid.num_layers, grid.num_subcarriers
    num_re = NUM_SYMBOLS_PER_SLOT * subcarriers
    floors = {"draw": Cost(bytes=float(sum(grid.block_sizes))), "transmit": Cost(bytes=8.0 * layers * num_re)}
    for codeword in grid.codewords:
        block = codeword.transport_block
        coded = cost.ldpc_encoding(block.code, block.num_coded_bits // block.num_code_blocks)
        floors["transmit"] += coded * (block.num_code_blocks * codeword.num_users)
    times = symbol_times_s(link.config.carrier.numerology, link.config.carrier.slot_number)
    pairs, channel = num_rx_ant * link.transmitter.num_tx_ant, link.channels[0]
    if len(link.channels) == 1 and isinstance(channel, Tdl):
        taps = channel.power_delay_profile.num_taps
        floors["channel"] = cost.tdl_response(pairs, taps, times, channel.doppler_hz, subcarriers)
    elif len(link.channels) == 1 and isinstance(channel, Cdl):
        floors["channel"] = cost.cdl_response(pairs, channel.clusters, times, channel.doppler_hz, subcarriers)
    elif len(link.channels) == 1 and isinstance(channel, ScenarioChannel):
        paths = num_paths(int(channel.parameters.num_clusters.max()))
        floors["channel"] = cost.ray_response(pairs, paths, NUM_RAYS, times, channel.doppler_hz, subcarriers)
    if link.config.waveform is None:
        written = Cost(bytes=8.0 * num_rx_ant * num_re)
        floors["noise"] = cost.transmission(num_rx_ant, layers, num_re) + written
    return floors


def receiver_floors(link: Link, receiver: Receiver, batch: SlotBatch, iterations: float) -> dict[str, Cost]:
    """Of one slot, by stage. iterations: that the decoder ran for this receiver's LLRs, in the mean.

    Of estimation by linear interpolation the operations are known, of any other method those of its matrix products and
    convolutions are counted; what it does beside them is not in the floor.
    """
    grid, num_rx_ant, drops = link.grid, link.config.num_rx_ant, len(batch.observation.y)
    layers, bits, num_data_re = grid.num_layers, grid.bits_per_symbol, grid.num_data_re
    grid_read = Cost(bytes=8.0 * num_rx_ant * NUM_SYMBOLS_PER_SLOT * grid.num_subcarriers)
    if isinstance(receiver, LsLinear):
        products = cost.linear_interpolation(num_rx_ant, layers, len(grid.dmrs_symbols), grid.num_subcarriers)
    else:
        # not in inference mode, where torch hands out whole layers that nobody knows the operations of
        products = Cost(flops=product_flops(lambda: link.receive(receiver, batch)) / drops)
    demap = Cost(flops=3.0 * layers * bits * num_data_re)
    llrs = 4.0 * layers * bits * num_data_re
    detection = cost.lmmse_detection(num_rx_ant, layers, bits, num_data_re)
    floors = {"network" if isinstance(receiver, NeuralReceiver) else "estimate": products + grid_read}
    if not isinstance(receiver, NeuralReceiver):
        floors["equalise"] = Cost(flops=detection.flops - demap.flops) + grid_read
        floors["demap"] = demap + Cost(bytes=llrs)
    floors["rate recovery"] = Cost(bytes=2 * llrs)
    floors["decode"] = Cost()
    for codeword in grid.codewords:
        block = codeword.transport_block
        blocks = block.num_code_blocks * codeword.num_users
        floors["decode"] += cost.ldpc_decoding(block.code, iterations) * blocks
    floors["compare"] = Cost(bytes=2.0 * sum(grid.block_sizes))
    floors["store"] = Cost(bytes=_STORED_BYTES)
    return floors
