"""Why a quantized variant is not faster than float on a machine: from the CPU's flags, the runtime, the model's size."""

from bench.analysis.float_pairs import Pair
from bench.machine.environment import Environment
from bench.runtimes import SlowOnX86, find_runtime, runtime_names
from convert.variants import Variant, variant_of

DOT_PRODUCT_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
X86_FLAGS = frozenset({"avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16"})
OVERHEAD_MS = 0.2  # in an inference as short as this, calls, copies and conversions take as long as arithmetic


def why_not_faster(pair: Pair, environment: Environment | None) -> str | None:
    """Return why a variant is not distinguishably faster than float32, or None where it is.

    The reasons come from this project's figures and the runtimes' sources (docs/figures.md); where none
    fits, the answer says so.
    """
    if pair.speed.distinguishable and pair.speed.value > 1:
        return None
    subject = pair.row.subject
    variant = variant_of(subject.variant, subject.format)
    if variant is not None and not variant.answers.quantized:
        return variant.slow_because or None
    if pair.speed.low is None:
        return "too few processes were measured"
    return "; ".join(_reasons(variant, subject.runtime, pair, frozenset(environment.cpu_flags if environment else ()))) or (
        "neither the CPU's flags nor the runtime nor the model's size explains it: profile the operations"
        if pair.speed.distinguishable
        else "the sample cannot distinguish the two: measure longer or on a quieter machine"
    )


def _reasons(variant: Variant | None, runtime: str, pair: Pair, flags: frozenset[str]) -> list[str]:
    found = [variant.slow_because] if variant is not None and variant.slow_because else []
    slow: object = find_runtime(runtime) if runtime in runtime_names() else None
    if isinstance(slow, SlowOnX86) and flags & X86_FLAGS:
        found.append(slow.QUANTIZED_ON_X86)
    if flags and not flags & DOT_PRODUCT_FLAGS:
        found.append("this CPU has no VNNI and no dot-product instructions for int8")
    float_ms = pair.baseline.latency.p50.ms
    if float_ms < OVERHEAD_MS:
        found.append(f"the model is small: float32 takes {float_ms:.2g} ms, much of it overhead that int8 has too")
    return found
