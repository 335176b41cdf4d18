"""Which drops are for training, validation and test, by a hash of their site: no site is in two parts."""

from __future__ import annotations

import hashlib
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ran.phy.config import Config

SPLITS = ("train", "val", "test")
Share = Annotated[float, Field(ge=0, le=1)]


class SplitShares(Config):
    """Shares of the sites that go to training, validation and test; they add up to 1.

    salt: another text, another division of the same sites.
    """

    train: Share = 0.8
    val: Share = 0.1
    test: Share = 0.1
    salt: str = "ran6g"

    @model_validator(mode="after")
    def _add_up(self) -> SplitShares:
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError(f"got {self.train:g},{self.val:g},{self.test:g}; allowed: three shares that add up to 1")
        return self


def split_of(sites: NDArray[np.int64], shares: SplitShares) -> NDArray[np.uint8]:
    """Part of each site, uint8 as index into `SPLITS`, the shape of `sites`.

    It depends on the site, the shares and the salt alone: not on how many drops there are, their order, or the seed.
    """
    unique, place = np.unique(sites, return_inverse=True)
    uniform = np.array([_uniform(int(site), shares.salt) for site in unique])
    limits = np.cumsum([shares.train, shares.val])
    return np.searchsorted(limits, uniform, side="right").astype(np.uint8)[place].reshape(sites.shape)


def ordered_by_hash(sites: NDArray[np.int64], salt: str) -> NDArray[np.int64]:
    """Sites in an order that depends on their numbers and the salt alone, and not on how near they are."""
    return np.array(sorted((int(site) for site in sites), key=lambda site: (_uniform(site, salt), site)), np.int64)


def shared_sites(sites: NDArray[np.int64], split: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Sites that are in more than one part, int64, ascending. sites, split [num_drops]: of every drop."""
    pairs = np.unique(np.stack([sites, split.astype(np.int64)]), axis=1)
    unique, count = np.unique(pairs[0], return_counts=True)
    return unique[count > 1]


def _uniform(site: int, salt: str) -> float:
    """A number from 0 (included) to 1 (excluded) by which a site is known."""
    digest = hashlib.blake2b(f"{salt}/{site}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53
