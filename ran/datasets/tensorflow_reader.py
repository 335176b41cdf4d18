"""Read a data set with TensorFlow: a `tf.data.Dataset` over the batches of `ran.datasets.reader`."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from ran.datasets.reader import ChunkShuffle, DropDataset
from ran.errors import InputError


def _tensorflow() -> ModuleType:
    try:
        import tensorflow
    except ImportError:
        raise InputError("tensorflow: not installed; allowed: after pip install 'ran6g[tensorflow]'") from None
    return tensorflow


def tf_dataset(dataset: DropDataset, batch_size: int, seed: int = 0) -> Any:
    """A `tf.data.Dataset` of dictionaries of tensors [batch, ...], shuffled anew in every epoch."""
    tf = _tensorflow()
    sample = dataset.batch([0])
    signature = {
        name: tf.TensorSpec((None, *values.shape[1:]), tf.as_dtype(values.numpy().dtype))
        for name, values in sample.items()
    }
    order = ChunkShuffle(dataset, batch_size, seed)
    epochs = iter(range(2**31))

    def batches() -> Iterator[dict[str, Any]]:
        order.epoch = next(epochs)
        for indices in order:
            yield {name: values.numpy() for name, values in dataset.batch(indices).items()}

    return tf.data.Dataset.from_generator(batches, output_signature=signature)
