"use strict";
/* Draws the report: Vega does the charts; this file chooses the model and the row, sorts tables and follows the theme. */
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const state = { model: "", key: data.first[0] || Object.keys(data.details)[0] || "", theme: "auto", views: new Map(), turn: 0 };

  const make = (tag, text, attributes = {}) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  const percent = (share, digits = 2) => (share === null ? "–" : (100 * share).toFixed(digits));
  const narrow = () => innerWidth < 640;

  /* Theme: the charts take their colours from the style sheet's variables. */
  const applyTheme = () => {
    root.dataset.theme = state.theme === "auto" ? (prefersDark.matches ? "dark" : "light") : state.theme;
    const words = { auto: "automatic", light: "light", dark: "dark" };
    document.getElementById("theme").setAttribute("aria-label", `Colours: ${words[state.theme]}`);
  };
  const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const chartConfig = () => {
    const [ink, soft, line] = [color("--ink"), color("--soft"), color("--line")];
    return {
      background: "transparent",
      font: "system-ui, 'DejaVu Sans', sans-serif",
      view: { stroke: null },
      axis: { labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line, labelFontSize: narrow() ? 10 : 11, titleFontSize: narrow() ? 11 : 12, titleFontWeight: 500, labelLimit: 230, labelSeparation: 6 },
      legend: { labelColor: ink, titleColor: soft, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500, labelLimit: narrow() ? 122 : 240, orient: "bottom", columns: narrow() ? 2 : 4, symbolOpacity: 1, symbolBaseFillColor: soft, symbolBaseStrokeColor: soft, layout: { bottom: { anchor: "start", direction: narrow() ? "vertical" : "horizontal", margin: 14 } } },
      text: { color: ink },
      rule: { color: soft },
      style: { front: { color: ink, stroke: ink, strokeOpacity: 0.75 }, halo: { color: color("--paper"), fill: color("--paper"), stroke: color("--paper"), strokeWidth: 5 }, front_tick: { fill: ink, color: ink }, cell: { stroke: null } },
      range: { category: [1, 2, 3, 4, 5, 6, 7, 8].map((n) => color(`--c${n}`)), heatmap: { scheme: "blues" } },
    };
  };

  /* One chart in one element; a newer drawing in the same element wins. */
  const draw = async (element, spec) => {
    const turn = ++state.turn;
    element.dataset.turn = turn;
    const old = state.views.get(element);
    const options = { actions: false, renderer: "svg", ast: true, config: chartConfig(), tooltip: { theme: root.dataset.theme } };
    const result = await vegaEmbed(element, structuredClone(spec), options);
    if (element.dataset.turn !== String(turn)) return result.finalize();
    if (old) old.finalize();
    state.views.set(element, result);
    element.dataset.drawn = "yes";
  };
  const clear = (element) => {
    const old = state.views.get(element);
    if (old) old.finalize();
    state.views.delete(element);
    element.dataset.turn = ++state.turn;
    element.replaceChildren();
  };

  const models = () => (state.model ? [state.model] : Object.keys(data.models));

  const drawOverview = () => {
    const element = document.getElementById("overview");
    if (!data.overview) return element.replaceChildren(make("p", "No accuracy was measured.", { class: "note" }));
    const spec = structuredClone(data.overview);
    spec.params[0].value = state.model;
    if (narrow()) {
      spec.height = 340;
      spec.layer = spec.layer.slice(0, -1); /* names of points do not fit a phone: a touch shows them */
    }
    return draw(element, spec);
  };

  const drawSections = async () => {
    for (const element of document.querySelectorAll(".section-chart")) await draw(element, data.sections[element.dataset.chart]);
  };

  const drawPerModel = async () => {
    for (const host of document.querySelectorAll(".per-model")) {
      for (const element of host.querySelectorAll(".chart > div")) clear(element);
      host.replaceChildren();
      for (const model of models()) {
        const found = data.models[model][host.dataset.chart];
        const specs = Array.isArray(found) ? found : found ? [found] : [];
        for (const [number, spec] of specs.entries()) {
          const box = make("details", undefined, { class: "chart" });
          const title = (host.dataset.title || "").split("|")[number];
          const name = title ? `${model}: ${title}` : model;
          box.append(make("summary", name), make("div"));
          box.open = model === models()[0];
          box.addEventListener("toggle", () => { if (box.open && !box.lastChild.dataset.turn) draw(box.lastChild, spec); });
          host.append(box);
          if (box.open) await draw(box.lastChild, spec);
        }
      }
    }
  };

  /* A device that could not read a picture has answered none of the classes: its number is after the last one. */
  const NOT_ANSWERED = "not answered";
  const nameOf = (detail, index) => (index < 0 ? "none" : detail.names[index] ?? NOT_ANSWERED);

  const confusionSpec = (detail, side) => {
    const unanswered = detail.confusions.some(([, answer]) => answer >= detail.names.length);
    const names = unanswered ? [...detail.names, NOT_ANSWERED] : detail.names;
    const cells = detail.confusions.map(([i, j, n]) => ({ label: i, answer: j, was: names[i], is: names[j], n, kind: i === j ? "right" : "wrong" }));
    const worst = Math.max(1, ...cells.filter((cell) => cell.kind === "wrong").map((cell) => cell.n));
    const axis = (title, shown) => ({ type: "ordinal", title, scale: { domain: shown.map((_, i) => i) }, axis: { labelExpr: "names[datum.value]", labelAngle: names.some((n) => n.length > 2) && title === "answer" ? -40 : 0, labelLimit: 90, ticks: false, domain: false, grid: false } });
    const tooltip = [{ field: "was", title: "class" }, { field: "is", title: "answer" }, { field: "n", title: "pictures" }];
    const x = { field: "answer", ...axis("answer", names) }, y = { field: "label", ...axis("class", detail.names) };
    const layers = [
      { transform: [{ filter: "datum.kind == 'right'" }], mark: { type: "rect", opacity: 0.16, cornerRadius: 3 }, encoding: { x, y, color: { value: color("--c3") }, tooltip } },
      { transform: [{ filter: "datum.kind == 'wrong'" }], mark: { type: "rect", cornerRadius: 3, color: color("--c2") }, encoding: { x, y, opacity: { field: "n", type: "quantitative", scale: { type: "sqrt", domain: [0, worst], range: [0.15, 1] }, legend: null }, tooltip } },
    ];
    if (names.length <= 15) layers.push({ mark: { type: "text", fontSize: narrow() ? 9 : 11 }, encoding: { x, y, text: { field: "n" } } });
    return { $schema: data.schema, width: "container", height: side, autosize: { type: "fit-x", contains: "padding" }, params: [{ name: "names", value: names }], data: { values: cells }, layer: layers };
  };

  const calibrationSpec = (bins) => {
    const values = bins.map(([pictures, score, accuracy]) => ({ pictures, score, accuracy }));
    const x = { type: "quantitative", title: "mean top score", scale: { domain: [0, 1] } };
    const y = { type: "quantitative", title: "share answered rightly", scale: { domain: [0, 1] } };
    return {
      $schema: data.schema, width: "container", height: 260, autosize: { type: "fit-x", contains: "padding" }, data: { values },
      layer: [
        { data: { values: [{ a: 0, b: 0 }, { a: 1, b: 1 }] }, mark: { type: "line", strokeDash: [4, 3], style: "front", opacity: 0.5 }, encoding: { x: { field: "a", ...x }, y: { field: "b", ...y } } },
        { mark: { type: "line", opacity: 0.5, color: color("--c1") }, encoding: { x: { field: "score", ...x }, y: { field: "accuracy", ...y } } },
        { mark: { type: "point", filled: true, color: color("--c1") }, encoding: { x: { field: "score", ...x }, y: { field: "accuracy", ...y }, size: { field: "pictures", type: "quantitative", scale: { type: "log", domainMin: 1, range: [20, 350] }, legend: null }, tooltip: ["pictures", "score", "accuracy"].map((field) => ({ field, format: field === "pictures" ? "," : ".4f" })) } },
      ],
    };
  };

  const unsureSpec = (points) => {
    const values = points.map(([score, right, wrong]) => ({ score, right, wrong }));
    const axis = (title) => ({ type: "quantitative", title, axis: { format: ".1~%" } });
    const x = { field: "right", ...axis("right answers that become unsure") };
    const y = { field: "wrong", ...axis("wrong answers that become unsure"), scale: { domain: [0, 1] } };
    const tooltip = [{ field: "score", title: "least score", format: ".3f" }, { field: "right", title: "right ones unsure", format: ".2%" }, { field: "wrong", title: "wrong ones unsure", format: ".1%" }];
    return {
      $schema: data.schema, width: "container", height: 260, autosize: { type: "fit-x", contains: "padding" }, data: { values },
      layer: [
        { mark: { type: "line", interpolate: "step-after", opacity: 0.5, color: color("--c1") }, encoding: { x, y } },
        { mark: { type: "point", filled: true, color: color("--c1") }, encoding: { x, y, tooltip } },
      ],
    };
  };

  const drawFlips = (detail) => {
    const host = document.getElementById("flips");
    host.replaceChildren();
    const flips = detail.flips;
    if (!flips) return host.append(make("p", "Nothing to hold it against: this is a float32 row, or none of its runtime was measured.", { class: "note" }));
    const shown = flips.shown.length < flips.count ? `, ${flips.shown.length} of them shown` : "";
    host.append(make("p", `${flips.count.toLocaleString("en")} of ${flips.of.toLocaleString("en")} pictures are answered otherwise than by ${flips.against}${shown}.`, { class: "note" }));
    const list = make("ul", undefined, { class: "flips" });
    for (const [place, truth, before, now] of flips.shown) {
      const item = make("li");
      item.append(make("img", undefined, { src: data.pictures[flips.pool][place], alt: `test picture ${place}, class ${nameOf(detail, truth)}` }));
      item.append(make("span", `${nameOf(detail, before)} → ${nameOf(detail, now)}`, { class: now === truth ? "better" : before === truth ? "worse" : "" }), make("br"), make("span", `is ${nameOf(detail, truth)}`));
      list.append(item);
    }
    host.append(list);
  };

  const drawClasses = (detail) => {
    const table = document.getElementById("classes");
    const head = make("tr"), body = make("tbody");
    const columns = [["class", "text"], ["pictures", "number"], ["right", "number"], ["recall %", "number"], ["95 %", "text"], ["precision %", "number"]];
    const titles = columns.map(([title]) => title);
    for (const [title, kind] of columns) {
      const cell = make("th", undefined, { class: kind, "aria-sort": "none" });
      cell.append(make("button", title, { type: "button" }));
      head.append(cell);
    }
    for (const [name, pictures, right, recall, ends, precision] of detail.classes || []) {
      const row = make("tr");
      const interval = ends ? `${percent(ends[0])} to ${percent(ends[1])}` : "–";
      const cells = [[name, name, "text"], [pictures, pictures.toLocaleString("en"), "number"], [right, right.toLocaleString("en"), "number"], [recall, percent(recall), "number"], [interval, interval, "text"], [precision, percent(precision), "number"]];
      for (const [sort, shown, kind] of cells) row.append(make("td", shown, { class: kind, "data-sort": sort ?? "", "data-label": titles[row.cells.length] }));
      body.append(row);
    }
    const thead = make("thead");
    thead.append(head);
    table.replaceChildren(thead, body);
  };

  const drawConfusion = (detail) => {
    const element = document.getElementById("confusion");
    clear(element);
    if (detail.missing) return element.append(make("p", `No confusion matrix: ${detail.missing}.`, { class: "note" }));
    if (detail.drawn) return draw(element, confusionSpec(detail, Math.min(element.clientWidth - 20, 460)));
    const list = make("ol");
    for (const [i, j, n] of detail.confusions) list.append(make("li", j < detail.names.length ? `${detail.names[i]} answered as ${detail.names[j]}: ${n}` : `${detail.names[i]} ${NOT_ANSWERED}: ${n}`));
    element.append(make("p", "The most frequent confusions:", { class: "note" }), list);
  };

  const drawCalibration = (detail) => {
    const element = document.getElementById("calibration"), note = document.getElementById("calibration-note");
    clear(element);
    element.hidden = !detail.calibration;
    note.replaceChildren();
    if (!detail.calibration) return note.append(make("p", detail.missing ? `None: ${detail.missing}.` : detail.scores || "Its scores are no probabilities.", { class: "note" }));
    const [error, bins] = detail.calibration;
    note.append(make("p", `Expected calibration error ${(100 * error).toFixed(2)} points over ${bins.length} bins that hold pictures.`, { class: "note" }));
    return draw(element, calibrationSpec(bins));
  };

  const drawUnsure = (detail) => {
    const element = document.getElementById("unsure"), note = document.getElementById("unsure-note");
    const points = detail.unsure || [];
    clear(element);
    element.hidden = !points.length;
    note.replaceChildren();
    const why = detail.missing || (detail.calibration ? "it needs right and wrong answers" : "it needs scores that are probabilities: choose a float row");
    if (!points.length) return note.append(make("p", `None: ${why}.`, { class: "note" }));
    const half = points.find(([, , wrong]) => wrong >= 0.5);
    note.append(make("p", `With --min-score ${(Math.ceil(1000 * half[0]) / 1000).toFixed(3)}, half of the wrong answers are "unsure", and ${(100 * half[1]).toFixed(2)} % of the right ones.`, { class: "note" }));
    return draw(element, unsureSpec(points));
  };

  const drawRow = async () => {
    const picker = document.getElementById("row");
    const keys = models().flatMap((model) => data.models[model].rows);
    if (!keys.includes(state.key)) state.key = data.first.find((key) => keys.includes(key)) || keys[0] || "";
    picker.replaceChildren(...keys.map((key) => {
      const option = make("option", `${data.details[key].model}: ${data.details[key].name}`, { value: key });
      option.selected = key === state.key;
      return option;
    }));
    const detail = data.details[state.key];
    if (!detail) return;
    drawFlips(detail);
    drawClasses(detail);
    await drawConfusion(detail);
    await drawCalibration(detail);
    await drawUnsure(detail);
  };

  const filterTables = () => {
    for (const node of document.querySelectorAll("[data-model]")) node.hidden = Boolean(state.model) && node.dataset.model !== state.model;
    for (const button of document.querySelectorAll("[data-choose]")) button.setAttribute("aria-pressed", String(button.dataset.choose === state.model));
  };

  const all = async () => {
    root.dataset.ready = "";
    filterTables();
    await drawOverview();
    await drawSections();
    await drawRow();
    await drawPerModel();
    root.dataset.ready = "yes"; /* tests wait for it */
  };

  /* Sorting: numbers as numbers, what is missing last in either direction. */
  const sortBy = (header) => {
    const table = header.closest("table"), body = table.tBodies[0], column = header.cellIndex;
    const up = header.getAttribute("aria-sort") !== "ascending";
    for (const other of header.parentNode.cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    const number = header.classList.contains("number");
    const value = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
    const order = (a, b) => {
      const [left, right] = [value(a), value(b)];
      if (left === "" || right === "") return (left === "") - (right === "");
      const sign = number ? Number(left) - Number(right) : left.localeCompare(right, "en", { numeric: true });
      return up ? sign : -sign;
    };
    body.append(...[...body.rows].sort(order));
  };

  document.addEventListener("click", (event) => {
    const choose = event.target.closest("[data-choose]"), header = event.target.closest(".sortable th"), look = event.target.closest(".look");
    if (choose) { state.model = choose.dataset.choose; all(); }
    if (header) sortBy(header);
    if (look) { state.key = look.closest("tr").dataset.key; drawRow(); document.getElementById("look").scrollIntoView({ behavior: "smooth" }); }
  });
  document.getElementById("row").addEventListener("change", (event) => { state.key = event.target.value; drawRow(); });
  document.getElementById("theme").addEventListener("click", () => {
    state.theme = { auto: root.dataset.theme === "dark" ? "light" : "dark", dark: "light", light: "dark" }[state.theme];
    applyTheme();
    all();
  });
  prefersDark.addEventListener("change", () => { applyTheme(); all(); });
  let width = innerWidth, waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { if (innerWidth !== width) { width = innerWidth; all(); } }, 200);
  });
  /* A row can be linked to: report.html#MODEL/VARIANT... A link that was typed may be no encoding of anything. */
  const decoded = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  };
  const fromLink = () => {
    const key = decoded(location.hash.slice(1));
    if (!Object.hasOwn(data.details, key)) return;
    state.model = "";
    state.key = key;
  };
  addEventListener("hashchange", () => { fromLink(); filterTables(); drawRow(); });
  fromLink();
  applyTheme();
  all();
})();
