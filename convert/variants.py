"""The table of variants: what a converted file is called and what that name promises.

A row holds all that the rest of the project knows of a variant. The function that makes the variant is found by its name:
`make_NAME` in convert/formats/to_tflite.py or to_onnx.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from device.errors import EdgeproofError

Format = Literal["tflite", "onnx"]


@dataclass(frozen=True)
class Answers:
    """How closely a variant's answers must agree with Keras's."""

    quantized: bool
    min_agreement: float  # least share of the validation pictures with the same answer as Keras
    # A picture is decided if Keras's two highest scores differ by at least this. For a model from elsewhere only decided
    # pictures count: on the others rounding alone may change the answer. Int8 scores differ by up to 0.07 between runtimes,
    # float16 scores by 0.002.
    margin: float
    score_share: float  # if no picture is decided, scores may differ by this share of Keras's highest
    # Allowed absolute difference of golden scores. Measured between runtimes, and between x86 and ARM: float 4e-7, dynamic
    # 0.018, int8 4 steps of 1/256 where the picture's margin is clear
    golden_tolerance: float


FLOAT = Answers(False, 0.999, margin=0.005, score_share=1e-4, golden_tolerance=1e-5)
HALF_WEIGHTS = Answers(False, 0.999, margin=0.005, score_share=0.01, golden_tolerance=1e-5)
HALF = Answers(False, 0.999, margin=0.005, score_share=0.01, golden_tolerance=2e-3)
QUANTIZED = Answers(True, 0.990, margin=0.1, score_share=0.1, golden_tolerance=0.04)

INDICES = frozenset({"INT32", "INT64", "BOOL"})  # shapes and axes: in every file
INTEGERS = frozenset({"INT8", "UINT8", "INT16"}) | INDICES
FLOATS = frozenset({"FLOAT16", "FLOAT32", "FLOAT64"}) | INDICES


@dataclass(frozen=True)
class Types:
    """The types of the tensors in a variant's file, by the names of TFLite's schema."""

    ends: str = "FLOAT32"  # of input and output
    weights: frozenset[str] | None = None  # allowed for all constants except indices; None: not checked
    others: frozenset[str] | None = None  # allowed for all other tensors
    heavy: tuple[str | None, str] | None = None  # input (None: any) and weights of convolutions and dense layers
    float_heavy: Literal["none", "small", "first", "named"] = "none"  # which of them stay float; named: those in the card
    integer_softmax: bool = False  # the last layer is quantized: scores come in steps of 1/256


@dataclass(frozen=True)
class Variant:
    """One way to convert a model. `promise` says as text what `verify` proves about the file that was written."""

    name: str
    format: Format
    promise: str
    answers: Answers
    types: Types
    good_for: str
    default: bool = True  # made by `make`; else only on request
    calibrated: bool = False  # the conversion needs calibration pictures
    by_doctor: bool = False  # made by `convert doctor --fix`, not by `convert run`
    slow_because: str = ""  # why it may not be faster than float32 anywhere

    @property
    def key(self) -> str:
        """Return "int8.tflite": the variant's part of a file name."""
        return f"{self.name}.{self.format}"

    @property
    def min_agreement(self) -> float:
        """Return the smallest share of pictures, 0..1, that it must answer as the float model does."""
        return self.answers.min_agreement


GIVEN = "given"  # the variant in the card of a file that is used as it is: it promises nothing
FLOAT_ARITHMETIC = "float16 halves the file, but the CPU still computes in float32"

VARIANTS = (
    Variant(
        "float32",
        "tflite",
        "weights and activations are float32",
        FLOAT,
        Types(weights=frozenset({"FLOAT32"}), others=frozenset({"FLOAT32"}) | INDICES),
        "the reference on a device",
    ),
    Variant(
        "float16",
        "tflite",
        "weights are float16, activations float32",
        HALF_WEIGHTS,
        Types(weights=frozenset({"FLOAT16"}), others=FLOATS),
        "half the size, same answers",
        slow_because=FLOAT_ARITHMETIC,
    ),
    Variant(
        "dynamic_int8",
        "tflite",
        "weights of at least 1,024 values are int8, in and out float32",
        QUANTIZED,
        Types(heavy=(None, "INT8"), float_heavy="small"),
        "a quarter of the size without calibration",
        slow_because="dynamic-range models quantize the activations anew in every layer at run time",
    ),
    Variant(
        "int8",
        "tflite",
        "full integer: no float operation, uint8 in and out",
        QUANTIZED,
        Types(ends="UINT8", weights=INTEGERS, others=INTEGERS, integer_softmax=True),
        "integer-only processors; fast on ARM with dot-product instructions",
        calibrated=True,
    ),
    Variant(
        "int8_mixed",
        "tflite",
        "int8 except for the first convolution, in and out float32",
        QUANTIZED,
        Types(heavy=("INT8", "INT8"), float_heavy="first", integer_softmax=True),
        "speed: a first convolution of few channels is slower in int8 than in float",
        calibrated=True,
    ),
    Variant(
        "int16x8",
        "tflite",
        "int8 weights, int16 activations, in and out float32",
        QUANTIZED,
        Types(heavy=("INT16", "INT8")),
        "accuracy if int8 activations lose too much; over 20 times slower than float32 on x86",
        default=False,
        calibrated=True,
        slow_because="16-bit activations have no fast kernels: they are for accuracy",
    ),
    Variant(
        "float32",
        "onnx",
        "weights and activations are float32, free batch",
        FLOAT,
        Types(weights=frozenset({"FLOAT32"})),
        "any onnxruntime",
    ),
    Variant(
        "float16",
        "onnx",
        "weights and activations are float16, in and out float32, free batch",
        HALF,
        Types(weights=frozenset({"FLOAT16"})),
        "half the size, and GPUs; CPUs compute it slower than float32",
        slow_because=FLOAT_ARITHMETIC,
    ),
    Variant(
        "int8",
        "onnx",
        "Conv and Gemm on int8 weights and uint8 activations, free batch",
        QUANTIZED,
        Types(heavy=("UINT8", "INT8"), float_heavy="named"),
        "speed on x86, best with VNNI",
        calibrated=True,
    ),
    Variant(
        "int8_fixed",
        "tflite",
        "int8 except for the layers that its card names, in and out float32",
        QUANTIZED,
        Types(heavy=(None, "INT8"), float_heavy="named", integer_softmax=True),
        "accuracy if int8 loses too much: `convert doctor --fix` makes it",
        default=False,
        calibrated=True,
        by_doctor=True,
    ),
    Variant(
        "int8_fixed",
        "onnx",
        "int8 except for the layers that its card names, free batch",
        QUANTIZED,
        Types(heavy=("UINT8", "INT8"), float_heavy="named"),
        "accuracy if int8 loses too much: `convert doctor --fix` makes it",
        default=False,
        calibrated=True,
        by_doctor=True,
    ),
)


def variant_of(name: str, file_format: str) -> Variant | None:
    """Return the row with this name and format; None if the table has none."""
    return next((variant for variant in VARIANTS if (variant.name, variant.format) == (name, file_format)), None)


def find_variants(names: Sequence[str]) -> tuple[Variant, ...]:
    """Return the variants with these names ("int8" means every format, "int8.onnx" one); without names, the default ones.

    Raises EdgeproofError for a name that is not in the table.
    """
    for name in names:
        if not any(name in (variant.name, variant.key) for variant in VARIANTS):
            known = ", ".join(variant.key for variant in VARIANTS)
            raise EdgeproofError(f"unknown variant {name!r}: expected one of {known}")
    if not names:
        return tuple(variant for variant in VARIANTS if variant.default)
    return tuple(variant for variant in VARIANTS if {variant.name, variant.key} & set(names))
