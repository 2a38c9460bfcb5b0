
"use strict";

const PEN = 0.075; // of the drawing's side
const KEY_STEP = 1 / 32;
const TOP = 10; // classes shown: so few keep their places, more are sorted by their scores
const SHORT = 3; // letters of an answer that is shown large
const CAMERA_PAUSE_MS = 150;
const DRAW_SOMETHING = "Draw something, and the model says what it is.";
const PHASES = ["decode", "prepare", "invoke", "postprocess"];

const $ = (id) => document.getElementById(id);
const pad = $("pad"), stage = $("stage"), answer = $("answer"), video = $("video"), shown = $("shown");
const ways = document.querySelectorAll(".ways button");
const paper = pad.getContext("2d");
const side = pad.width;
let model = null;
let asked = 0; // requests so far: only the latest one's answer is shown

/** Return a new element with a class and text. Text is never markup: labels may come from anyone. */
function element(name, kind, text = "") {
  const made = document.createElement(name);
  made.className = kind;
  made.textContent = text;
  return made;
}

// -- the answer

/** Begin to wait for an answer; the answers to all earlier requests no longer count. */
function wait() {
  answer.dataset.waiting = "yes";
  return ++asked;
}

async function ask(picture, number = wait()) {
  if (picture.size > model.most_bytes) {
    return problem("Too large", `The picture has ${mega(picture.size)} MB, at most ${mega(model.most_bytes)} are read.`);
  }
  const begin = performance.now();
  let said;
  try {
    const kind = { "Content-Type": picture.type || "application/octet-stream" };
    const reply = await fetch(`classify?top=${TOP}&prepared=1`, { method: "POST", headers: kind, body: picture });
    said = await reply.json();
  } catch {
    said = { offline: true };
  }
  if (number !== asked) return;
  if (said.offline) problem("No answer", "The program cannot be reached. Does it still run?");
  else if (said.error) problem("No answer", sentence(said.error));
  else show(said, performance.now() - begin);
}

function show(said, roundTrip) {
  const best = said.top[0];
  const score = (value) => (said.shares ? `${(100 * value).toFixed(1)} %` : value.toPrecision(4));
  const unsure = said.unsure === true;
  const about = unsure
    ? `Most likely ${best.label}, with ${score(best.score)}. It is sure from ${score(model.min_score)} on.`
    : score(best.score);
  verdict(unsure ? "unsure" : "sure", unsure ? "Unsure" : best.label, about);
  showPrepared(said.prepared);
  showClasses(said, score);
  showTimes(said.latency_ms, roundTrip);
}

function verdict(state, text, about) {
  answer.dataset.state = state;
  answer.dataset.waiting = "no";
  $("said").textContent = text;
  $("said").classList.toggle("long", [...text].length > SHORT);
  $("about").textContent = about;
}

function problem(text, about) {
  forget("problem", text, about);
}

/** Say why there is no answer, and show none of an older picture. */
function forget(state, text, about) {
  verdict(state, text, about);
  showPrepared(null);
  showClasses({ top: [] }, () => "");
  showTimes(null, 0);
}

function showPrepared(prepared) {
  $("prepared").hidden = !prepared;
  $("size").textContent = prepared ? `${prepared.width} × ${prepared.height}` : "";
  if (prepared) $("prepared").src = `data:image/png;base64,${prepared.png}`;
}

function showClasses(said, score) {
  const rows = inOrder() ? model.labels.map((label) => said.top.find((one) => one.label === label) || { label }) : said.top;
  $("classes").replaceChildren(...rows.map((one) => {
    const row = element("li", one === said.top[0] ? "best" : "");
    const track = element("span", "track"), bar = element("span", "bar");
    const share = said.shares ? one.score : one.score / Math.max(...said.top.map((each) => Math.abs(each.score)));
    bar.style.width = `${Math.max(0, Math.min(100, 100 * (share || 0)))}%`;
    track.append(bar);
    const label = element("bdi", "label", one.label);
    label.title = one.label;
    row.append(label, track, element("span", "score", one.score === undefined ? "" : score(one.score)));
    return row;
  }));
}

/** Say whether the classes keep their places: few, each of its own name. */
function inOrder() {
  return model.labels.length <= TOP && new Set(model.labels).size === model.labels.length;
}

function showTimes(latency, roundTrip) {
  const ms = (value) => `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ms`;
  $("total").textContent = latency ? `${ms(latency.total)} + ${ms(Math.max(0, roundTrip - latency.total))} on the way` : "";
  $("phases").replaceChildren(...PHASES.map((name) => {
    const part = element("span", name);
    part.style.flexGrow = latency ? latency[name] : 0;
    part.hidden = !latency;
    return part;
  }));
  $("times").replaceChildren(...PHASES.map((name) => {
    const row = element("div", "");
    row.append(element("dt", name, name), element("dd", "", latency ? ms(latency[name]) : "–"));
    return row;
  }));
}

const mega = (bytes) => (bytes / 1e6).toFixed(1);
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

// -- drawing

let strokes = []; // each a list of points [x, y], 0 to 1
let drawing = null; // the stroke under the pointer
let byKeys = false, at = [0.5, 0.5], penDown = false; // of the keyboard's pen

function redraw() {
  paper.fillStyle = "#fff";
  paper.fillRect(0, 0, side, side);
  paper.strokeStyle = "#000";
  paper.lineWidth = PEN * side;
  paper.lineCap = paper.lineJoin = "round";
  for (const stroke of strokes) {
    paper.beginPath();
    stroke.forEach(([x, y], place) => (place ? paper.lineTo(x * side, y * side) : paper.moveTo(x * side, y * side)));
    if (stroke.length === 1) paper.lineTo(stroke[0][0] * side, stroke[0][1] * side + 0.1); // a dot
    paper.stroke();
  }
  $("ghost").hidden = strokes.length > 0;
  $("undo").disabled = $("clear").disabled = strokes.length === 0;
}

function askDrawing() {
  const number = wait();
  if (strokes.length) pad.toBlob((picture) => ask(picture, number));
  else forget("empty", "?", DRAW_SOMETHING);
}

function clearDrawing() {
  strokes = [];
  drawing = null;
  redraw();
  askDrawing();
}

function undo() {
  strokes.pop();
  redraw();
  askDrawing();
}

function point(event) {
  const box = pad.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

pad.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || drawing) return;
  try { pad.setPointerCapture(event.pointerId); } catch { /* the pointer is gone already */ }
  setPen(false);
  drawing = { pointer: event.pointerId, points: [point(event)] };
  strokes.push(drawing.points);
  redraw();
});
pad.addEventListener("pointermove", (event) => {
  if (!drawing || event.pointerId !== drawing.pointer) return;
  const passed = event.getCoalescedEvents?.() ?? [];
  for (const each of passed.length ? passed : [event]) drawing.points.push(point(each));
  redraw();
});
for (const end of ["pointerup", "pointercancel"]) {
  pad.addEventListener(end, (event) => {
    if (!drawing || event.pointerId !== drawing.pointer) return;
    drawing = null;
    askDrawing();
  });
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

pad.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || drawing) return;
  const arrow = ARROWS[event.key];
  if (arrow) {
    at = at.map((value, axis) => Math.max(0, Math.min(1, value + arrow[axis] * KEY_STEP)));
    if (penDown) strokes.at(-1).push(at);
    redraw();
    showPen();
  } else if (event.key === " " || event.key === "Enter") setPen(!penDown);
  else if (event.key === "Delete" || event.key === "Backspace") {
    setPen(false);
    clearDrawing();
  } else return;
  event.preventDefault();
});
addEventListener("keydown", () => { byKeys = true; }, true);
addEventListener("pointerdown", () => { byKeys = false; showPen(); }, true);
pad.addEventListener("focus", showPen);
pad.addEventListener("blur", () => { setPen(false); showPen(); });

/** Put the keyboard's pen down, which begins a stroke, or lift it, which ends one. */
function setPen(down) {
  if (down === penDown) return;
  penDown = down;
  if (down) strokes.push([at]);
  redraw();
  showPen();
  if (!down) askDrawing();
}

function showPen() {
  const pen = $("pen");
  stage.classList.toggle("by-keys", byKeys && document.activeElement === pad);
  pen.classList.toggle("down", penDown);
  pen.style.left = `${100 * at[0]}%`;
  pen.style.top = `${100 * at[1]}%`;
}

// -- pictures

function sendPicture(file) {
  if (!file) return;
  choose("picture");
  URL.revokeObjectURL(shown.src);
  shown.src = URL.createObjectURL(file);
  shown.hidden = false;
  $("other").hidden = false;
  ask(file);
}

shown.addEventListener("error", () => { shown.hidden = $("other").hidden = true; }); // of a format that the browser does not know

for (const [button, input] of [["choose", "file"], ["other", "file"], ["photograph", "photo"]]) {
  $(button).addEventListener("click", () => $(input).click());
}
for (const input of [$("file"), $("photo")]) {
  input.addEventListener("change", () => { sendPicture(input.files[0]); input.value = ""; });
}
addEventListener("dragover", (event) => { event.preventDefault(); stage.classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) stage.classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  stage.classList.remove("over");
  sendPicture(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => sendPicture(event.clipboardData.files[0]));

// -- the camera

let stream = null;

async function startCamera() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    return problem("No camera", sentence(error.message || error.name));
  }
  video.srcObject = stream;
  video.hidden = false;
  $("camera").textContent = "Stop the camera";
  await video.play();
  return readFrames(stream);
}

async function readFrames(source) {
  const frame = document.createElement("canvas");
  while (stream === source) {
    if (video.videoWidth && !document.hidden) {
      frame.width = video.videoWidth; // as the camera gives it: the program prepares it
      frame.height = video.videoHeight;
      frame.getContext("2d").drawImage(video, 0, 0);
      const picture = await new Promise((done) => { frame.toBlob(done, "image/jpeg", 0.92); });
      if (stream !== source) return;
      await ask(picture);
    }
    await new Promise((done) => { setTimeout(done, CAMERA_PAUSE_MS); });
  }
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = video.srcObject = null;
  video.hidden = true;
  $("camera").textContent = "Start the camera";
}

$("camera").addEventListener("click", () => (stream ? stopCamera() : startCamera()));

// -- the ways to give a picture

function choose(way) {
  if (stage.dataset.way === way) return;
  stage.dataset.way = way;
  for (const button of ways) button.setAttribute("aria-pressed", String(button.dataset.way === way));
  $("undo").hidden = $("clear").hidden = way !== "draw";
  $("other").hidden = way !== "picture" || shown.hidden;
  $("camera").hidden = way !== "camera";
  $("verdict").setAttribute("aria-live", way === "camera" ? "off" : "polite"); // nobody listens to ten answers a second
  stopCamera();
  wait();
  if (way === "draw") askDrawing();
  else forget("empty", "?", way === "picture" ? "Give it a picture, and the model says what it is." : "Hold something in front of the camera.");
  if (way === "camera") startCamera();
}

for (const button of ways) {
  button.addEventListener("click", () => choose(button.dataset.way));
}
$("undo").addEventListener("click", undo);
$("clear").addEventListener("click", clearDrawing);
addEventListener("keydown", (event) => {
  if (stage.dataset.way !== "draw" || !(event.ctrlKey || event.metaKey) || event.key !== "z" || penDown || drawing) return;
  event.preventDefault();
  undo();
});

async function begin() {
  redraw();
  try {
    model = await (await fetch("model")).json();
  } catch {
    return problem("No answer", "The program cannot be reached. Load this page again.");
  }
  const [height, width, channels] = model.input;
  document.title = `${model.model}: edgeproof`;
  $("model").textContent = `${model.model} ${model.variant}`;
  $("runtime").textContent = `${model.labels.length} classes, ${width} × ${height} pixels in ${channels === 1 ? "gray" : "colour"}, ${model.runtime} ${model.runtime_version}`;
  $("classes").classList.toggle("words", model.labels.some((label) => [...label].length > SHORT));
  [...ways].find((button) => button.dataset.way === "camera").hidden = !navigator.mediaDevices?.getUserMedia;
  $("photograph").hidden = !matchMedia("(pointer: coarse)").matches;
  forget("empty", "?", DRAW_SOMETHING);
  if (!model.reads_drawings) choose("picture");
  document.documentElement.dataset.ready = "yes";
}

begin();
