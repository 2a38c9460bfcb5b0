"""The table of variants: what a converted file is called and what that name promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from device.classify import EdgeproofError

Format = Literal["tflite", "onnx"]


@dataclass(frozen=True)
class Variant:
    """One way to convert a model. `promise` is what `verify` proves of the file that was written."""

    name: str
    format: Format
    promise: str
    min_agreement: float  # least share of 1,000 validation pictures answered as Keras answers them
    good_for: str
    default: bool = True  # made by `make`; else only when asked for

    @property
    def calibrated(self) -> bool:
        """Say whether the conversion looks at calibration pictures."""
        return self.name.startswith("int")

    @property
    def by_doctor(self) -> bool:
        """Say whether `convert doctor --fix` makes it, not `convert run`."""
        return self.name == "int8_fixed"

    @property
    def key(self) -> str:
        """Return "int8.tflite": the variant's part of a file name."""
        return f"{self.name}.{self.format}"


FLOAT_AGREEMENT = 0.999
QUANTIZED_AGREEMENT = 0.990

VARIANTS = (
    Variant("float32", "tflite", "weights and activations are float32", FLOAT_AGREEMENT, "the reference on a device"),
    Variant("float16", "tflite", "weights are float16, activations float32", FLOAT_AGREEMENT, "half the size, same answers"),
    Variant(
        "dynamic_int8",
        "tflite",
        "weights of 1,024 and more values are int8, in and out float32",
        QUANTIZED_AGREEMENT,
        "a quarter of the size without calibration",
    ),
    Variant(
        "int8",
        "tflite",
        "full integer: no float operation, uint8 in and out",
        QUANTIZED_AGREEMENT,
        "integer-only processors; fast on ARM with dot-product instructions",
    ),
    Variant(
        "int8_mixed",
        "tflite",
        "int8 but for the first convolution, in and out float32",
        QUANTIZED_AGREEMENT,
        "speed: the first convolution of few channels costs more in integers than in float",
    ),
    Variant(
        "int16x8",
        "tflite",
        "int8 weights, int16 activations, in and out float32",
        QUANTIZED_AGREEMENT,
        "accuracy where int8 activations lose too much; over 20 times slower than float32 on x86",
        default=False,
    ),
    Variant("float32", "onnx", "weights and activations are float32, free batch", FLOAT_AGREEMENT, "any onnxruntime"),
    Variant(
        "float16",
        "onnx",
        "weights and activations are float16, in and out float32, free batch",
        FLOAT_AGREEMENT,
        "half the size, and GPUs; CPUs compute it slower than float32",
    ),
    Variant(
        "int8",
        "onnx",
        "Conv and Gemm on int8 weights and uint8 activations, free batch",
        QUANTIZED_AGREEMENT,
        "speed on x86 with VNNI",
    ),
    Variant(
        "int8_fixed",
        "tflite",
        "int8 but for what its card names, in and out float32",
        QUANTIZED_AGREEMENT,
        "accuracy where int8 loses too much: `convert doctor --fix` makes it",
        default=False,
    ),
    Variant(
        "int8_fixed",
        "onnx",
        "int8 but for what its card names, free batch",
        QUANTIZED_AGREEMENT,
        "accuracy where int8 loses too much: `convert doctor --fix` makes it",
        default=False,
    ),
)


def find_variants(names: Sequence[str]) -> tuple[Variant, ...]:
    """Return the variants of these names ("int8" means every format, "int8.onnx" one), or the default ones for no name.

    Raises EdgeproofError for a name that is not in the table.
    """
    for name in names:
        if not any(name in (variant.name, variant.key) for variant in VARIANTS):
            known = ", ".join(variant.key for variant in VARIANTS)
            raise EdgeproofError(f"unknown variant {name!r}: there are {known}")
    if not names:
        return tuple(variant for variant in VARIANTS if variant.default)
    return tuple(variant for variant in VARIANTS if {variant.name, variant.key} & set(names))
