// Brings together what is asked, what the server answers and what is shown.

import * as api from "./api.js";
import { readAddress, writeAddress } from "./address.js";
import * as colours from "./colours.js";
import { drawnSmiles, openEditor } from "./editor.js";
import { follow } from "./follow.js";
import { showAtoms, showFacts, showNotes, summaryOf } from "./panel.js";
import { blobOf, saveBlob, saveReport } from "./save.js";
import { drawSlice, scaleOf } from "./slice.js";
import { Viewer } from "./viewer.js";
import { VIEWS, allowViews, needed, offerViews } from "./views.js";

const $ = (id) => document.getElementById(id);
const SIGNED = new Set(["deformation", "potential", "difference"]);

// What is shown: `asked` goes into the address, the rest follows from the server.
const shown = {
  asked: {}, key: null, result: null, view: "density", level: null, levels: {}, opacity: 70,
  comparison: null, reference: null, known: [], wanted: null, drawing: null, token: 0,
};

let rememberTimer = 0;
let toastTimer = 0;
const viewer = new Viewer($("viewer"), () => remember());

// ---- asking ----

async function ask(asked, { restored = null } = {}) {
  const started = ++shown.token;
  if (shown.key) api.stop(shown.key).catch(() => {});
  Object.assign(shown, {
    asked, key: null, result: null, comparison: null, reference: null, levels: {}, wanted: restored,
    view: restored?.view in VIEWS ? restored.view : "density",
  });
  complain(null);
  $("hint").hidden = true;
  $("comparison").replaceChildren();
  $("all-the-same").hidden = true;
  markExample();
  try {
    const options = {};
    if ($("model").value) options.model = $("model").value;
    if ($("charge").value !== "") options.charge = Number($("charge").value);
    const job = asked.file
      ? await api.openFile(asked.file, options)
      : await api.predict({ ...asked, ...options });
    if (started !== shown.token) return api.stop(job.key).catch(() => {});
    shown.key = job.key;
    await follow(job.key, {
      current: () => started === shown.token,
      step: progress,
      found: (result) => showResult(result),
    });
    if (started !== shown.token) return;
    announce(`${shown.result?.name ?? "It"} is complete.`);
  } catch (error) {
    if (started !== shown.token) return;
    complain(error);
    if (!shown.result) { viewer.clear(); showNothing(); }
  } finally {
    if (started === shown.token) $("progress").hidden = true;
  }
}

function progress(job) {
  $("progress").hidden = job.state !== "waiting" && job.state !== "running";
  const share = job.points_total ? job.points_done / job.points_total : 0;
  $("bar").style.width = `${100 * share}%`;
  const words = job.state === "waiting" ? [`waiting, number ${job.position} in the queue`] : [job.stage];
  if (job.state === "running" && job.points_total) {
    words.push(`${Math.round(100 * share)} %`);
    if (job.points_per_second) words.push(`${Math.round(job.points_per_second).toLocaleString("en")} points/s`);
  }
  $("stage").textContent = words.join(" · ");
}

function showNothing() {
  $("side").hidden = true;
  $("title").textContent = "See the electrons";
  $("subtitle").textContent = "Pick an example, type a name or draw a molecule.";
  $("badge").hidden = true;
  $("legend").hidden = true;
  for (const id of ["caption", "summary"]) $(id).textContent = "";
}

// ---- showing ----

async function showResult(result) {
  const first = !shown.result;
  shown.result = result;
  $("side").hidden = false;
  $("title").textContent = result.name;
  const origin = result.model ? `model “${result.model}”, ${result.level}` : result.quality === "full" ? `from your file, ${result.level}` : "";
  $("subtitle").textContent = [formula(result.formula), `${result.atoms.length} atoms`, origin].filter(Boolean).join(" · ");
  $("badge").hidden = result.quality === "structure";
  $("badge").textContent = result.model ? "predicted, not measured" : "as in your file";
  $("predict-it").hidden = Boolean(result.model) || result.quality !== "full";
  if (first) {
    viewer.structure(result.structure);
    viewer.labels($("labels").checked);
    $("hint").hidden = true;
    if (shown.wanted?.camera) viewer.camera = shown.wanted.camera;
  }
  showFacts($("facts"), result.facts);
  showAtoms($("atoms-details"), $("atoms"), result.atoms);
  showNotes($("notes"), result);
  $("numbers").hidden = !result.facts.length && !result.notes.length && !result.warnings.length;
  for (const [id, format] of [["cube", "cube"], ["chgcar", "chgcar"]]) $(id).href = api.fileAddress(shown.key, format, "density");
  $("more").hidden = result.quality !== "full";
  $("compare").disabled = !("density" in result.fields);
  offer();
  await draw();
}

const formula = (words) => words.replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);

const fields = () => ({ ...shown.result?.fields, ...shown.comparison?.result.fields });

function offer() {
  const there = fields();
  if (shown.wanted?.view && needed(VIEWS[shown.wanted.view] ?? VIEWS.density).every((field) => field in there)) {
    shown.view = shown.wanted.view;
  }
  const view = VIEWS[shown.view];
  const ready = needed(view).every((field) => field in there);
  allowViews($("views"), there, ready ? shown.view : "density");
  $("controls").hidden = !("density" in there) && !ready;
}

// The view that can be drawn now: the one that is wanted may not have been computed yet.
const drawable = () => {
  const there = fields();
  return needed(VIEWS[shown.view]).every((field) => field in there) ? shown.view : "density" in there ? "density" : null;
};

function levelOf(name, scale) {
  if (shown.wanted?.level && (shown.wanted.view ?? "density") === name) {
    shown.levels[name] = shown.wanted.level;
    delete shown.wanted.level;
  }
  const level = shown.levels[name] ?? scale.default;
  return Math.min(Math.max(level, scale.levels[0]), scale.levels.at(-1));
}

const nearest = (levels, level) =>
  levels.reduce((best, value, i) => (Math.abs(Math.log(value / level)) < Math.abs(Math.log(levels[best] / level)) ? i : best), 0);

async function draw() {
  const name = drawable();
  if (!name || !shown.result) return;
  const view = VIEWS[name], scale = fields()[view.field];
  const level = levelOf(name, scale), at = nearest(scale.levels, level);
  $("level").max = scale.levels.length - 1;
  $("level").value = at;
  const words = `${colours.shown(level)} ${scale.unit}`;
  $("level-value").textContent = words;
  $("level").setAttribute("aria-valuetext", words);
  const inside = SIGNED.has(view.field) || view.field === "error"
    ? `${(100 * scale.shares[at]).toFixed(1)} % of it inside`
    : `${(100 * scale.shares[at]).toFixed(1)} % of the electrons inside`;
  $("inside").textContent = inside;
  const caption = view.caption(words);
  $("caption").textContent = `${caption} · ${inside}`;
  $("summary").textContent = summaryOf(shown.result, caption, inside);
  await Promise.all([drawSurface(name, view, level), slice()]);
  remember();
}

async function drawSurface(name, view, level) {
  shown.drawing?.abort();
  const drawing = (shown.drawing = new AbortController());
  const key = view.field === "difference" ? shown.comparison.key : shown.key;
  const query = { field: view.field, level };
  if (view.colour) query.colour = view.colour;
  try {
    const { pieces, values } = await api.surface(key, query, drawing.signal);
    if (drawing.signal.aborted) return;
    const limit = values ? Math.max(Math.abs(values[0]), Math.abs(values[1]), 1e-9) : 1;
    const painted = view.colour ? byValue(limit) : view.paintedBy();
    viewer.surface(pieces, shown.opacity / 100, painted);
    legend(view, limit);
    $("viewer").dataset.surface = String(pieces.reduce((sum, piece) => sum + piece.faces.length / 3, 0));
    $("viewer").dataset.view = name;
    $("viewer").dataset.quality = shown.result.quality;
  } catch (error) {
    if (error.name !== "AbortError") complain(error);
  }
}

function byValue(limit) {
  const palette = viewer.works ? viewer.palette("signed") : null;
  return (piece) => Array.from(piece.values, (value) => palette[Math.round(255 * Math.min(Math.max((value / limit + 1) / 2, 0), 1))]);
}

function legend(view, limit) {
  const box = $("legend");
  box.replaceChildren();
  if (view.colour) {
    const unit = fields()[view.colour].unit;
    const bar = document.createElement("span"), ends = document.createElement("span");
    bar.className = "scale";
    bar.style.background = colours.gradient(colours.signed);
    ends.className = "ends";
    for (const value of [-limit, 0, limit]) ends.append(Object.assign(document.createElement("span"), { textContent: colours.shown(value) }));
    box.append(`electrostatic potential / ${unit}`, bar, ends);
  } else {
    for (const [colour, words] of view.keys()) {
      const key = document.createElement("span"), patch = document.createElement("i");
      key.className = "key";
      patch.style.background = colour;
      key.append(patch, words);
      box.append(key);
    }
  }
  box.hidden = !box.childNodes.length;
}

async function slice() {
  const on = $("sliced").checked;
  $("slice").hidden = !on;
  if (!on) { viewer.slice(null); return; }
  const name = drawable(), view = VIEWS[name];
  const field = view.colour ?? view.field;
  const key = field === "difference" ? shown.comparison.key : shown.key;
  const position = $("position").value / 100;
  $("position-value").textContent = `${$("position").value} %`;
  try {
    const found = await api.slice(key, { field, axis: $("axis").value, position });
    const scale = scaleOf(found, SIGNED.has(field));
    drawSlice($("slice-canvas"), found, scale, shown.result.structure.atoms);
    viewer.slice(found, scale.table, scale.place);
    const unit = fields()[field].unit;
    $("slice-words").textContent = `${colours.shown(scale.ends[0])} (dark${scale.table === "signed" ? " red" : ""}) to ${colours.shown(scale.ends[1])} ${unit}${scale.table === "signed" ? " (dark blue)" : " (bright), colours by square root"}`;
  } catch (error) {
    complain(error);
  }
}

// ---- words and the address ----

function complain(error) {
  $("problem").hidden = !error;
  $("problem").textContent = error ? error.message : "";
}

function announce(words) {
  $("toast").textContent = words;
  $("toast").classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => $("toast").classList.remove("shown"), 2500);
}

function remember() {
  clearTimeout(rememberTimer);
  rememberTimer = setTimeout(() => {
    if (!shown.result) return;
    const { example, smiles } = shown.asked;
    const sliced = $("sliced").checked;
    writeAddress({
      example, smiles, file: shown.asked.file?.name, model: $("model").value, charge: $("charge").value,
      view: shown.view, level: shown.levels[shown.view], opacity: shown.opacity,
      axis: sliced ? Number($("axis").value) : null, slice: sliced ? Number($("position").value) : null,
      camera: viewer.camera,
    });
  }, 250);
}

function markExample() {
  for (const button of $("examples").querySelectorAll("button")) {
    button.setAttribute("aria-current", String(button.dataset.key === shown.asked.example));
  }
  if (shown.asked.smiles) $("query").value = shown.asked.smiles;
}

// ---- comparing ----

async function compareWith(file) {
  const started = shown.token, key = shown.key;
  complain(null);
  $("comparison").replaceChildren();
  try {
    const reference = await api.openFile(file);
    const end = await follow(reference.key, { current: () => started === shown.token, step: progress });
    if (started !== shown.token) return;
    if (end.kind !== "file") throw new api.Refused(`${file.name} holds a structure, no density; a cube or CHGCAR file has one.`, 422);
    shown.reference = reference.key;
    await compared(key, false);
  } catch (error) {
    complain(error);
  } finally {
    $("progress").hidden = true;
  }
}

async function compared(key, mixed) {
  const started = shown.token;
  $("all-the-same").hidden = true;
  try {
    const job = await api.compare({ density: key, reference: shown.reference, mix_levels: mixed });
    await follow(job.key, { current: () => started === shown.token, step: progress });
    const result = await api.result(job.key);
    shown.comparison = { key: job.key, result };
    showFacts($("comparison"), result.facts);
    for (const words of result.warnings) $("comparison").append(Object.assign(document.createElement("p"), { textContent: words, className: "quiet" }));
    shown.view = "difference";
    offer();
    await draw();
  } catch (error) {
    $("all-the-same").hidden = error.status !== 409;
    complain(error);
  }
}

// ---- what people do ----

function asked(words) {
  const plain = words.trim();
  if (!plain) return null;
  const folded = plain.toLowerCase();
  const example = shown.known.find((one) => one.key === folded || one.name.toLowerCase() === folded || one.name.toLowerCase().split(/[ ,]+/).includes(folded) || one.formula.toLowerCase() === folded);
  return example ? { example: example.key } : { smiles: plain };
}

function listen() {
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = asked($("query").value);
    if (wanted) ask(wanted);
  });
  $("open").addEventListener("click", () => { $("file").dataset.use = "open"; $("file").click(); });
  $("compare").addEventListener("click", () => { $("file").dataset.use = "compare"; $("file").click(); });
  $("file").addEventListener("change", () => {
    const [file] = $("file").files;
    $("file").value = "";
    if (!file) return;
    if ($("file").dataset.use === "compare") compareWith(file);
    else ask({ file });
  });
  $("all-the-same").addEventListener("click", () => compared(shown.key, true));
  $("predict-it").addEventListener("click", () => ask({ structure_of: shown.key }));
  $("stop").addEventListener("click", () => {
    shown.token++;
    if (shown.key) api.stop(shown.key).catch(() => {});
    $("progress").hidden = true;
    announce("Stopped.");
    if (shown.result?.quality !== "full") { shown.result = null; viewer.clear(); showNothing(); }
  });
  let waiting = 0;
  $("level").addEventListener("input", () => {
    const name = drawable();
    if (!name) return;
    shown.levels[name] = fields()[VIEWS[name].field].levels[$("level").value];
    clearTimeout(waiting);
    waiting = setTimeout(draw, 50);
  });
  $("opacity").addEventListener("input", () => {
    shown.opacity = Number($("opacity").value);
    $("opacity-value").textContent = `${shown.opacity} %`;
    clearTimeout(waiting);
    waiting = setTimeout(draw, 50);
  });
  $("labels").addEventListener("change", () => viewer.labels($("labels").checked));
  for (const id of ["sliced", "axis"]) $(id).addEventListener("change", () => { slice(); remember(); });
  let cutting = 0;
  $("position").addEventListener("input", () => { clearTimeout(cutting); cutting = setTimeout(() => { slice(); remember(); }, 50); });
  $("closer").addEventListener("click", () => viewer.zoom(1.2));
  $("away").addEventListener("click", () => viewer.zoom(1 / 1.2));
  $("reset").addEventListener("click", () => { viewer.again(); remember(); });
  $("spin").addEventListener("click", () => {
    const on = $("spin").getAttribute("aria-pressed") !== "true";
    $("spin").setAttribute("aria-pressed", String(on));
    viewer.spin(on);
  });
  $("picture").addEventListener("keydown", (event) => {
    if (event.target !== $("picture")) return;
    const turns = { ArrowLeft: ["y", -10], ArrowRight: ["y", 10], ArrowUp: ["x", -10], ArrowDown: ["x", 10] };
    if (turns[event.key]) viewer.turn(...turns[event.key]);
    else if (event.key === "+" || event.key === "=") viewer.zoom(1.15);
    else if (event.key === "-") viewer.zoom(1 / 1.15);
    else if (event.key === "0") viewer.again();
    else return;
    event.preventDefault();
  });
  // The wheel scrolls the page until the picture has been chosen.
  $("picture").addEventListener("wheel", (event) => {
    if (event.ctrlKey || $("picture").contains(document.activeElement)) return;
    event.stopPropagation();
    $("hint").hidden = false;
    setTimeout(() => { $("hint").hidden = true; }, 1500);
  }, { capture: true, passive: true });
  $("picture").addEventListener("pointerdown", (event) => { if (!event.target.closest("button")) $("picture").focus({ preventScroll: true }); });
  $("png").addEventListener("click", () => saveBlob(blobOf(viewer.png()), `${shown.result.name}.png`));
  $("report").addEventListener("click", async () => {
    try { await saveReport(shown.key, shown.result.name, viewer.png()); } catch (error) { complain(error); }
  });
  $("link").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      announce(shown.asked.file ? "Copied. The file itself is not in a link; open it again." : "Link copied.");
    } catch {
      announce("The address above is the link.");
    }
  });
  $("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("deepdft-theme", root.dataset.theme); } catch { /* Storage may be switched off. */ }
    viewer.paint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => viewer.paint());
  $("draw").addEventListener("click", () => openEditor($("editor"), $("canvas"), shown.asked.smiles).catch(complain));
  $("editor").addEventListener("close", () => {
    if ($("editor").returnValue !== "show") return;
    const smiles = drawnSmiles();
    if (smiles) ask({ smiles });
    else complain(new Error("Nothing was drawn."));
  });
  let depth = 0;
  addEventListener("dragenter", (event) => { if (event.dataTransfer?.types.includes("Files")) { depth++; $("drop").hidden = false; } });
  addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); if (!depth) $("drop").hidden = true; });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    $("drop").hidden = true;
    const [file] = event.dataTransfer?.files ?? [];
    if (file) ask({ file });
  });
  addEventListener("resize", () => viewer.resize());
}

async function begin() {
  offerViews($("views"), (name) => { shown.view = name; if (shown.wanted) delete shown.wanted.view; draw(); });
  $("opacity-value").textContent = `${shown.opacity} %`;
  listen();
  if (!viewer.works) complain(new Error("This browser draws nothing in three dimensions (WebGL is off). Slices, numbers and files work all the same."));
  try {
    const [about, examples] = await Promise.all([api.about(), api.examples()]);
    shown.known = examples;
    for (const name of about.models) $("model").append(new Option(name, name));
    $("draw").disabled = !about.drawing;
    for (const one of examples) {
      const item = document.createElement("li"), button = document.createElement("button");
      item.className = one.kind;
      Object.assign(button, { type: "button", textContent: one.name.replace(/, .*/, ""), title: one.words });
      button.dataset.key = one.key;
      button.addEventListener("click", () => ask({ example: one.key }));
      item.append(button);
      $("examples").append(item);
      $("names").append(new Option(one.formula, one.name));
    }
  } catch (error) {
    complain(error);
    return;
  }
  restore();
  addEventListener("hashchange", restore);
}

function restore() {
  const wanted = readAddress();
  if (wanted.model) $("model").value = wanted.model;
  if (wanted.charge) $("charge").value = wanted.charge;
  if (wanted.opacity) { shown.opacity = wanted.opacity; $("opacity").value = wanted.opacity; $("opacity-value").textContent = `${wanted.opacity} %`; }
  if ("slice" in wanted) {
    $("sliced").checked = true;
    $("position").value = wanted.slice;
    $("axis").value = wanted.axis ?? 2;
  }
  if (wanted.example) ask({ example: wanted.example }, { restored: wanted });
  else if (wanted.smiles) ask({ smiles: wanted.smiles }, { restored: wanted });
  else if (wanted.file) complain(new Error(`The link is of the file ${wanted.file}; open it again, since links hold no files.`));
}

begin();
