// Asks for a density, follows the job, and shows what there is after each step.

import * as api from "./api.js";
import { facing } from "./camera.js";
import { follow } from "./follow.js";
import { formula, showAtoms, showFacts, showNotes } from "./panel.js";
import { cells, draw, leave, repeat, still, viewer } from "./picture.js";
import { $, announce, complain, fields, progress, shown } from "./state.js";
import { VIEWS, allowViews, needed } from "./views.js";

// `restored` is what a link says of the view.
export async function ask(asked, restored = null) {
  const token = ++shown.token;
  const current = () => token === shown.token;
  const before = shown.key;
  // What it has made may still be asked for, but nobody waits for the rest of it.
  if (before) api.halt(before).catch(() => {});
  leave();
  Object.assign(shown, {
    asked, key: null, result: null, comparison: null, reference: null, levels: {}, wanted: restored,
    view: restored?.view in VIEWS ? restored.view : "density",
  });
  complain(null);
  $("comparison").replaceChildren();
  $("all-the-same").hidden = true;
  markExample();
  try {
    const options = {};
    if ($("model").value) options.model = $("model").value;
    if ($("charge").value !== "") options.charge = Number($("charge").value);
    const job = asked.file ? await api.openFile(asked.file, options) : await api.predict({ ...asked, ...options });
    if (!current()) { forget(job.key); return; }
    shown.key = job.key;
    await follow(job.key, { current, step: progress, found: showResult });
    if (current()) announce(`${shown.result?.name ?? "It"} is complete.`, { seen: false });
  } catch (error) {
    if (!current()) return;
    complain(error);
    if (!shown.result?.fields.density) showNothing();
  } finally {
    if (current()) $("progress").hidden = true;
    if (before && before !== asked.structure_of) forget(before);
  }
}

// The server forgets results by itself; this only makes room earlier.
const forget = (key) => api.stop(key).catch(() => {});

export function stop() {
  shown.token++;
  leave();
  if (shown.key && shown.result?.quality !== "full") {
    forget(shown.key);
    shown.key = shown.result = null;
    showNothing();
  } else if (shown.key) {
    api.halt(shown.key).catch(() => {});
  }
  $("progress").hidden = true;
  announce("Stopped.");
}

function showNothing() {
  viewer.clear();
  still?.clear();
  delete $("viewer").dataset.quality;
  $("empty").hidden = false;
  $("side").hidden = true;
  $("title").textContent = "See the electrons";
  $("subtitle").textContent = "Pick an example, type a name or draw a molecule.";
  $("badge").hidden = true;
  $("legend").hidden = true;
  $("elements").hidden = true;
  for (const id of ["caption", "summary"]) $(id).textContent = "";
}

async function showResult(result) {
  const first = !shown.result;
  shown.result = result;
  if (first) {
    delete $("viewer").dataset.quality;
    $("empty").hidden = true;
    viewer.structure(result.structure);
    viewer.labels($("labels").checked);
    $("legend").hidden = true;
    for (const id of ["caption", "summary"]) $(id).textContent = "";
    still?.clear();
    $("repeat").hidden = !result.periodic;
    if (!shown.wanted?.cells) $("cells").value = "1x1x1";
    if (cells() !== "1x1x1") await repeat();
    if (shown.wanted?.camera) viewer.camera = shown.wanted.camera;
    if (!(shown.wanted && "axis" in shown.wanted)) $("axis").value = facing(result.structure.look, result.structure.cell);
  }
  $("side").hidden = result.quality === "structure";
  $("title").textContent = result.name;
  const count = result.atoms.length === 1 ? "1 atom" : `${result.atoms.length} atoms`;
  $("subtitle").textContent = [formula(result.formula), count, origin(result)].filter(Boolean).join(" · ");
  $("badge").hidden = result.quality === "structure";
  $("badge").textContent = result.model ? "predicted, not measured" : "as in your file";
  showFacts($("facts"), result.facts);
  showAtoms($("atoms-details"), $("atoms"), result.atoms);
  showNotes($("notes"), result);
  $("numbers").hidden = !result.facts.length && !result.notes.length && !result.warnings.length;
  $("more").hidden = result.quality !== "full";
  for (const id of ["predict-it", "views-words"]) $(id).hidden = Boolean(result.model);
  for (const format of ["cube", "chgcar"]) $(format).href = api.fileAddress(shown.key, format, "density");
  offer();
  await draw();
}

function origin(result) {
  if (result.model) return `model “${result.model}”, trained on ${result.level}`;
  return result.quality === "full" ? result.level : "";
}

// Offers the views that there are; one that a link asks for is taken when it is there.
export function offer() {
  const there = fields();
  const has = (name) => needed(VIEWS[name]).every((field) => field in there);
  const wanted = shown.wanted?.view;
  if (wanted in VIEWS && has(wanted)) shown.view = wanted;
  allowViews($("views"), there, has(shown.view) ? shown.view : "density");
}

function markExample() {
  for (const button of $("examples").querySelectorAll("button")) {
    const chosen = button.dataset.key === shown.asked.example;
    button.setAttribute("aria-current", String(chosen));
    // In the middle of the strip, and nothing else scrolls.
    const strip = $("examples");
    if (chosen) strip.scrollLeft = button.offsetLeft - strip.offsetLeft - (strip.clientWidth - button.offsetWidth) / 2;
  }
  $("query").value = shown.asked.smiles ?? "";
}
