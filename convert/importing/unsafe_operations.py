"""The operations of a SavedModel that must not run: those that reach the file system, the terminal or the network."""

from collections.abc import Iterator
from typing import Any

from convert.formats.frozen_graph import all_nodes

# Anywhere in the file. The first three are saved_model_cli's denylist (tensorflow/python/tools/saved_model_cli.py)
UNSAFE_ANYWHERE = frozenset(
    {
        *("ReadFile", "WriteFile", "PrintV2", "Print", "MatchingFiles", "FileSystemSetConfiguration"),
        *("CreateSummaryFileWriter", "CreateSummaryDbWriter", "CalibrationStatisticsSaver", "DumpTensor"),
        *("DebugIdentity", "DebugIdentityV2", "DebugIdentityV3", "DebugNanCount"),
        *("DebugNumericSummary", "DebugNumericSummaryV2"),
        *("PyFunc", "PyFuncStateless", "EagerPyFunc", "Abort"),
        *("RpcServer", "RpcServerStart", "RpcClient", "RpcCall"),
        *("DatasetToTFRecord", "ExperimentalDatasetToTFRecord", "SaveDataset", "SaveDatasetV2", "LoadDataset"),
        *("SnapshotDataset", "SnapshotDatasetV2", "MatchingFilesDataset", "ExperimentalMatchingFilesDataset"),
        *("TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2"),
        *("FixedLengthRecordDataset", "FixedLengthRecordDatasetV2"),
        *("TextLineReader", "TextLineReaderV2", "TFRecordReader", "TFRecordReaderV2", "LMDBReader"),
        *("FixedLengthRecordReader", "FixedLengthRecordReaderV2", "WholeFileReader", "WholeFileReaderV2"),
    }
)
# Each SavedModel has a function with some of these, which saves it. Only TensorFlow calls that, on request
SAVES = frozenset({"Save", "SaveSlices", "SaveV2", "MergeV2Checkpoints", "DistributedSave"})
RUN_WHEN_LOADED = ("legacy_init_op", "main_op", "saved_model_main_op")  # collections of TensorFlow 1


def unsafe_operations(graph: Any) -> list[str]:
    """Return the names of the operations of a MetaGraphDef that must not run, sorted; nothing of it is run."""
    everywhere = {node.op for node in all_nodes(graph.graph_def)}
    found = everywhere & UNSAFE_ANYWHERE
    if everywhere & SAVES:
        found |= {node.op for node in _running_nodes(graph)} & SAVES
    return sorted(found)


def _running_nodes(graph: Any) -> Iterator[Any]:
    """Yield the nodes that may run when a MetaGraphDef is loaded or one of its signatures or functions is called."""
    nodes = {node.name: node for node in graph.graph_def.node}
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    waiting = [name for name in _roots(graph) if name in nodes]
    called = list(graph.object_graph_def.concrete_functions)
    seen: set[str] = set()
    while waiting or called:
        if waiting:
            name = waiting.pop()
            running = [nodes[name]] if name in nodes and f"node {name}" not in seen else []
            seen.add(f"node {name}")
            waiting += [_node_of(tensor) for node in running for tensor in node.input]
        else:
            name = called.pop()
            running = list(functions[name].node_def) if name in functions and f"function {name}" not in seen else []
            seen.add(f"function {name}")
        yield from running
        called += [function for node in running for function in _functions_of(node)]


def _roots(graph: Any) -> Iterator[str]:
    """Yield the names of the nodes that loading or a caller asks for."""
    yield graph.saver_def.restore_op_name
    for signature in graph.signature_def.values():
        for tensor in (*signature.inputs.values(), *signature.outputs.values()):
            yield _node_of(tensor.name)
    for name in RUN_WHEN_LOADED:
        if name in graph.collection_def:
            yield from (_node_of(tensor) for tensor in graph.collection_def[name].node_list.value)


def _functions_of(node: Any) -> Iterator[str]:
    """Yield the names of the functions that a node may call."""
    yield node.op
    for value in node.attr.values():
        yield value.func.name
        yield from (function.name for function in value.list.func)


def _node_of(tensor: str) -> str:
    """Return the name of the node of a tensor, such as "^save/SaveV2" or "dense:0"."""
    return tensor.removeprefix("^").partition(":")[0]
