"""A slot whose users have resource blocks of their own: a PUSCH of each, on one grid.

What a user sends is what it would send alone. A receiver is handed rectangles of the grid in which the same users send
throughout: a user that shares no resource block with others is received as if it were alone, and of users that overlap
only in part those of a rectangle are detected together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ran.errors import InputError
from ran.phy.allocation import Part, Placement
from ran.phy.codeword import Codeword
from ran.phy.config import Carrier, Pusch, Users
from ran.phy.dmrs import ports_of_users
from ran.phy.pusch import PuschGrid
from ran.phy.shared_grid import SharedGrid


@dataclass(frozen=True)
class UserPart(Part):
    """A rectangle in which the same users send throughout.

    layers: of the whole slot, those that are sent there. places int64 [layers, n]: where its data REs are among those
    of each layer. channel: the PUSCH of its users. ports: DM-RS port of each layer. codewords: of its users, where the
    rectangle is all that they have, in order; else none.
    """

    layers: tuple[int, ...]
    places: np.ndarray
    channel: Pusch
    ports: tuple[int, ...]
    codewords: tuple[Codeword, ...] = ()


@dataclass(frozen=True)
class UserGrids(SharedGrid):
    """The grids of users with resource blocks of their own, and one that holds them all.

    grids: of each user alone. placement: its columns are the subcarriers that any of them has, ascending. data_mask,
    pilots: on these columns, those of a layer zero where its user does not send. codewords: one per user.
    """

    carrier: Carrier
    pusch: Pusch
    grids: tuple[PuschGrid, ...]
    placement: Placement
    data_mask: Tensor
    pilots: Tensor
    codewords: tuple[Codeword, ...]

    @classmethod
    def build(cls, carrier: Carrier, pusch: Pusch, users: Users) -> UserGrids:
        """Grids of all users; `InputError` for impossible combinations.

        pusch: of all users but for resource blocks and, where they differ, MCS and RNTI.
        """
        users.with_common_allocation(pusch)  # not both
        allocations = users.allocation or (pusch.allocation,) * users.num_users
        indices = users.mcs_indices(pusch)
        rntis = users.rntis(pusch)
        if users.dmrs_ports is not None and len(users.dmrs_ports) != users.num_users:
            raise InputError(
                f"users.dmrs_ports: got {len(users.dmrs_ports)} lists of ports; allowed: {users.num_users}, one a user"
            )
        each: list[Pusch] = []
        for user, (index, allocation) in enumerate(zip(indices, allocations, strict=True)):
            own = {"mcs_index": index, "n_rnti": rntis[user], "allocation": allocation.model_dump()}
            try:
                each.append(Pusch.model_validate({**pusch.model_dump(), **own}))
            except ValueError as error:
                raise InputError(f"users.allocation[{user}]: {_first_line(error)}") from None
        grids = [_alone(carrier, own, user, None) for user, own in enumerate(each)]
        for group in _groups(grids):
            ports = None if users.dmrs_ports is None else tuple(users.dmrs_ports[user] for user in group)
            found = ports_of_users(pusch, len(group), ports)
            if len(group) > 1:
                _check_overlap([each[user] for user in group], [grids[user] for user in group], group)
            for user, of_user in zip(group, found, strict=True):
                if grids[user].ports != (of_user,):
                    grids[user] = _alone(carrier, each[user], user, of_user)
        return cls.of(carrier, pusch, grids)

    @classmethod
    def of(cls, carrier: Carrier, pusch: Pusch, grids: Sequence[PuschGrid]) -> UserGrids:
        """Users' grids on one."""
        prbs = sorted({prb for grid in grids for hop in grid.placement.hops for prb in hop})
        placement = Placement((tuple(prbs),), 0, carrier.num_symbols, carrier.num_prb)
        masks = [placement.take(grid.placement.put(grid.data_mask.to(torch.uint8))) for grid in grids]
        pilots = [placement.take(grid.placement.put(grid.pilots)) for grid in grids]
        return cls(
            carrier=carrier,
            pusch=pusch,
            grids=tuple(grids),
            placement=placement,
            data_mask=torch.stack(masks).bool().any(0),
            pilots=torch.cat(pilots),
            codewords=tuple(grid.codeword for grid in grids),
        )

    @property
    def dmrs_symbols(self) -> tuple[int, ...]:  # type: ignore[override]
        """OFDM symbols in which any user sends DM-RS."""
        return tuple(sorted({symbol for grid in self.grids for symbol in grid.dmrs_symbols}))

    @property
    def channel(self) -> Pusch:
        return self.pusch

    @property
    def channels(self) -> tuple[Pusch, ...]:
        return tuple(grid.pusch for grid in self.grids)

    @property
    def layer_ports(self) -> tuple[int, ...]:
        return tuple(port for grid in self.grids for port in grid.layer_ports)

    @property
    def num_users(self) -> int:
        return len(self.grids)

    @property
    def num_prb_of_users(self) -> tuple[int, ...]:
        return tuple(grid.num_prb for grid in self.grids)

    @property
    def num_data_re(self) -> int:
        """Data REs of a layer, the most of a user."""
        return max(grid.num_data_re for grid in self.grids)

    @property
    def layer_amplitude(self) -> float:
        return self.grids[0].layer_amplitude

    @property
    def transform_precoding(self) -> bool:
        return self.pusch.transform_precoding

    @property
    def constellation(self) -> np.ndarray | None:
        return self.grids[0].constellation

    @property
    def precoder(self) -> Tensor | None:
        """Of `PuschGrid`, the same for all users."""
        return self.grids[0].precoder

    @property
    def num_antennas_per_user(self) -> int:
        """Transmit antennas of a user: its antenna ports, or one per layer without a codebook."""
        return self.grids[0].num_antennas_per_user

    @property
    def is_contiguous(self) -> bool:
        """False: a receiver is handed the slot in parts."""
        return False

    def to_grid(self, coded_bits: Tensor) -> Tensor:
        parts = zip(self.grids, self.split_layers(coded_bits), strict=True)
        return self.placed([grid.to_grid(bits) for grid, bits in parts])

    def placed(self, of_users: Sequence[Tensor]) -> Tensor:
        """Grids of every user [batch, its layers, num_symbols, its subcarriers] on the common one, one after the other
        over the layers."""
        pairs = zip(self.grids, of_users, strict=True)
        return torch.cat([self.placement.take(grid.placement.put(x)) for grid, x in pairs], dim=1)

    def precode(self, x: Tensor) -> Tensor:
        """Layers to antennas, see `PuschGrid.precode`."""
        if self.precoder is None:
            return x
        return torch.cat([grid.precode(own) for grid, own in zip(self.grids, self._of_users(x, 1), strict=True)], dim=1)

    def layer_channel(self, h: Tensor) -> Tensor:
        """The channel that the layers see, see `PuschGrid.layer_channel`."""
        if self.precoder is None:
            return h
        of_users = self._of_users(h, 2)
        return torch.cat([grid.layer_channel(own) for grid, own in zip(self.grids, of_users, strict=True)], dim=2)

    def _of_users(self, values: Tensor, axis: int) -> tuple[Tensor, ...]:
        return values.chunk(self.num_users, dim=axis)

    @cached_property
    def groups(self) -> tuple[tuple[tuple[int, ...], SharedGrid], ...]:
        found: list[tuple[tuple[int, ...], SharedGrid]] = []
        for users in _groups(self.grids):
            own = [self.grids[user] for user in users]
            found.append((users, own[0] if len(own) == 1 else UserGrids.of(self.carrier, self.pusch, own)))
        return tuple(found)

    @cached_property
    def parts(self) -> tuple[UserPart, ...]:
        found: list[UserPart] = []
        for users in _groups(self.grids):
            own = [self.grids[user] for user in users]
            if all(grid.placement == own[0].placement for grid in own):
                found += [self._same(users, part) for part in own[0].placement.parts]
            else:
                found += self._overlapping(users)
        return tuple(found)

    def _same(self, users: Sequence[int], part: Part) -> UserPart:
        """A rectangle of users whose resource blocks are the same. part: of the grid of each."""
        first = self.grids[users[0]]
        whole = first.is_contiguous
        columns = self._columns(first.placement.subcarriers[part.symbols.start, part.columns])
        codewords = tuple(self.codewords[user] for user in users) if whole else ()
        return self._part(users, part.symbols, columns, [part.columns] * len(users), codewords)

    def _overlapping(self, users: Sequence[int]) -> list[UserPart]:
        """Rectangles of users that overlap in part: runs of PRBs that the same of them have."""
        prbs = {user: self.grids[user].placement.hops[0] for user in users}
        runs: list[tuple[tuple[int, ...], list[int]]] = []
        for prb in sorted(set().union(*prbs.values())):
            there = tuple(user for user in users if prb in prbs[user])
            if runs and runs[-1][0] == there and runs[-1][1][-1] == prb - 1:
                runs[-1][1].append(prb)
            else:
                runs.append((there, [prb]))
        found = []
        for there, run in runs:
            carrier = _subcarriers(run)
            own = [_subcarriers([prbs[user].index(prb) for prb in run]) for user in there]
            symbols = slice(0, self.placement.num_symbols)
            found.append(self._part(there, symbols, self._columns(carrier), own, ()))
        return found

    def _columns(self, of_carrier: np.ndarray) -> np.ndarray:
        """Columns of subcarriers of the carrier."""
        return np.searchsorted(self.placement.subcarriers[0], of_carrier)

    def _part(
        self,
        users: Sequence[int],
        symbols: slice,
        columns: np.ndarray,
        own_columns: Sequence[np.ndarray],
        codewords: tuple[Codeword, ...],
    ) -> UserPart:
        """own_columns: the same on the grid of each user."""
        num_layers = self.pusch.num_layers
        places = []
        for user, own in zip(users, own_columns, strict=True):
            mask = self.grids[user].data_mask.numpy()
            rank = (np.cumsum(mask) - 1).reshape(mask.shape)
            of_layer = rank[symbols][:, own][mask[symbols][:, own]]
            places += [of_layer] * num_layers
        return UserPart(
            symbols=symbols,
            columns=columns,
            layers=tuple(user * num_layers + layer for user in users for layer in range(num_layers)),
            places=np.stack(places),
            channel=self.grids[users[0]].pusch,
            ports=tuple(port for user in users for port in self.grids[user].layer_ports),
            codewords=codewords,
        )


def uplink_grid(carrier: Carrier, pusch: Pusch, users: Users) -> PuschGrid | UserGrids:
    """Grid of the users of a PUSCH, on common resource blocks or on their own. `InputError` for what cannot be."""
    if users.has_own_allocations:
        return UserGrids.build(carrier, pusch, users)
    return PuschGrid.build(carrier, pusch, users)


def _alone(carrier: Carrier, pusch: Pusch, user: int, ports: tuple[int, ...] | None) -> PuschGrid:
    """Grid of a user alone; `InputError` with its number."""
    try:
        return PuschGrid.build(carrier, pusch, Users(dmrs_ports=None if ports is None else (ports,)))
    except InputError as error:
        raise InputError(f"users.allocation[{user}]: {error}") from None


def _groups(grids: Sequence[PuschGrid]) -> list[tuple[int, ...]]:
    """Users that share resource blocks with one another, directly or through others, in order."""
    group = list(range(len(grids)))
    for user, grid in enumerate(grids):
        for other in range(user):
            if group[other] != group[user] and _overlap(grid.placement, grids[other].placement):
                first, second = sorted((group[other], group[user]))
                group = [first if one == second else one for one in group]
    return [tuple(u for u, one in enumerate(group) if one == first) for first in sorted(set(group))]


def _overlap(one: Placement, other: Placement) -> bool:
    """Whether both have a PRB in the same symbol."""
    return any(np.intersect1d(one.prbs(symbol), other.prbs(symbol)).size for symbol in range(one.num_symbols))


def _check_overlap(pusches: Sequence[Pusch], grids: Sequence[PuschGrid], users: tuple[int, ...]) -> None:
    """`InputError` for users that share some resource blocks and cannot."""
    numbers = ", ".join(map(str, users))
    first = pusches[0]

    def refuse(what: str, allowed: str) -> InputError:
        return InputError(
            f"users.allocation: got resource blocks that users {numbers} share {what}; allowed: {allowed}"
        )

    if first.constellation is not None:
        raise refuse("with pusch.constellation", "resource blocks of each user apart")
    if first.ptrs is not None:
        raise refuse("with pusch.ptrs, which lie in the data of the others", "resource blocks of each user apart")
    if any(pusch.allocation.reserved != first.allocation.reserved for pusch in pusches):
        raise refuse("with different reserved resource elements", "the same for users that share resource blocks")
    if all(grid.placement == grids[0].placement for grid in grids):
        return
    if first.transform_precoding:
        raise refuse("in part with transform_precoding", "the same resource blocks, or others, for each two users")
    if any(pusch.allocation.hopping == "intra-slot" for pusch in pusches):
        raise refuse("in part with intra-slot hopping", "the same resource blocks and hops, or others")
    if first.dmrs.frequency_density != 1:
        raise refuse("in part with dmrs.frequency_density", "a density of 1, or resource blocks apart")


def _subcarriers(prbs: Sequence[int]) -> np.ndarray:
    return (12 * np.array(prbs)[:, None] + np.arange(12)).ravel()


def _first_line(error: ValueError) -> str:
    """What a validation says, in one line."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        return "; ".join(str(found["msg"]).removeprefix("Value error, ") for found in error.errors())
    return " ".join(str(error).split())
