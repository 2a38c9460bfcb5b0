// A page that is a device: it does the task that the server names, once, and posts back what it found.

const ARRAYS = {
  float32: Float32Array, float64: Float64Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array,
  uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, float16: Uint16Array,
};
const STEP_WATCH_MS = 100; // how long the clock's steps are watched
const STEPS_A_BLOCK = 200; // a timed block lasts at least so many steps of the clock
const MAX_CALLS_A_BLOCK = 1000;
const TRIAL_CALLS = 5;
const WARM_UP_BLOCK_MS = 100;
const WARM_UP_LIMIT_MS = 5000;
const STEADY_WITHIN = 0.02;
const NOT_FASTER = 3; // blocks in a row after which a warm-up ends: V8 compiles hot code again, in the background

let stage = "starting";

/** Return the least step of the clock, in milliseconds. */
function clockStep() {
  let least = Infinity;
  let last = performance.now();
  for (const end = last + STEP_WATCH_MS; last < end;) {
    const now = performance.now();
    if (now > last) least = Math.min(least, now - last);
    last = now;
  }
  return least;
}

/** Return the browser's name with its whole version where it tells it. */
async function browserName() {
  const { fullVersionList = [] } = (await navigator.userAgentData?.getHighEntropyValues(["fullVersionList"])) ?? {};
  const known = fullVersionList.find(({ brand }) => brand === "Chromium");
  return known ? `${known.brand} ${known.version}` : navigator.userAgent;
}

/** Return the name of the WebGPU adapter, and whether it is made of software; throws where there is none. */
async function adapter() {
  const found = await navigator.gpu?.requestAdapter();
  if (!found) throw new Error("the browser has no WebGPU adapter");
  const { vendor, architecture, device, description, isFallbackAdapter } = found.info;
  const name = [...new Set([vendor, architecture, device, description])].filter(Boolean).join(" ") || "unknown";
  return { adapter: name, software: Boolean(isFallbackAdapter) || /swiftshader|llvmpipe|software/i.test(name) };
}

/** Return the answer of a request; throws where it is none. */
async function fetched(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return response;
}

const bytesOf = async (address) => (await fetched(address)).arrayBuffer();

/** Yield the values of each input tensor, from the first on. */
async function* tensors(task, count) {
  const Values = ARRAYS[task.input_type];
  const length = task.input_shape.reduce((product, side) => product * side, 1);
  for (let first = 0; first < count; first += task.at_a_time) {
    const buffer = await bytesOf(`tensors/${first}`);
    const here = Math.min(task.at_a_time, count - first);
    for (let place = 0; place < here; place++) {
      yield new Values(buffer, place * length * Values.BYTES_PER_ELEMENT, length).slice();
    }
  }
}

/** Return the name of an array's type. */
const typeOf = (values) => Object.keys(ARRAYS).find((name) => values instanceof ARRAYS[name]) ?? values.constructor.name;

/** Time `calls` calls in a row; return the milliseconds of one. */
async function timedBlock(run, inputs, first, calls) {
  const begin = performance.now();
  for (let call = 0; call < calls; call++) await run(inputs[(first + call) % inputs.length]);
  return (performance.now() - begin) / calls;
}

/** Call until blocks become no faster; return the calls, the time until then, and whether that was reached. */
async function warmUp(run, inputs) {
  const begin = performance.now();
  let best = Infinity, calls = 0, notFaster = 0, steadyMs = 0;
  while (notFaster < NOT_FASTER) {
    const blockBegin = performance.now();
    let here = 0;
    do {
      await run(inputs[calls++ % inputs.length]);
      here++;
    } while (performance.now() < blockBegin + WARM_UP_BLOCK_MS);
    const each = (performance.now() - blockBegin) / here;
    if (each < best * (1 - STEADY_WITHIN)) {
      steadyMs = blockBegin - begin;
      notFaster = 0;
    } else notFaster++;
    best = Math.min(best, each);
    if (performance.now() > begin + WARM_UP_LIMIT_MS) return { calls, steadyMs, steady: notFaster >= NOT_FASTER };
  }
  return { calls, steadyMs, steady: true };
}

/** Time blocks until there are enough of them and enough time has passed; each entry is one call's milliseconds. */
async function timed(run, inputs, block, task) {
  const samples = [];
  const end = performance.now() + task.seconds * 1000;
  while (samples.length < task.blocks || performance.now() < end) {
    samples.push(await timedBlock(run, inputs, samples.length * block, block));
  }
  return samples;
}

/** Return bytes as base64, piece by piece: a call takes only so many arguments. */
function base64(bytes) {
  let text = "";
  for (let first = 0; first < bytes.length; first += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(first, first + 0x8000));
  }
  return btoa(text);
}

/** Answer each tensor; return the outputs' bytes one after another. */
async function answers(run, task) {
  const parts = [];
  for await (const values of tensors(task, task.answers)) {
    const output = await run(values);
    parts.push(new Uint8Array(output.buffer, output.byteOffset, output.byteLength).slice());
  }
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let place = 0;
  for (const part of parts) {
    all.set(part, place);
    place += part.length;
  }
  return base64(all);
}

/** Open the model, time it, answer. The stages are timed one by one, and named where one fails. */
async function measure(task) {
  const stepMs = clockStep();
  const { files, open } = await import(`./${task.runtime}.js`);
  const inputs = [];
  for await (const values of tensors(task, task.timed)) inputs.push(values);

  stage = "adapter";
  const where = task.accelerator === "webgpu" ? await adapter() : {};

  stage = "fetch";
  const begin = performance.now();
  const [model] = await Promise.all([bytesOf("model"), ...files(task).map(bytesOf)]);
  const fetchedAt = performance.now();
  stage = "open";
  const run = await open(new Uint8Array(model), task);
  const openedAt = performance.now();
  stage = "run";
  const output = await run(inputs[0]);
  const firstMs = performance.now() - openedAt;

  const warm = await warmUp(run, inputs);
  const trialMs = await timedBlock(run, inputs, 0, TRIAL_CALLS);
  const wanted = Math.ceil((STEPS_A_BLOCK * stepMs) / Math.max(trialMs, stepMs / TRIAL_CALLS));
  const block = Math.min(Math.max(wanted, 1), MAX_CALLS_A_BLOCK);
  const samplesMs = await timed(run, inputs, block, task);
  return {
    ...where, browser: await browserName(), isolated: crossOriginIsolated, step_ms: stepMs,
    fetch_ms: fetchedAt - begin, compile_ms: openedAt - fetchedAt, first_ms: firstMs, steady_ms: firstMs + warm.steadyMs,
    warmup_calls: warm.calls, steady: warm.steady, block, samples_ms: samplesMs, output_type: typeOf(output),
    outputs: await answers(run, task),
  };
}

const post = (document) => fetch("result", { method: "POST", body: JSON.stringify(document) });
const told = (error) => post({ stage, error: String(error?.message ?? error) });

window.addEventListener("error", (event) => told(event.error ?? event.message));
window.addEventListener("unhandledrejection", (event) => told(event.reason));
try {
  await post(await measure(await (await fetched("task")).json()));
} catch (error) {
  await told(error);
}
