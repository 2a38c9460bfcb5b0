"""Why a quantized variant is not faster than float on a machine: from the CPU's flags, the runtime, the model's size."""

from collections.abc import Mapping
from typing import Any

from bench.pairs import Pair

DOT_PRODUCT_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
X86_FLAGS = frozenset({"avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16"})
OVERHEAD_MS = 0.2  # an inference as short as this is calls, copies and conversions as much as arithmetic
FLOAT_WEIGHTS = frozenset({"float16"})


def why_not_faster(pair: Pair, environment: Mapping[str, Any]) -> str | None:
    """Return why a variant is not distinguishably faster than float32, or None where it is.

    The reasons are those that figures of this project and the runtimes' sources show (README, "Figures"); where none
    fits, that is said.
    """
    if pair.speed.distinguishable and pair.speed.value > 1:
        return None
    variant, runtime = pair.row["variant"], pair.row["runtime"]
    if variant in FLOAT_WEIGHTS:
        return "float16 halves the file; the CPU computes in float32 all the same"
    if pair.speed.low is None:
        return "too few processes were measured to tell"
    return "; ".join(_reasons(variant, runtime, pair, frozenset(environment.get("cpu_flags") or ()))) or (
        "the CPU's flags, the runtime and the model's size do not explain it: profile the operations"
        if pair.speed.distinguishable
        else "the sample cannot tell the two apart: measure longer or on a quieter machine"
    )


def _reasons(variant: str, runtime: str, pair: Pair, flags: frozenset[str]) -> list[str]:
    found = []
    if variant == "int16x8":
        found.append("16-bit activations have no fast kernels: they are for accuracy")
    if runtime == "tflite_runtime" and flags & X86_FLAGS:
        found.append("tflite-runtime's x86 wheel gives quantized operations to plain reference code, not to XNNPACK")
    if variant == "dynamic_int8":
        found.append("dynamic-range models quantize the activations anew in every layer at run time")
    if flags and not flags & DOT_PRODUCT_FLAGS:
        found.append("this CPU has no VNNI and no dot-product instructions for int8")
    float_ms = pair.baseline["latency"]["p50_ms"]
    if float_ms < OVERHEAD_MS:
        found.append(f"the model is small: float32 takes {float_ms:.2g} ms, much of it overhead that int8 has too")
    return found
