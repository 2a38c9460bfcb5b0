"""A keras.Model built again from its own description with something in it changed, and its weights as they are."""

import re
from collections.abc import Callable
from typing import Any

PLAIN = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")  # the name of a scope in a graph
UNUSABLE = re.compile(r"[^A-Za-z0-9_.-]")
HALF = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
WHOLE = ("uint8", "int32")


def computes_in_half(network: Any) -> bool:
    """Say whether a layer computes in 16 bits, as with keras.mixed_precision."""
    return any(layer.compute_dtype in HALF for layer in network._flatten_layers())


def in_float32(network: Any) -> Any:
    """Return the model as it computes in float32: TFLite has no 16-bit convolution, and float16 is a variant of its own."""
    return rebuilt(network, lambda name, value: "float32" if name in ("dtype", "name") and value in HALF else value)


def taking_floats(network: Any) -> Any:
    """Return the model with an input of float32 where it takes whole numbers: the pipeline's pixels are float32."""
    return rebuilt(network, lambda name, value: "float32" if name == "dtype" and value in WHOLE else value)


def with_plain_names(network: Any) -> Any:
    """Return the model with other names for layers whose names TensorFlow's graphs do not bear, as "look 2" or "漢字"."""
    strange = sorted({layer.name for layer in network._flatten_layers() if not PLAIN.fullmatch(layer.name)})
    if not strange:
        return network
    plain = {name: f"layer_{number}_{UNUSABLE.sub('_', name)}" for number, name in enumerate(strange)}
    return rebuilt(network, lambda _, value: plain.get(value, value) if isinstance(value, str) else value)


def rebuilt(network: Any, changed: Callable[[str, Any], Any]) -> Any:
    """Return a model whose description has other values: `changed` takes each value and the name that it stands under."""
    import keras

    description = _walked("", keras.saving.serialize_keras_object(network), changed)
    again = keras.saving.deserialize_keras_object(description, safe_mode=True)
    if not again.built:
        again.build(network.input_shape)
    again.set_weights(network.get_weights())
    return again


def _walked(name: str, value: Any, changed: Callable[[str, Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _walked(key, inner, changed) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_walked(name, inner, changed) for inner in value)
    return changed(name, value)
