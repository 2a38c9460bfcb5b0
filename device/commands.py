"""What the command does: classify, self-test, info, timing, accuracy. What only one of them needs is imported there."""

from __future__ import annotations

import argparse
import base64
import io
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from device.card import Card, CardlessOptions
from device.errors import EXIT_FAILED, EXIT_OK, EdgeproofError, PictureError
from device.formats.model_file import model_size_bytes
from device.inference import Answer, checked_infer, classify, top_k
from device.open_model import open_model
from device.outputs import are_shares, shown_score
from device.pictures.picture_files import left_out_text
from device.pictures.sources import camera_frames, expand, labelled_pictures
from device.preprocessing.prepare import prepare, read_picture
from device.runtimes import Session, distribution_version, import_onnxruntime, import_tflite
from device.safe_text import printable
from device.scoring import confusion_text, wilson_interval


def answer_document(file: str, answer: Answer, labels: Sequence[str], top: int, min_score: float) -> dict[str, Any]:
    """Return an answer as --json prints it."""
    latency = {
        "decode": answer.decode_ns,
        "prepare": answer.prepare_ns,
        "invoke": answer.invoke_ns,
        "postprocess": answer.postprocess_ns,
        "total": answer.total_ns,
    }
    best = [
        {"label": labels[index], "index": index, "score": shown_score(answer.scores[index])}
        for index in top_k(answer.scores, top)
    ]
    unsure = {"unsure": True} if shown_score(answer.scores.max()) < min_score else {}
    return {"file": file, **unsure, "top": best, "latency_ms": {name: ns / 1e6 for name, ns in latency.items()}}


def refusal_document(file: str, error: PictureError) -> dict[str, Any]:
    """Return why a picture has no answer, as --json prints it."""
    return {"file": file, "error": str(error)}


def answer_json(file: str, answer: Answer, labels: Sequence[str], top: int, min_score: float) -> str:
    """Format an answer as one JSON line."""
    return json.dumps(answer_document(file, answer, labels, top, min_score))


def _per_cent(score: float) -> str:
    return f"{100 * score:.1f} %"


def _plain(score: float) -> str:
    return f"{score:.4g}"


def answer_text(file: str, answer: Answer, labels: Sequence[str], top: int, min_score: float) -> str:
    """Format an answer as one line for people."""
    unsure = "unsure: " if shown_score(answer.scores.max()) < min_score else ""
    shown = _per_cent if are_shares(answer.scores) else _plain
    best = "   ".join(f"{printable(labels[index])} {shown(answer.scores[index])}" for index in top_k(answer.scores, top))
    return (
        f"{printable(file)}: {unsure}{best}   (decode {answer.decode_ns / 1e6:.2f}, prepare {answer.prepare_ns / 1e6:.2f}, "
        f"invoke {answer.invoke_ns / 1e6:.3f}, total {answer.total_ns / 1e6:.2f} ms)"
    )


def cardless_options(arguments: argparse.Namespace) -> CardlessOptions:
    """Return what the command line says of a model without a card."""
    return CardlessOptions(arguments.labels, arguments.input_range, arguments.fit)


def least_score(arguments: argparse.Namespace, card: Card) -> float:
    """Return the score below which an answer is "unsure": `--min-score`, else the card's value."""
    return card.min_score if arguments.min_score is None else float(arguments.min_score)


def run_self_test(arguments: argparse.Namespace) -> int:
    """Print one line for each check, then a verdict; with --json, as JSON. Returns 1 where a check fails."""
    from device.self_test import self_test

    session, card = open_model(arguments.model, cardless_options(arguments), arguments.threads, arguments.runtime)
    checks = self_test(session, card)
    failed = [check.field for check in checks if not check.passed]
    if arguments.json:
        for check in checks:
            print(json.dumps({"check": check.field, "passed": check.passed, "found": check.found}))
        verdict: dict[str, Any] = {"passed": not failed, "checks": len(checks), "failed": failed}
        verdict.update(file=str(arguments.model), runtime=session.runtime, runtime_version=session.runtime_version)
        print(json.dumps(verdict))
        return EXIT_FAILED if failed else EXIT_OK
    for check in checks:
        print(f"{'ok  ' if check.passed else 'FAIL'} {check.field}: {check.found}")
    where = f"{arguments.model} in {session.runtime} {session.runtime_version}"
    print(f"FAIL: {where}: {', '.join(failed)}" if failed else f"PASS: {where}: {len(checks)} checks")
    return EXIT_FAILED if failed else EXIT_OK


def _say_left_out(left_out: Counter[str]) -> None:
    if left_out:
        print(printable(f"left out: {left_out_text(left_out)}"), file=sys.stderr)


def classify_all(arguments: argparse.Namespace) -> int:
    """Classify each picture in the given order. A picture that cannot be classified is reported, and the others go on."""
    session, card = open_model(arguments.model, cardless_options(arguments), arguments.threads, arguments.runtime)
    least = least_score(arguments, card)
    failed = False
    left_out: Counter[str] = Counter()
    for file in expand(arguments.images, left_out):
        try:
            answer = classify(file, session, card)
        except PictureError as error:
            failed = True
            if arguments.json:
                print(json.dumps(refusal_document(file, error)), flush=True)
            else:
                print(printable(f"{file}: {error}"), file=sys.stderr)
            continue
        form = answer_json if arguments.json else answer_text
        print(form(file, answer, card.labels, arguments.top, least), flush=True)
    _say_left_out(left_out)
    return EXIT_FAILED if failed else EXIT_OK


def classify_camera(arguments: argparse.Namespace) -> int:
    """Classify a camera's frames, a JSON line each, until --frames or Ctrl-C. Ctrl-C is the usual end: exit code 0."""
    session, card = open_model(arguments.model, cardless_options(arguments), arguments.threads, arguments.runtime)
    least = least_score(arguments, card)
    frames = camera_frames(arguments.camera)
    try:
        for number, frame in enumerate(frames):
            name = f"camera{arguments.camera}#{number}"
            try:
                answer = classify(frame, session, card)
                print(answer_json(name, answer, card.labels, arguments.top, least), flush=True)
            except PictureError as error:  # such as: no digit in this frame, perhaps in the next
                print(json.dumps(refusal_document(name, error)), flush=True)
            if number + 1 == arguments.frames:
                break
    except KeyboardInterrupt:
        pass
    finally:
        frames.close()  # type: ignore[attr-defined]  # a generator: the camera is let go
    return EXIT_OK


def info(arguments: argparse.Namespace) -> int:
    """Print what the card says, and which runtime opens the file."""
    session, card = open_model(arguments.model, cardless_options(arguments), arguments.threads, arguments.runtime)
    said = card.document
    document = {
        "file": str(arguments.model),
        "size_bytes": model_size_bytes(arguments.model),
        "model": card.model,
        "variant": card.variant,
        "labels": list(card.labels),
        "input": [card.height, card.width, card.channels],
        "input_dtype": str(session.input_dtype),
        "preprocess": [step.to_json() for step in card.preprocess],
        "golden": len(said.get("golden") or []),
        "accuracy": said.get("accuracy"),
        "min_score": card.min_score,
        "min_runtime": said.get("min_runtime"),
        "runtime": session.runtime,
        "runtime_version": session.runtime_version,
        "python": ".".join(map(str, sys.version_info[:3])),
        "numpy": np.__version__,
        "pillow": distribution_version("pillow"),
        "machine": platform.machine(),
    }
    if arguments.json:
        print(json.dumps(document))
    else:
        for name, value in document.items():
            text = str(value) if isinstance(value, (str, int)) else json.dumps(value)
            print(f"{name.replace('_', ' '):16} {printable(text)}")
    return EXIT_OK


def time_model(arguments: argparse.Namespace) -> int:
    """Time single inferences in this process, with its start-up; --json prints every sample, in nanoseconds."""
    from device.timing import peak_rss_bytes, time_queries, warm_up

    clock = time.perf_counter_ns
    start_ns = clock()
    import_onnxruntime() if arguments.model.suffix.lower() == ".onnx" else import_tflite(arguments.runtime)
    imported_ns = clock()
    session, card = open_model(arguments.model, cardless_options(arguments), arguments.threads, arguments.runtime)
    loaded_ns = clock()
    tensors = [session.tensor(pixels) for pixels in _bench_pixels(arguments.images, card)]
    first_ns = clock()
    checked_infer(session, tensors[0])
    first_took_ns = clock() - first_ns
    warmed = warm_up(session.infer, tensors)
    startup_ns = [imported_ns - start_ns, loaded_ns - imported_ns, first_took_ns, first_took_ns + warmed.steady_ns]
    samples = time_queries(session.infer, tensors, arguments.queries, int(arguments.seconds * 1e9))
    peak_bytes = peak_rss_bytes()
    if arguments.json:
        document: dict[str, Any] = {"runtime": session.runtime, "runtime_version": session.runtime_version}
        document.update(warmup_calls=warmed.calls, startup_ns=startup_ns, peak_rss_bytes=peak_bytes)
        document.update(latency_ns=samples.tolist())
        print(json.dumps(document))
    else:
        import_ms, load_ms, first_ms, steady_ms = (ns / 1e6 for ns in startup_ns)
        memory = "unknown" if peak_bytes is None else f"{peak_bytes / 1e6:.0f} MB"
        print(
            f"{arguments.model} in {session.runtime} {session.runtime_version}, {arguments.threads} thread(s): "
            f"p50 {np.median(samples) / 1e6:.4f} ms, least {samples.min() / 1e6:.4f} ms of {len(samples)}; "
            f"import {import_ms:.0f}, load {load_ms:.1f}, first {first_ms:.3f}, "
            f"steady after {steady_ms:.1f} ms; at most {memory} of memory"
        )
    return EXIT_OK


def _bench_pixels(images: Sequence[str], card: Card) -> list[npt.NDArray[np.uint8]]:
    """Return up to 64 prepared pictures: the given ones that can be read; without any, those inside the card."""
    golden = [base64.b64decode(entry["png"]) for entry in card.document.get("golden") or []]
    sources: Iterator[Any] = expand(images) if images else (io.BytesIO(png) for png in golden)
    prepared: list[npt.NDArray[np.uint8]] = []
    for source in sources:
        try:
            prepared.append(prepare(read_picture(source), card))
        except PictureError as error:
            print(printable(f"{source}: {error}"), file=sys.stderr)
        if len(prepared) == 64:
            break
    if not prepared:
        raise EdgeproofError("--bench: no usable picture: name IMAGEs, or use a model with pictures inside (--info)")
    return prepared


def score_folders(arguments: argparse.Namespace) -> int:
    """Classify labelled pictures and print the accuracy with its interval and the confusion table.

    An answer is "unsure" only below a --min-score that is given.
    """
    from device.cardless import is_made_up, with_fit
    from device.preprocessing.whole_picture import STRETCH

    session, card = open_model(arguments.model, cardless_options(arguments), arguments.threads, arguments.runtime)
    found = [labelled_pictures(Path(folder), card.labels) for folder in arguments.images]
    files = [entry for each in found for entry in each.files]
    _say_left_out(sum((each.left_out for each in found), Counter()))
    classes = len(card.labels)
    least = arguments.min_score or 0.0  # the accuracy is of all answers: the card's own threshold does not count
    table = _answered(files, session, card, least, say=True)
    correct, total = int(np.trace(table[:, :classes])), len(files)
    low, high = wilson_interval(correct, total)
    unsure, failed = (int(column) for column in table[:, classes:].sum(axis=0))
    if arguments.json:
        print(json.dumps({"correct": correct, "total": total, "ci95": [low, high], "unsure": unsure, "failed": failed}))
    else:
        print(confusion_text(table, card.labels))
        print(
            f"{correct} of {total} right: {100 * correct / total:.1f} % "
            f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %), {unsure} unsure, {failed} not classified"
        )
    if arguments.fit is None and is_made_up(card):
        stretched = _answered(files, session, with_fit(card, STRETCH), least)
        right = int(np.trace(stretched[:, :classes]))
        print(f"with --fit {STRETCH}: {right} of {total} right", file=sys.stderr)
    return EXIT_FAILED if failed else EXIT_OK


def _answered(
    files: Sequence[tuple[Path, int]], session: Session, card: Card, min_score: float, say: bool = False
) -> npt.NDArray[np.int64]:
    """Classify labelled pictures: (classes, classes + 2), truth by answer; then unsure, then not classified."""
    classes = len(card.labels)
    table = np.zeros((classes, classes + 2), np.int64)
    for path, truth in files:
        try:
            scores = classify(str(path), session, card).scores
        except PictureError as error:
            table[truth, classes + 1] += 1
            if say:
                print(printable(f"{path}: {error}"), file=sys.stderr)
            continue
        best = top_k(scores, 1)[0]
        table[truth, best if shown_score(scores[best]) >= min_score else classes] += 1
    return table
