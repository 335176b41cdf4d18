"""Data sets are read: the numbers of the link, splits that share no site, chunk by chunk, from many processes."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_set import experiment, write_small
from torch.utils.data import DataLoader

from ran.datasets.header import drop_sites
from ran.datasets.reader import ChunkShuffle, DropDataset
from ran.datasets.request import DataRequest, stream_id
from ran.datasets.splits import SplitShares, split_of
from ran.datasets.tensorflow_reader import tf_dataset
from ran.datasets.write import link_of, write
from ran.errors import InputError
from ran.link import stream
from ran.phy.config import Pusch
from receivers.classical.blind import Blind
from receivers.classical.linear import LsLinear


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("read") / "set.h5"
    write_small(file)
    return file


def test_drops_are_the_links(path: Path, tmp_path: Path) -> None:
    e = experiment(tmp_path)
    link = link_of(e)
    dataset = DropDataset(path)
    assert len(dataset) == 50
    for index in (0, 7, 8, 49):
        batch = link.batch([index], (0.0, 10.0)[index % 2], 3, stream_id(e))
        drop = dataset[index]
        assert int(drop["drop"]) == index
        torch.testing.assert_close(drop["y"], batch.observation.y[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(drop["h"], batch.truth.h[0], atol=1e-5, rtol=0)
        assert torch.equal(drop["coded_bits"], batch.coded_bits[0])
        assert np.array_equal(drop["transport_blocks"].numpy(), batch.transport_blocks[0])
        assert torch.equal(drop["noise_var"], batch.observation.noise_var[0])


def test_receivers_take_observations(path: Path, tmp_path: Path) -> None:
    """A receiver makes the same LLRs of a slot from the file and from the link."""
    e = experiment(tmp_path)
    batch = link_of(e).batch([5, 9], 10.0, 3, stream_id(e))
    observation, truth = DropDataset(path).observation([5, 9])
    assert observation.layout == batch.observation.layout
    receiver = LsLinear()
    torch.testing.assert_close(receiver(observation), receiver(batch.observation), atol=1e-3, rtol=1e-3)
    assert truth is not None
    assert torch.equal(truth.coded_bits, batch.coded_bits)


def test_a_constellation_comes_with_the_slots(tmp_path: Path) -> None:
    changes = {
        "pusch": Pusch.model_validate({"mcs_index": 14, "pilotless": True, "constellation": {"mean_power": 0.1}})
    }
    e = experiment(tmp_path).model_copy(update=changes)
    write(e, DataRequest(num_drops=8, chunk_drops=8), tmp_path / "set.h5", 1)
    batch = link_of(e).batch([1, 5], 10.0, 3, stream_id(e))
    observation, _ = DropDataset(tmp_path / "set.h5").observation([1, 5])
    assert observation.layout == batch.observation.layout
    assert observation.constellation is not None
    assert torch.equal(observation.constellation, batch.observation.constellation)
    receiver = Blind()
    torch.testing.assert_close(receiver(observation), receiver(batch.observation), atol=1e-2, rtol=1e-2)


def test_splits_share_no_site(path: Path) -> None:
    parts = [DropDataset(path, split) for split in ("train", "val", "test")]
    assert sum(map(len, parts)) == 50
    sites = [set(part.batch(range(len(part)))["site"].tolist()) for part in parts]
    assert not (sites[0] & sites[1] | sites[0] & sites[2] | sites[1] & sites[2])


def test_splits_depend_on_the_site_alone() -> None:
    """Stable under order, repetition and other drops; known values, so that files of before keep their splits."""
    shares = SplitShares()
    sites = np.arange(20_000)
    split = split_of(sites, shares)
    some = np.array([19, 3, 3, 4711, 19])
    assert np.array_equal(split_of(some, shares), split[some])
    assert split[:20].tolist() == [0, 0, 0, 1, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 1, 0, 0, 2, 0]
    # five standard deviations of a binomial count
    for part, share in enumerate((0.8, 0.1, 0.1)):
        assert abs((split == part).sum() - 20_000 * share) < 5 * (20_000 * share * (1 - share)) ** 0.5
    assert (split_of(sites, SplitShares(salt="other")) != split).any()
    assert not split_of(sites, SplitShares(train=1.0, val=0.0, test=0.0)).any()
    assert (split_of(sites, SplitShares(train=0.0, val=0.0, test=1.0)) == 2).all()


def test_drops_of_a_place_stay_together(tmp_path: Path) -> None:
    """A channel model that picks its draws from places names them; users at places of their own are refused."""

    class Places:
        def sites(self, generators):
            return np.array([g.integers(7) for g in generators])

    e = experiment(tmp_path)
    link = SimpleNamespace(channels=(Places(),))
    sites = drop_sites(e, 200, link)
    assert sorted(set(sites.tolist())) == list(range(7))
    # as the link would draw them
    assert sites[11] == stream(3, stream_id(e), 11, "channel").integers(7)
    split = split_of(sites, SplitShares(train=0.5, val=0.0, test=0.5))
    assert all(len(set(split[sites == site].tolist())) == 1 for site in range(7))
    link.channels = (Places(), Places())
    with pytest.raises(InputError, match="channel: got 2 channels of which some are bound to places"):
        drop_sites(e, 10, link)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_drop_once_and_every_chunk_read_once(path: Path, num_workers: int) -> None:
    dataset = DropDataset(path, "train", fields=["coded_bits"], cached_chunks=2)
    order = ChunkShuffle(dataset, batch_size=6, seed=1, group_chunks=2, num_workers=num_workers)
    loader = DataLoader(dataset, batch_sampler=order, num_workers=num_workers)
    drops = [int(drop) for batch in loader for drop in batch["drop"]]
    assert sorted(drops) == dataset.drops.tolist()
    assert drops != sorted(drops)
    if num_workers:
        return
    reads = []
    dataset = DropDataset(path, "train", cached_chunks=3)
    container = dataset._open()
    read = container.read
    container.read = lambda field, start, stop: (reads.append((field.name, start)), read(field, start, stop))[1]
    for indices in ChunkShuffle(dataset, batch_size=6, seed=1, group_chunks=2):
        dataset.batch(indices)
    assert len(reads) == len(set(reads))


def test_order_depends_on_seed_and_epoch(path: Path) -> None:
    dataset = DropDataset(path)
    order = ChunkShuffle(dataset, batch_size=8, seed=1)
    first = list(order)
    assert first == list(ChunkShuffle(dataset, batch_size=8, seed=1))
    assert len(first) == len(order)
    order.epoch = 1
    assert list(order) != first
    assert all(len(b) == 8 for b in ChunkShuffle(dataset, batch_size=8, drop_last=True))


def test_it_can_be_sent_to_another_process(path: Path) -> None:
    dataset = DropDataset(path, "train")
    dataset[0]
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[3]["y"], dataset[3]["y"])


def test_bad_names(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="split: got 'training'; allowed: test, train, val; did you mean 'train'"):
        DropDataset(path, "training")
    with pytest.raises(InputError, match="fields: got 'x'; allowed: coded_bits, h, transport_blocks, y"):
        DropDataset(path, fields=["x"])
    write_small(tmp_path / "c.h5", kind="channels", num_drops=4)
    with pytest.raises(InputError, match="got a data set without y"):
        DropDataset(tmp_path / "c.h5").observation([0])


def test_tensorflow_that_is_not_installed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(
        InputError, match=r"tensorflow: not installed; allowed: after pip install 'ran6g\[tensorflow\]'"
    ):
        tf_dataset(DropDataset(path), 4)
