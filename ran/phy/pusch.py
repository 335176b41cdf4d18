"""PUSCH: from transport blocks to the resource grid and from LLRs back to transport blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from ran.errors import InputError
from ran.phy.allocation import Placement, placement_of
from ran.phy.codebook import precoding_matrix
from ran.phy.codeword import Codeword, data_res
from ran.phy.config import Carrier, Precision, Pusch, Users
from ran.phy.constellation import points_of
from ran.phy.dmrs import dmrs_grid, dmrs_symbols, left_to_others, pilot_subcarriers, ports_of_users
from ran.phy.mcs import mcs
from ran.phy.modulation import modulate
from ran.phy.ptrs import ptrs_grid, ptrs_subcarriers, ptrs_symbols
from ran.phy.shared_grid import SharedGrid
from ran.phy.transport_block import TransportBlock, TransportBlockDecision
from ran.phy.uci.multiplexing import places


def assign_ports(pusch: Pusch, users: Users) -> tuple[tuple[int, ...], ...]:
    """DM-RS ports of each user, one per layer; checked for orthogonality and for the REs that data would take."""
    return ports_of_users(pusch, users.num_users, users.dmrs_ports)


@dataclass(frozen=True)
class PuschGrid(SharedGrid):
    """Everything about a PUSCH allocation that does not change from slot to slot.

    data_mask [14, num_subcarriers] bool; pilots [num_layers, 14, num_subcarriers] complex64, DM-RS and PT-RS;
    layers are ordered user by user. precoder complex64 [num_antenna_ports, layers of a user] takes symbols of amplitude
    `layer_amplitude` to the antenna ports of a user; None where every layer has its own antenna.
    codewords: one for every run of neighbouring users of equal MCS whose RNTIs count up, so one where all are alike.
    """

    carrier: Carrier
    pusch: Pusch
    ports: tuple[tuple[int, ...], ...]
    dmrs_symbols: tuple[int, ...]
    data_mask: Tensor
    pilots: Tensor
    precoder: Tensor | None
    codewords: tuple[Codeword, ...]
    placement: Placement

    @classmethod
    def build(cls, carrier: Carrier, pusch: Pusch, users: Users) -> PuschGrid:
        """Compute masks, pilots, scrambling and transport block; `InputError` for impossible combinations, also for
        users with resource blocks of their own: those have `ran.phy.user_grids.UserGrids`."""
        users.check_one_allocation("on one grid")
        pusch, users = users.with_common_allocation(pusch)
        _check_users(carrier, pusch, users)
        rntis = users.rntis(pusch)
        ports = assign_ports(pusch, users)
        data_mask = data_res(carrier, pusch)
        amplitude = 1 / np.sqrt(pusch.num_layers)
        pilots = np.stack([amplitude * dmrs_grid(carrier, pusch, port) for user in ports for port in user])
        if pusch.has_dmrs:
            _check_pilots(carrier, pusch, pilots, [port for user in ports for port in user])
        if pusch.ptrs is not None:
            layer = pusch.ptrs.layer
            pilots[layer] += amplitude * ptrs_grid(carrier, pusch, rntis[0], ports[0][layer])
            subcarriers = ptrs_subcarriers(carrier, pusch, rntis[0], ports[0][layer])
            data_mask[np.ix_(np.array(ptrs_symbols(pusch), int), subcarriers)] = False
        precoder = None
        if pusch.num_antenna_ports is not None:
            w = precoding_matrix(pusch.num_layers, pusch.num_antenna_ports, pusch.tpmi, pusch.transform_precoding)
            precoder = torch.from_numpy((w * np.sqrt(pusch.num_layers)).astype(np.complex64))
        codewords: list[Codeword] = []
        # of neighbours of equal MCS whose RNTIs count up
        each = [
            (index, rnti - user) for user, (index, rnti) in enumerate(zip(users.mcs_indices(pusch), rntis, strict=True))
        ]
        for (index, _), alike in groupby(each):
            first, count = sum(codeword.num_users for codeword in codewords), len(list(alike))
            codewords.append(_codeword(carrier, pusch, index, rntis[first], count, data_mask))
        return cls(
            carrier=carrier,
            pusch=pusch,
            ports=ports,
            dmrs_symbols=dmrs_symbols(pusch),
            data_mask=torch.from_numpy(data_mask),
            pilots=torch.from_numpy(pilots.astype(np.complex64)),
            precoder=precoder,
            codewords=tuple(codewords),
            placement=placement_of(carrier, pusch),
        )

    @property
    def channel(self) -> Pusch:
        return self.pusch

    @property
    def codeword(self) -> Codeword:
        """The one codeword of all users; `InputError` where their MCS differ, or RNTIs do not count up."""
        if len(self.codewords) > 1 and len(set(self.block_sizes)) == 1:
            raise InputError(f"users.n_rnti: got {len(self.codewords)} codewords; allowed: RNTIs that count up")
        if len(self.codewords) > 1:
            sizes = ", ".join(map(str, self.block_sizes))
            raise InputError(f"users.mcs_index: got transport blocks of {sizes} bits; allowed: one MCS for all users")
        return self.codewords[0]

    @property
    def layer_ports(self) -> tuple[int, ...]:
        return tuple(port for user in self.ports for port in user)

    @property
    def transform_precoding(self) -> bool:
        return self.pusch.transform_precoding

    @property
    def constellation(self) -> np.ndarray | None:
        return None if self.pusch.constellation is None else points_of(self.pusch.constellation)

    @property
    def transport_block(self) -> TransportBlock:
        return self.codeword.transport_block

    @property
    def scrambling(self) -> np.ndarray:
        """Scrambling sequences, uint8 [num_users, num_coded_bits]."""
        return self.codeword.scrambling

    @property
    def target_rate(self) -> float:
        return self.codeword.target_rate

    @property
    def num_users(self) -> int:
        return len(self.ports)

    @property
    def num_antennas_per_user(self) -> int:
        """Transmit antennas of a user: its antenna ports, or one per layer without a codebook."""
        return self.pusch.num_layers if self.precoder is None else self.precoder.shape[0]

    @property
    def layer_amplitude(self) -> float:
        """Amplitude of a layer's symbols: the layers of a user share its unit power."""
        return float(1 / np.sqrt(self.pusch.num_layers))

    def to_grid(self, coded_bits: Tensor) -> Tensor:
        return self.map_to_grid(coded_bits)

    def encode(self, transport_blocks: np.ndarray) -> np.ndarray:
        """Encode and scramble.

        transport_blocks [batch, num_users, largest tb_size] uint8.
        Returns scrambled coded bits per layer, uint8 [batch, num_layers, num_data_re, bits_per_symbol].
        Source: TS 38.212 §6.2, TS 38.211 §6.3.1.1 and §6.3.1.3, Rel-18.
        """
        return self.code(transport_blocks)

    def map_to_grid(self, coded_bits: Tensor) -> Tensor:
        """Modulate, transform-precode where configured, and place data, DM-RS and PT-RS.

        coded_bits [batch, num_layers, num_data_re, bits_per_symbol] uint8.
        Returns x complex64 [batch, num_layers, 14, num_subcarriers] (TS 38.211 §6.3.1.2, §6.3.1.4, §6.3.1.6, §6.3.1.7).
        """
        batch = coded_bits.shape[0]
        points = None if self.constellation is None else torch.from_numpy(self.constellation).to(coded_bits.device)
        parts = zip(self.codewords, self.split_layers(coded_bits), strict=True)
        symbols = torch.cat([modulate(bits.flatten(2), c.bits_per_symbol, points) for c, bits in parts], dim=1)
        if self.pusch.transform_precoding:
            per_ofdm_symbol = symbols.unflatten(2, (-1, self.num_subcarriers))
            symbols = torch.fft.fft(per_ofdm_symbol, norm="ortho").flatten(2)
        device = coded_bits.device
        x = self.pilots.to(device).expand(batch, -1, -1, -1).clone()
        x[:, :, self.data_mask.to(device)] = self.layer_amplitude * symbols
        return x

    def precode(self, x: Tensor) -> Tensor:
        """Layers to antennas (TS 38.211 §6.3.1.5): x [batch, num_layers, 14, num_subcarriers] complex64
        -> [batch, num_users * num_antennas_per_user, 14, num_subcarriers], antennas of a user together."""
        if self.precoder is None:
            return x
        per_user = x.unflatten(1, (self.num_users, -1))
        return torch.einsum("pl,bulsk->bupsk", self.precoder.to(x.device), per_user).flatten(1, 2)

    def layer_channel(self, h: Tensor) -> Tensor:
        """The channel that the layers see: the precoder is part of it.

        h [batch, num_rx_ant, num_users * num_antennas_per_user, 14, num_subcarriers] complex64
        -> [batch, num_rx_ant, num_layers, 14, num_subcarriers].
        """
        if self.precoder is None:
            return h
        per_user = h.unflatten(2, (self.num_users, -1))
        return torch.einsum("brupsk,pl->brulsk", per_user, self.precoder.to(h.device)).flatten(2, 3)

    def decode(self, llr: np.ndarray, num_iterations: int, precision: Precision) -> TransportBlockDecision:
        """Descramble and decode users of one MCS; `decode_blocks` takes all.

        llr [batch, num_layers, num_data_re, bits_per_symbol] float32, positive means bit 0.
        Returns decisions whose leading dimension is batch * num_users, user fastest.
        """
        return self.codeword.decode(llr, num_iterations, precision)


def _codeword(
    carrier: Carrier, pusch: Pusch, mcs_index: int, n_rnti: int, num_users: int, data_mask: np.ndarray
) -> Codeword:
    """The codeword of neighbouring users of equal MCS. n_rnti: of the first, the others count up."""
    entry = mcs(pusch.mcs_table, mcs_index, pusch.transform_precoding, pusch.pi2_bpsk)
    uci_places = None
    if pusch.uci is not None:
        uci_places = partial(
            places,
            data_mask,
            dmrs_symbols(pusch),
            pusch.uci,
            entry.bits_per_symbol * pusch.num_layers,
            entry.bits_per_symbol,
            entry.target_rate,
        )
    return Codeword.build(
        carrier,
        pusch.model_copy(update={"n_rnti": n_rnti}),
        entry,
        num_layers=pusch.num_layers,
        num_data_re=int(data_mask.sum()),
        rv=pusch.rv,
        num_users=num_users,
        limited_buffer=pusch.limited_buffer,
        uci_places=uci_places,
    )


def _check_users(carrier: Carrier, pusch: Pusch, users: Users) -> None:
    """What only carrier, allocation and users together can tell."""
    if pusch.constellation is not None and users.num_users != 1:
        raise InputError(f"users.num_users: got {users.num_users} with pusch.constellation; allowed: 1")
    if pusch.transform_precoding:
        num_prb = placement_of(carrier, pusch).num_prb
        rest = num_prb
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest != 1:
            raise InputError(
                f"{'carrier.num_prb' if num_prb == carrier.num_prb else 'pusch.allocation'}: got {num_prb} "
                "with transform precoding; allowed: products of 2, 3 and 5 "
                "(TS 38.211 §6.3.1.4)"
            )
    if pusch.ptrs is not None and users.num_users != 1:
        raise InputError(
            f"users.num_users: got {users.num_users} with pusch.ptrs; allowed: 1, since a user's PT-RS lie in the data "
            "of the others (TS 38.211 §6.3.1.6)"
        )


def _check_pilots(carrier: Carrier, pusch: Pusch, pilots: np.ndarray, ports: list[int]) -> None:
    """Receivers divide by pilots, [num_layers, 14, num_subcarriers]: all must have power.

    Low-PAPR sequences of type 2 have it on all subcarriers only for some groups: a tenth of the mean is common, and
    exactly none occurs in TS 38.211 tables 5.2.3.2-1, -2 and -4.
    """
    for of_layer, port in zip(pilots, ports, strict=True):
        at_pilots = pilot_subcarriers(port, pusch.dmrs.config_type, pilots.shape[-1], pusch.dmrs.frequency_density)
        power = np.abs(of_layer[np.ix_(np.array(dmrs_symbols(pusch)), at_pilots)]) ** 2
        power = power[~left_to_others(carrier, pusch)[np.ix_(np.array(dmrs_symbols(pusch)), at_pilots)]]
        silent = int((power < 1e-6 * power.mean()).sum())
        if silent:
            raise InputError(
                f"dmrs.low_papr_type: got 2 with {carrier.num_prb} PRBs and a sequence group that leaves {silent} of "
                f"{power.size} pilots without power (TS 38.211 §5.2.3.2); allowed: another dmrs.n_id, whose remainder "
                "by 30 is the group, or type 1"
            )
