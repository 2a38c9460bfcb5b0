"""Assert on build/bench.json what docs/figures.md promises of the default commands; exit code 1 names each miss."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.runtimes import can_be_installed, cpu_runtimes, find_runtime
from convert.variants import find_variants
from train.models import model_names

# 0.1 points under the means of docs/figures.md; mobilenet_v2, whose seeds differ by 0.14: 0.1 under its aim of 99.4 %.
# Of a model that is not named here only the rows are expected.
MIN_TOP1 = {"mnist_cnn": 0.9919, "mnist_cnn_crop": 0.9936, "mobilenet_v2": 0.993}
# docs/quantization.md: at most 10 of the 10,000 test pictures are answered differently from Keras; five more
# for the training, which gives other weights on other processors
MAX_OTHERWISE = 15 / 10_000
ROUNDING = 1e-6  # of the shares in bench.json
ANSWERS_AS_FLOAT = ("int8", "int8_mixed")
EXACT_KERNELS = ("litert", "onnxruntime")  # tflite-runtime's old ones round otherwise
TRAINED = ("float32", "keras")  # the file that convert starts from


def expected_rows() -> list[tuple[str, str, str, str]]:
    """Return model, variant, format and runtime of each row that the default commands measure without a GPU."""
    files = [TRAINED, *((variant.name, variant.format) for variant in find_variants([]))]
    return [
        (model, variant, file_format, runtime)
        for model in model_names()
        for variant, file_format in files
        for runtime in expected_runtimes()
        if file_format in find_runtime(runtime).FORMATS
    ]


def expected_runtimes() -> list[str]:
    """Return the runtimes that need no GPU and have a release for this Python: all of these are installed."""
    return [name for name in cpu_runtimes() if can_be_installed(name)]


def misses(document: dict) -> list[str]:  # type: ignore[type-arg]
    """Return a line for each promise that the results do not keep."""
    here = [r for r in document["measurements"] if not r["name"] and r["device"] == "host"]
    rows = {(r["model"], r["variant"], r["format"], r["runtime"]): r for r in here}
    runtimes = set(expected_runtimes())
    found = [f"skipped: {row}" for row in document["skipped"] if row["runtime"] in runtimes and row["device"] == "host"]
    for model, variant, file_format, runtime in expected_rows():
        row, least = rows.get((model, variant, file_format, runtime)), MIN_TOP1.get(model, 0.0)
        if row is None:
            found.append(f"no row: {model} {variant}.{file_format} in {runtime}")
        elif row["accuracy"]["ci95"][1] < least or (file_format == "keras" and row["accuracy"]["top1"] < least):
            found.append(f"{row['samples']['key']}: top-1 {row['accuracy']['top1']:.4f}, promised {least}")
        elif model in MIN_TOP1 and variant in ANSWERS_AS_FLOAT and runtime in EXACT_KERNELS:
            agreement = row["accuracy"]["agreement_with_reference"]
            if agreement is None or 1 - agreement > MAX_OTHERWISE + ROUNDING:
                found.append(f"{row['samples']['key']}: answers as Keras {agreement}, promised {1 - MAX_OTHERWISE}")
    return found


if __name__ == "__main__":
    lines = misses(json.loads(Path("build/bench.json").read_text()))
    sys.stdout.write("\n".join(lines or ["every promised figure is kept"]) + "\n")
    sys.exit(1 if lines else 0)
