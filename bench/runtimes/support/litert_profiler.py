"""LiteRT's profiler, through the C library in the wheel ai-edge-litert: the Python API has none.

The structures are those of litert/c/*.h of ai-edge-litert 2.3. Durations are whole microseconds, rounded down: small
operations read low, and only the mean over many runs is reliable. It runs the model by CompiledModel, which uses the same
XNNPACK kernels as the Interpreter with which latency is measured.
"""

import ctypes
import time
from collections.abc import Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.runtimes.support.operation_profile import DURATION_NS, RUNS, WARM_UP_RUNS, Event, Operation, operations
from device.errors import EdgeproofError, ModelError

KNOWN_VERSION = "2.3."
POINTER, SIZE = ctypes.c_void_p, ctypes.c_size_t
LIBRARY_FOLDER, LOG_SEVERITY = 22, 25  # LiteRtEnvOptionTag
INT, STRING = 2, 8  # LiteRtAnyType
QUIET = 2  # warnings and above
CPU = 1  # LiteRtHwAccelerators
WRITE = 1  # LiteRtTensorBufferLockMode
OPERATOR, DELEGATE_OPERATOR = 2, 8  # tflite::Profiler::EventType: by a built-in kernel, inside a delegate
MAX_RANK = 8


class _Value(ctypes.Union):
    _fields_ = (("integer", ctypes.c_int64), ("string", ctypes.c_char_p))


class _Any(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int), ("value", _Value))


class _Option(ctypes.Structure):
    _fields_ = (("tag", ctypes.c_int), ("value", _Any))


class _Layout(ctypes.Structure):
    _fields_ = (
        ("rank", ctypes.c_uint, 7),
        ("has_strides", ctypes.c_uint, 1),
        ("dimensions", ctypes.c_int32 * MAX_RANK),
        ("strides", ctypes.c_uint32 * MAX_RANK),
    )


class _TensorType(ctypes.Structure):
    _fields_ = (("element_type", ctypes.c_int), ("layout", _Layout))


class _Memory(ctypes.Structure):
    _fields_ = (("allocated", SIZE), ("in_use", SIZE), ("peak", SIZE))


class _Event(ctypes.Structure):
    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("duration_us", ctypes.c_uint64),
        ("memory_before", _Memory),
        ("memory_after", _Memory),
        ("place", ctypes.c_uint64),
        ("subgraph", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


def profile(path: Path, threads: int, inputs: Sequence[Sequence[npt.NDArray[Any]]]) -> list[Operation]:
    """Time each operation over `inputs`, each a list with an array for each input of the model.

    Raises EdgeproofError where these structures do not fit the wheel's version.
    """
    version = metadata.version("ai-edge-litert")
    if not version.startswith(KNOWN_VERSION):
        raise EdgeproofError(f"LiteRT's profiler is known of ai-edge-litert {KNOWN_VERSION}x only, found {version}")
    model = _Model(path, threads)
    for number in range(WARM_UP_RUNS):
        model.run(inputs[number % len(inputs)])
    model.call("LiteRtStartProfiler", model.profiler)
    begin_ns, runs = time.perf_counter_ns(), 0
    while runs < WARM_UP_RUNS or (runs < RUNS and time.perf_counter_ns() - begin_ns < DURATION_NS):
        model.run(inputs[runs % len(inputs)])
        runs += 1
    model.call("LiteRtStopProfiler", model.profiler)
    events = model.events(runs)
    if not events:
        raise EdgeproofError(f"{path}: LiteRT's profiler reported no operation")
    return operations(events, runs)


class _Model:
    """A model compiled for the CPU with profiling on. Its memory is freed with the process, which does nothing else."""

    def __init__(self, path: Path, threads: int) -> None:
        specification = util.find_spec("ai_edge_litert")
        assert specification is not None
        assert specification.origin is not None
        folder = Path(specification.origin).parent
        self._library, self._libc = ctypes.CDLL(str(folder / "libLiteRt.so")), ctypes.CDLL(None)
        self._libc.strdup.restype, self._libc.strdup.argtypes = POINTER, [ctypes.c_char_p]
        self._environment = self._made("LiteRtCreateEnvironment", 2, _environment_options(folder))
        self._model = self._made("LiteRtCreateModelFromFile", self._environment, str(path).encode())
        options = self._made("LiteRtCreateOptions")
        self.call("LiteRtSetOptionsHardwareAccelerators", options, CPU)
        self._add_option(options, b"runtime_options_string", b"enable_profiling = true\n")
        self._add_option(options, b"xnnpack", b"num_threads = %d\n" % threads)
        self._compiled = self._made("LiteRtCreateCompiledModel", self._environment, self._model, options)
        self._signature = self._made("LiteRtGetModelSignature", self._model, SIZE(0))
        self._inputs, self._outputs = self._buffers("Input"), self._buffers("Output")
        self.profiler = self._made("LiteRtCompiledModelGetProfiler", self._compiled)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the library. Raises ModelError with its status."""
        function = getattr(self._library, name)
        function.restype = ctypes.c_int
        status = function(*arguments)
        if status != 0:
            raise ModelError(f"LiteRT's profiler cannot run this model: {name} returned LiteRtStatus {status}")

    def run(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Run one inference."""
        for buffer, array in zip(self._inputs, arrays, strict=True):
            self._write(POINTER(buffer), np.ascontiguousarray(array))
        self.call(
            "LiteRtRunCompiledModel",
            self._compiled,
            SIZE(0),
            SIZE(len(self._inputs)),
            self._inputs,
            SIZE(len(self._outputs)),
            self._outputs,
        )

    def events(self, runs: int) -> list[Event]:
        """Return the profiler's events of operations, numbered in the order of execution within a run."""
        count = ctypes.c_int()
        self.call("LiteRtGetNumProfilerEvents", self.profiler, ctypes.byref(count))
        found = (_Event * count.value)()
        self.call("LiteRtGetProfilerEvents", self.profiler, count.value, found)
        who = {OPERATOR: "LiteRT", DELEGATE_OPERATOR: "XNNPACK"}
        seen = [each for each in found if each.type in who]
        in_a_run, rest = divmod(len(seen), runs)
        if rest:
            raise EdgeproofError(f"LiteRT's profiler reported {len(seen)} operations in {runs} runs: it lost some")
        return [
            Event(at % in_a_run, str(at % in_a_run), each.tag.decode(errors="replace"), who[each.type], each.duration_us)
            for at, each in enumerate(seen)
        ]

    def _made(self, name: str, *arguments: Any) -> Any:
        made = POINTER()
        self.call(name, *arguments, ctypes.byref(made))
        return made

    def _add_option(self, options: Any, name: bytes, text: bytes) -> None:
        free = ctypes.cast(self._libc.free, POINTER)
        self.call("LiteRtAddOpaqueOptions", options, self._made("LiteRtCreateOpaqueOptions", name, self._copy(text), free))

    def _copy(self, text: bytes) -> Any:
        return POINTER(self._libc.strdup(text))

    def _buffers(self, kind: str) -> Any:
        count = SIZE()
        self.call(f"LiteRtGetNumSignature{kind}s", self._signature, ctypes.byref(count))
        return (POINTER * count.value)(*(self._buffer(kind, SIZE(number)) for number in range(count.value)))

    def _buffer(self, kind: str, number: Any) -> Any:
        tensor = self._made(f"LiteRtGetSignature{kind}TensorByIndex", self._signature, number)
        tensor_type = _TensorType()
        self.call("LiteRtGetRankedTensorType", tensor, ctypes.byref(tensor_type))
        for side in range(tensor_type.layout.rank):
            if tensor_type.layout.dimensions[side] < 0:
                tensor_type.layout.dimensions[side] = 1
        needs = self._made(f"LiteRtGetCompiledModel{kind}BufferRequirements", self._compiled, SIZE(0), number)
        described = ctypes.byref(tensor_type)
        return self._made("LiteRtCreateManagedTensorBufferFromRequirements", self._environment, described, needs)

    def _write(self, buffer: Any, array: npt.NDArray[Any]) -> None:
        size = SIZE()
        self.call("LiteRtGetTensorBufferPackedSize", buffer, ctypes.byref(size))
        if size.value != array.nbytes:
            raise ModelError(f"LiteRT's profiler wants an input of {size.value} bytes, this one has {array.nbytes}")
        address = POINTER()
        self.call("LiteRtLockTensorBuffer", buffer, ctypes.byref(address), WRITE)
        ctypes.memmove(address, array.ctypes.data, array.nbytes)
        self.call("LiteRtUnlockTensorBuffer", buffer)


def _environment_options(folder: Path) -> Any:
    options = (_Option * 2)()
    options[0].tag, options[0].value.type = LIBRARY_FOLDER, STRING
    options[0].value.value.string = str(folder).encode()
    options[1].tag, options[1].value.type = LOG_SEVERITY, INT
    options[1].value.value.integer = QUIET
    return options
