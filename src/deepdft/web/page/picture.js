// Draws what is chosen: a surface with its legend, a slice, and the sentence below.

import * as api from "./api.js";
import { writeAddress } from "./address.js";
import * as colours from "./colours.js";
import { captioned, elementsOf, legendOf, showLegend } from "./legend.js";
import { summaryOf } from "./panel.js";
import { blobOf } from "./save.js";
import { drawSlice, scaleOf } from "./slice.js";
import { $, complain, fields, isSigned, keyOf, shown } from "./state.js";
import { Still } from "./still.js";
import { Viewer } from "./viewer.js";
import { VIEWS, needed } from "./views.js";

let rememberTimer = 0;
let drawing = null, slicing = null;
let limit = 1; // of the values that colour the surface
let legend = { title: "", ends: null, keys: [], elements: [] };

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

// What is shown as a PNG that explains itself; without WebGL the server draws it.
export async function savedPicture(pixels) {
  const { key, query } = pictureQuery();
  const drawn = viewer.works ? blobOf(viewer.png()) : await api.picture(key, { ...query, ...still.look, pixels });
  const words = [$("caption").textContent, ...(sliceSeen() ? [`Slice: ${lower($("slice-words").textContent)}`] : [])].join(". ");
  return captioned(drawn, { title: `${shown.result.name}: ${$("badge").textContent}`, words, legend });
}

const sliceSeen = () => viewer.works && $("sliced").checked;
const lower = (words) => words.charAt(0).toLowerCase() + words.slice(1);

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
  const inside = `${(100 * scale.shares[at]).toFixed(1)}\u00a0% ${view.whole ?? "of the electrons"} inside`;
  $("inside").textContent = inside;
  const caption = view.caption(words);
  $("caption").textContent = `${caption} · ${inside}`;
  $("summary").textContent = summaryOf(shown.result, caption, inside);
  await slice(drawSurface(name, view, level));
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
    limit = values ? Math.max(Math.abs(values[0]), Math.abs(values[1]), 1e-9) : 1;
    still?.show(keyOf(view.field), pictureQuery().query, $("summary").textContent);
    viewer.surface(pieces, shown.opacity / 100, view.colour ? byValue(limit) : view.paintedBy);
    legend = legendOf(view, limit, fields()[view.colour ?? view.field].unit, elementsOf(viewer.atoms));
    showLegend($("legend"), $("elements"), legend);
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

// Waits for the surface, where that is on its way.
export async function slice(surface = null) {
  const on = $("sliced").checked, name = drawable();
  $("slice").hidden = !on;
  if (!on || !name) {
    viewer.slice(null);
    await surface;
    return;
  }
  const { colour } = VIEWS[name], field = colour ?? VIEWS[name].field;
  $("position-value").textContent = `${$("position").value} %`;
  slicing?.abort();
  const mine = (slicing = new AbortController());
  try {
    const query = { field, axis: $("axis").value, position: $("position").value / 100, cells: cells() };
    const [found] = await Promise.all([api.slice(keyOf(field), query, mine.signal), surface]);
    if (mine.signal.aborted || !shown.result) return;
    const scale = scaleOf(found, isSigned(field), colour ? limit : null);
    drawSlice($("slice-canvas"), found, scale, viewer.atoms);
    // A molecule is cut open; within a crystal, and of what has signs, all of the plane is seen.
    const whole = shown.result.periodic || isSigned(field);
    viewer.slice(found, { ...scale, least: whole ? null : levelOf(name, fields()[field]) });
    const [low, high] = scale.ends.map(colours.shown), unit = fields()[field].unit;
    $("slice-words").textContent = isSigned(field)
      ? `From ${low} (dark red) to ${high} ${unit} (dark blue), and beyond.`
      : `From ${low} (dark) to ${high} ${unit} and more (bright); colours follow the cube root.`;
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
