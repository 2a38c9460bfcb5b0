"""Networks that are divided where their frozen layers end."""

from dataclasses import replace

import numpy as np

from tests.support.training import PLAIN, examples
from train.fitting.frozen_layers import frozen_output, split_network
from train.models import find_model


def test_a_phase_sets_the_dropout_that_it_names() -> None:
    network = find_model("mnist_cnn").build(10)
    dropout = next(layer for layer in network.layers if layer.name.startswith("dropout"))
    for named, rate in ((None, 0.5), (0.25, 0.25)):
        split_network(network, replace(PLAIN, dropout=named))
        assert dropout.rate == rate


def test_frozen_output_is_that_of_the_layers() -> None:
    network = find_model("mnist_cnn").build(10)
    pooled = next(layer.name for layer in network.layers if "pooling" in layer.name)
    lower, upper = split_network(network, replace(PLAIN, frozen_through=pooled))
    pixels = examples(5).pixels
    cached = frozen_output(lower, pixels, None, 1, 0)
    whole = np.asarray(network(pixels.astype(np.float32)))
    assert np.allclose(np.asarray(upper(cached.astype(np.float32))), whole, atol=1e-3)
