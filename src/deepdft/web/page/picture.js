// Draws what is chosen: a surface with its legend, a slice, and the sentence below.

import * as api from "./api.js";
import { writeAddress } from "./address.js";
import * as colours from "./colours.js";
import { summaryOf } from "./panel.js";
import { drawSlice, scaleOf } from "./slice.js";
import { $, complain, fields, isSigned, keyOf, shown } from "./state.js";
import { Still } from "./still.js";
import { Viewer } from "./viewer.js";
import { VIEWS, needed } from "./views.js";

let rememberTimer = 0;
let drawing = null, slicing = null;

// What is on its way is of something that is shown no more.
export function leave() {
  drawing?.abort();
  slicing?.abort();
}

export const viewer = new Viewer($("viewer"), () => remember());

// What buttons and keys move: the viewer, or the server's picture where there is no WebGL.
export const still = viewer.works ? null : new Still($("viewer"));
export const stage = still ?? viewer;

// How many cells of a crystal are shown.
export const cells = () => (shown.result?.periodic ? $("cells").value : "1x1x1");

// What the server is asked for a picture of what is shown; null where there is nothing.
export function pictureQuery() {
  const name = drawable();
  if (!name || !shown.result) return null;
  const { field, colour } = VIEWS[name];
  const query = { field, level: levelOf(name, fields()[field]), cells: cells(), opacity: shown.opacity / 100 };
  if (colour) query.colour = colour;
  return { key: keyOf(field), query };
}

// Draws as many cells of a crystal as are chosen.
export async function repeat() {
  const token = shown.token;
  try {
    const structure = await api.structure(shown.key, cells());
    if (token !== shown.token) return;
    viewer.structure(structure);
    viewer.labels($("labels").checked);
    await draw();
  } catch (error) {
    complain(error);
  }
}

// The view that can be drawn now: the one that is wanted may not have been computed yet.
export function drawable() {
  const there = fields();
  if (needed(VIEWS[shown.view]).every((field) => field in there)) return shown.view;
  return "density" in there ? "density" : null;
}

function levelOf(name, scale) {
  const wanted = shown.wanted;
  if (wanted?.level && (wanted.view ?? "density") === name) {
    shown.levels[name] = wanted.level;
    delete wanted.level;
  }
  const level = shown.levels[name] ?? scale.default;
  return Math.min(Math.max(level, scale.levels[0]), scale.levels.at(-1));
}

const nearest = (levels, level) =>
  levels.reduce((best, value, i) => (Math.abs(Math.log(value / level)) < Math.abs(Math.log(levels[best] / level)) ? i : best), 0);

export async function draw() {
  const name = drawable();
  if (!name || !shown.result) return;
  const view = VIEWS[name], scale = fields()[view.field];
  const level = levelOf(name, scale), at = nearest(scale.levels, level);
  $("level").max = scale.levels.length - 1;
  $("level").value = at;
  const words = `${colours.shown(level)} ${scale.unit}`;
  $("level-value").textContent = words;
  $("level").setAttribute("aria-valuetext", words);
  const share = `${(100 * scale.shares[at]).toFixed(1)} %`;
  const inside = view.field === "density" ? `${share} of the electrons inside` : `${share} of it inside`;
  $("inside").textContent = inside;
  const caption = view.caption(words);
  $("caption").textContent = `${caption} · ${inside}`;
  $("summary").textContent = summaryOf(shown.result, caption, inside);
  await Promise.all([drawSurface(name, view, level), slice()]);
  remember();
}

async function drawSurface(name, view, level) {
  drawing?.abort();
  const mine = (drawing = new AbortController());
  const query = { field: view.field, level, cells: cells() };
  if (view.colour) query.colour = view.colour;
  try {
    const { pieces, values } = await api.surface(keyOf(view.field), query, mine.signal);
    if (mine.signal.aborted || !shown.result) return;
    const limit = values ? Math.max(Math.abs(values[0]), Math.abs(values[1]), 1e-9) : 1;
    still?.show(keyOf(view.field), pictureQuery().query, $("summary").textContent);
    viewer.surface(pieces, shown.opacity / 100, view.colour ? byValue(limit) : view.paintedBy);
    legend(view, limit);
    const data = $("viewer").dataset;
    data.triangles = String(pieces.reduce((sum, piece) => sum + piece.faces.length / 3, 0));
    data.level = String(level);
    data.view = name;
    data.quality = shown.result.quality;
  } catch (error) {
    if (error.name !== "AbortError") complain(error);
  }
}

function byValue(limit) {
  if (!viewer.works) return () => colours.cloud();
  const palette = viewer.palette("signed");
  return (piece) => Array.from(piece.values, (value) => palette[colours.signedPlace(value, limit)]);
}

function legend(view, limit) {
  const box = $("legend");
  box.replaceChildren();
  if (view.colour) {
    const bar = document.createElement("span"), ends = document.createElement("span");
    bar.className = "scale";
    bar.style.background = colours.gradient(colours.signed);
    ends.className = "ends";
    for (const value of [-limit, 0, limit]) {
      ends.append(Object.assign(document.createElement("span"), { textContent: colours.shown(value) }));
    }
    box.append(`electrostatic potential / ${fields()[view.colour].unit}`, bar, ends);
  } else {
    for (const [colour, words] of view.keys) {
      const key = document.createElement("span"), patch = document.createElement("i");
      key.className = "key";
      patch.style.background = colour;
      key.append(patch, words);
      box.append(key);
    }
  }
  box.hidden = !box.childNodes.length;
}

export async function slice() {
  const on = $("sliced").checked, name = drawable();
  $("slice").hidden = !on;
  if (!on || !name) { viewer.slice(null); return; }
  const field = VIEWS[name].colour ?? VIEWS[name].field;
  $("position-value").textContent = `${$("position").value} %`;
  slicing?.abort();
  const mine = (slicing = new AbortController());
  try {
    const query = { field, axis: $("axis").value, position: $("position").value / 100 };
    const found = await api.slice(keyOf(field), query, mine.signal);
    if (mine.signal.aborted || !shown.result) return;
    const scale = scaleOf(found, isSigned(field));
    drawSlice($("slice-canvas"), found, scale, shown.result.structure.atoms);
    viewer.slice(found, scale);
    const [low, high] = scale.ends.map(colours.shown), unit = fields()[field].unit;
    $("slice-words").textContent = isSigned(field)
      ? `From ${low} (dark red) to ${high} ${unit} (dark blue).`
      : `From ${low} (dark) to ${high} ${unit} and more (bright); colours follow the square root.`;
  } catch (error) {
    if (error.name !== "AbortError") complain(error);
  }
}

export function remember() {
  clearTimeout(rememberTimer);
  rememberTimer = setTimeout(() => {
    if (!shown.result) return;
    const sliced = $("sliced").checked;
    writeAddress({
      example: shown.asked.example, smiles: shown.asked.smiles, file: shown.asked.file?.name,
      model: $("model").value, charge: $("charge").value, view: shown.view,
      level: shown.levels[shown.view], opacity: shown.opacity,
      axis: sliced ? Number($("axis").value) : null, slice: sliced ? Number($("position").value) : null,
      camera: viewer.camera, cells: cells() === "1x1x1" ? null : cells(),
    });
  }, 250);
}
