// onnxruntime-web: how the page opens an .onnx.

const FOLDER = "npm/onnxruntime-web/dist/";
const SCRIPTS = { wasm: `${FOLDER}ort.wasm.bundle.min.mjs`, webgpu: `${FOLDER}ort.webgpu.bundle.min.mjs` };
const BUILDS = { wasm: "ort-wasm-simd-threaded", webgpu: "ort-wasm-simd-threaded.asyncify" }; // for any number of threads

/** Return the addresses of what has to be there before a model can run. */
export function files({ accelerator }) {
  return [SCRIPTS[accelerator], `${FOLDER}${BUILDS[accelerator]}.wasm`];
}

/** Open a model; `run` takes the values of an input tensor and gives those of the output tensor. */
export async function open(bytes, task) {
  const ort = await import(new URL(SCRIPTS[task.accelerator], document.baseURI).href);
  ort.env.wasm.wasmPaths = new URL(FOLDER, document.baseURI).href;
  ort.env.wasm.numThreads = task.threads;
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: [task.accelerator],
    logSeverityLevel: 3, // errors only
    extra: {
      // else nodes that WebGPU does not take would run on WebAssembly
      ...(task.accelerator === "webgpu" && { session: { disable_cpu_ep_fallback: "1" } }),
      optimization: { disable_specified_optimizers: task.disabled_optimizers.join(";") },
    },
  });
  const [input] = session.inputNames, [output] = session.outputNames;
  return async (values) => {
    const found = await session.run({ [input]: new ort.Tensor(task.input_type, values, task.input_shape) });
    return found[output].data;
  };
}
