// onnxruntime-web: how the page opens an .onnx.

const FOLDER = "npm/onnxruntime-web/dist/";
const SCRIPT = `${FOLDER}ort.wasm.bundle.min.mjs`; // the build that has WebAssembly alone

/** Return the addresses of what has to be there before a model can run. */
export function files() {
  return [SCRIPT, `${FOLDER}ort-wasm-simd-threaded.wasm`]; // one build for one thread and for several
}

/** Open a model; `run` takes the values of an input tensor and gives those of the output tensor. */
export async function open(bytes, task) {
  const ort = await import(new URL(SCRIPT, document.baseURI).href);
  ort.env.wasm.wasmPaths = new URL(FOLDER, document.baseURI).href;
  ort.env.wasm.numThreads = task.threads;
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: ["wasm"],
    logSeverityLevel: 3, // errors only
    extra: { optimization: { disable_specified_optimizers: task.disabled_optimizers.join(";") } },
  });
  const [input] = session.inputNames, [output] = session.outputNames;
  return async (values) => {
    const found = await session.run({ [input]: new ort.Tensor(task.input_type, values, task.input_shape) });
    return found[output].data;
  };
}
