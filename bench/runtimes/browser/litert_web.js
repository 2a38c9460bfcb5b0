// LiteRT.js: how the page opens a .tflite. Scale and zero point are not told here: Python reads them from the file.

const FOLDER = "npm/@litertjs/core/wasm/";

/** Return the addresses of what has to be there before a model can run. */
export function files({ threads, accelerator }) {
  const build = accelerator === "webgpu" ? "litert_wasm_jspi_internal" : threads > 1 ? "litert_wasm_threaded_internal" : "litert_wasm_internal";
  const scripts = ["npm/@litertjs/core/dist/index.js", "npm/@litertjs/wasm-utils/dist/index.js"];
  return [...scripts, `${FOLDER}${build}.js`, `${FOLDER}${build}.wasm`];
}

/** Open a model; `run` takes the values of an input tensor and gives those of the output tensor. */
export async function open(bytes, { input_shape: shape, threads, accelerator }) {
  const { loadLiteRt, loadAndCompile, Tensor } = await import("@litertjs/core");
  await loadLiteRt(new URL(FOLDER, document.baseURI).href, { threads: threads > 1, jspi: accelerator === "webgpu" });
  const model = await loadAndCompile(bytes, { accelerator, cpuOptions: { numThreads: threads } });
  if (accelerator === "webgpu" && !model.isFullyAccelerated) {
    throw new Error("WebGPU takes only a part of it, the rest would run on WebAssembly: measure float32 on it");
  }
  return async (values) => {
    const input = new Tensor(values, shape);
    const [output] = await model.run(input);
    const scores = (await output.data()).slice(); // its memory is freed in the next line
    output.delete();
    input.delete();
    return scores;
  };
}
