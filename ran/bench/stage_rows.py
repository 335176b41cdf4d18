"""Stages of a slot on their own: channel response, equalisation with LLRs, transport block encoding."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from channels import Tdl
from ran.bench import cost, sionna_peer
from ran.bench.peak_memory import peak_text
from ran.bench.row import Effort, Match, Parity, Row, Side, Target, Work
from ran.bench.slot_rows import slot_config
from ran.link import Link, LinkConfig
from ran.phy.config import Users
from ran.phy.numerology import symbol_times_s
from ran.phy.pusch import PuschGrid
from receivers import RECEIVERS

_SEED = 38211
_SPACING_HZ = 30e3
_PEER_BATCHES = (1, 4, 16)


class TdlWork(Work):
    """Draws of TDL-C with 300 ns and 50 Hz on 14 symbols, tap generation included."""

    def __init__(self, num_rx_ant: int, num_prb: int, parity_draws: int) -> None:
        self.num_rx_ant, self.num_prb, self.parity_draws = num_rx_ant, num_prb, parity_draws
        self.channel = Tdl("C", delay_spread_ns=300.0, max_doppler_hz=50.0)
        self.times = symbol_times_s(1, 0)
        subcarriers = 12 * num_prb
        self.frequencies = (np.arange(subcarriers) - (subcarriers - 1) / 2) * _SPACING_HZ
        self.generators = [np.random.default_rng(_SEED)]
        self.side = Side(lambda: self.draw(1), 1, "batch 1")
        taps = self.channel.power_delay_profile.num_taps
        self.cost = cost.tdl_response(num_rx_ant, taps, self.times, self.channel.doppler_hz, subcarriers)

    def draw(self, batch: int) -> torch.Tensor:
        """complex64 [batch, num_rx_ant, 14, num_subcarriers]."""
        with torch.inference_mode():
            generators = self.generators * batch
            return self.channel.response(generators, self.num_rx_ant, 1, self.times, self.frequencies)[:, :, 0]

    def against_sionna(self, effort: Effort) -> Match:
        config = slot_config(self.num_prb, 20, self.num_rx_ant)
        sender = sionna_peer.transmitter(config.carrier, config.uplink, config.users)
        generate = sionna_peer.tdl_on_grid(self.channel, self.num_rx_ant, 1, sender.resource_grid)
        candidates = [
            Side(partial(generate, batch), batch, f"20 sinusoids per tap, batch {batch}, eager", ("", batch))
            for batch in _PEER_BATCHES
        ]
        return Match(candidates, partial(self._parity, generate, effort))

    def _parity(self, generate: Any, effort: Effort, chosen: Side) -> Parity:
        """Mean power and frequency correlation of both, each against the profile, within four standard errors."""
        draws = effort.blocks(self.parity_draws)
        ours = torch.cat([self.draw(1) for _ in range(draws)])
        # [batch, rx, rx_ant, tx, tx_ant, symbol, subcarrier] -> [batch, rx_ant, symbol, subcarrier]
        peer = torch.cat([generate(1)[:, 0, :, 0, 0] for _ in range(draws)])
        lag = min(34, self.frequencies.size // 2)  # about 1 MHz: the correlation of 300 ns has fallen to a half
        expected = complex(self.channel.power_delay_profile.frequency_correlation(np.array([lag * _SPACING_HZ]))[0])
        parts, ok = [], True
        for name, h in (("ours", ours), ("Sionna", peer)):
            power = (h.abs() ** 2).mean((1, 2, 3)).double()
            correlation = (h[..., lag:] * h[..., :-lag].conj()).mean((1, 2, 3)).to(torch.complex128)
            power_error = abs(float(power.mean()) - 1)
            correlation_error = abs(complex(correlation.mean()) - expected)
            ok &= power_error < 4 * float(power.std()) / draws**0.5
            ok &= correlation_error < 4 * float(correlation.std()) / draws**0.5
            parts.append(f"{name} {power_error:.3f} and {correlation_error:.3f}")
        what = f"power and correlation at {lag * _SPACING_HZ / 1e6:.2g} MHz"
        text = f"deviation of {what} from the profile over {draws} draws: {', '.join(parts)}"
        return Parity(text + peak_text({"ours": partial(self.draw, 1), "Sionna": partial(generate, 1)}), bool(ok))


class LmmseWork(Work):
    """LLRs of a slot from a known channel: LMMSE equalisation, post-equalisation SINR, max-log, on received slots."""

    def __init__(self, config: LinkConfig, esn0_db: float) -> None:
        self.link, self.config, self.esn0_db = Link(config), config, esn0_db
        self.receiver = RECEIVERS["perfect-csi"]()
        with torch.inference_mode():
            self.batch = self.link.batch(range(1), esn0_db, _SEED, "bench")
        grid = self.link.grid
        self.side = Side(self.llr, grid.num_data_re / 1e6, "from the link's own grid and channel, one slot")
        self.cost = cost.lmmse_detection(config.num_rx_ant, grid.num_layers, grid.bits_per_symbol, grid.num_data_re)

    def llr(self) -> torch.Tensor:
        """float32 [1, num_layers, num_data_re, bits_per_symbol]."""
        with torch.inference_mode():
            return self.link.receive(self.receiver, self.batch)

    def against_sionna(self, effort: Effort) -> Match:
        from sionna.phy.mapping import Demapper
        from sionna.phy.mimo import lmmse_equalizer

        grid, observation = self.link.grid, self.batch.observation
        mask, num_rx_ant = grid.data_mask, self.config.num_rx_ant
        # in the layout that Sionna's functions take: REs first, antennas and layers last, contiguous
        y = observation.y[0][:, mask].T.contiguous().clone()
        h = (self.batch.truth.h[0][:, :, mask] * grid.layer_amplitude).permute(2, 0, 1).contiguous().clone()
        noise_var = 10 ** (-self.esn0_db / 10)
        noise = (noise_var * torch.eye(num_rx_ant, dtype=torch.complex64)).expand(len(y), -1, -1).contiguous()
        demap = Demapper("maxlog", "qam", grid.bits_per_symbol)

        def run(whiten: bool) -> torch.Tensor:
            with torch.no_grad():
                llr: torch.Tensor = demap(*lmmse_equalizer(y, h, noise, whiten_interference=whiten))
                return llr

        candidates = [
            Side(
                partial(run, whiten), self.side.work, f"lmmse_equalizer {how}, Demapper, data laid out before", (how, 1)
            )
            for whiten, how in ((True, "with whitening"), (False, "without whitening"))
        ]
        return Match(candidates, self._parity)

    def _parity(self, chosen: Side) -> Parity:
        """Largest difference of the LLRs, relative to their root mean square."""
        grid, found = self.link.grid, chosen.run()
        if not isinstance(found, torch.Tensor):
            raise TypeError(f"a peer's LLRs are a tensor, got {type(found).__name__}")
        # [RE, layer x bit] -> [layer, RE, bit]; Sionna's sign is the opposite
        peer = -found.reshape(grid.num_data_re, grid.num_layers, -1).transpose(0, 1)
        ours = self.llr()[0]
        difference = float((ours - peer).abs().max() / ours.square().mean().sqrt())
        return Parity(f"largest difference of LLRs, relative to their rms: {difference:.1e}", difference < 1e-2)


class EncodeWork(Work):
    """Transport blocks to scrambled coded bits: CRC, segmentation, LDPC, rate matching, scrambling."""

    def __init__(self, config: LinkConfig, batch: int) -> None:
        self.config, self.grid = config, PuschGrid.build(config.carrier, config.uplink, config.users)
        block = self.grid.transport_block
        rng = np.random.default_rng(_SEED)
        self.blocks = rng.integers(0, 2, (max(batch, *_PEER_BATCHES), 1, block.tb_size), dtype=np.uint8)
        self.side = Side(partial(self.grid.encode, self.blocks[:batch]), batch, f"batch {batch}")
        of_block = cost.ldpc_encoding(block.code, block.num_coded_bits // block.num_code_blocks)
        self.cost = of_block * (block.num_code_blocks * batch)

    def against_sionna(self, effort: Effort) -> Match:
        sender = sionna_peer.transmitter(self.config.carrier, self.config.uplink, Users())
        encode = sender._tb_encoder
        bits = torch.from_numpy(self.blocks.astype(np.float32))
        candidates = [
            Side(partial(encode, bits[:batch]), batch, f"TBEncoder, batch {batch}, eager", ("", batch))
            for batch in _PEER_BATCHES
        ]
        return Match(candidates, partial(self._parity, encode, bits))

    def _parity(self, encode: Any, bits: torch.Tensor, chosen: Side) -> Parity:
        blocks = min(4, len(bits))
        peer = encode(bits[:blocks]).numpy().reshape(blocks, -1)
        ours = self.grid.encode(self.blocks[:blocks]).reshape(blocks, -1)
        different = int((peer != ours).sum())
        return Parity(f"coded bits that differ: {different} of {ours.size}", different == 0)


def lmmse_row(num_rx_ant: int, num_layers: int, target: Target, num_prb: int = 273) -> Row:
    """64QAM, MCS 20."""
    return Row(
        name=f"lmmse-{num_rx_ant}x{num_layers}",
        group="stage",
        title=f"LMMSE {num_rx_ant}x{num_layers} with SINR and 64QAM LLRs, {num_prb} PRB",
        unit="M RE",
        target=target,
        make=partial(LmmseWork, slot_config(num_prb, 20, num_rx_ant, num_layers), 25.0),
    )


STAGE_ROWS = (
    Row("tdl-response", "stage", "TDL-C response, 4 Rx, 14 x 3276", "draws", Target(7), partial(TdlWork, 4, 273, 200)),
    lmmse_row(4, 4, Target(50)),
    lmmse_row(8, 4, Target(50)),
    Row(
        "tb-encode",
        "stage",
        "transport block encoding, 273 PRB, MCS 27",
        "blocks",
        Target(10),
        partial(EncodeWork, slot_config(273, 27, 4), 16),
    ),
)
