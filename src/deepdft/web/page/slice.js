// The slice beside the picture: colours, lines of equal value, and the atoms near it.

import * as colours from "./colours.js";

const SIZE = 480;
const MOST = 0.98; // of the points are within the scale

// Returns which colour of a scale a value has, and the names of the scale and of its ends. With
// `limit` the scale ends there.
export function scaleOf(found, signed, limit = null) {
  // Near nuclei values are so high that nothing else would be seen.
  const sorted = Float32Array.from(found.values, signed ? Math.abs : undefined).sort();
  const top = limit ?? Math.max(sorted[Math.floor(MOST * (sorted.length - 1))], 1e-12);
  if (signed) return { table: "signed", place: (value) => colours.signedPlace(value, top), ends: [-top, top] };
  const place = (value) => Math.round(255 * Math.min(Math.cbrt(Math.max(value, 0) / top), 1));
  return { table: "rising", place, ends: [0, top] };
}

export function drawSlice(canvas, found, scale, atoms) {
  const { shape: [rows, columns], origin, steps, values } = found;
  const [u, v] = steps.map((step) => Math.hypot(...step));
  const cosine = (steps[0][0] * steps[1][0] + steps[0][1] * steps[1][1] + steps[0][2] * steps[1][2]) / (u * v);
  const sine = Math.sqrt(Math.max(1 - cosine * cosine, 1e-6));
  // The first step points to the right, the second upwards: at its own angle.
  const width = (rows - 1) * u + Math.max(cosine, 0) * (columns - 1) * v, height = (columns - 1) * v * sine;
  const shift = cosine < 0 ? -cosine * (columns - 1) * v : 0;
  const scaleFactor = SIZE / Math.max(width + shift, height);
  canvas.width = Math.round((width + shift) * scaleFactor);
  canvas.height = Math.round(height * scaleFactor);
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const table = colours[scale.table];
  for (let y = 0; y < canvas.height; y++) {
    const j = (height - y / scaleFactor) / (v * sine);
    for (let x = 0; x < canvas.width; x++) {
      const i = (x / scaleFactor - shift - cosine * j * v) / u;
      const value = at(values, rows, columns, i, j);
      if (value === null) continue;
      const [r, g, b] = table[scale.place(value)];
      image.data.set([r, g, b, 255], 4 * (y * canvas.width + x));
    }
  }
  context.putImageData(image, 0, 0);
  drawAtoms(context, { origin, steps, u, v, cosine, sine, shift, scaleFactor, height }, atoms);
}

// The value between four points; null outside.
export function at(values, rows, columns, i, j) {
  if (i < 0 || j < 0 || i > rows - 1 || j > columns - 1) return null;
  const a = Math.min(Math.floor(i), rows - 2), b = Math.min(Math.floor(j), columns - 2);
  const p = i - a, q = j - b, k = a * columns + b;
  return (1 - p) * ((1 - q) * values[k] + q * values[k + 1]) +
    p * ((1 - q) * values[k + columns] + q * values[k + columns + 1]);
}

const EDGE = 14;
const inner = (place, size) => Math.min(Math.max(place, EDGE), size - EDGE);

function drawAtoms(context, geometry, atoms) {
  const { origin, steps, u, v, cosine, sine, shift, scaleFactor, height } = geometry;
  const normal = cross(steps[0], steps[1]);
  const size = Math.hypot(...normal);
  context.font = "600 20px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const atom of atoms) {
    const from = [atom.x - origin[0], atom.y - origin[1], atom.z - origin[2]];
    if (Math.abs(dot(from, normal) / size) > 0.6) continue;
    const first = dot(from, steps[0]) / u, second = dot(from, steps[1]) / v;
    // Components along two directions that are not at right angles.
    const b = (second - cosine * first) / (sine * sine), a = first - cosine * b;
    const x = (a + cosine * b + shift) * scaleFactor, y = (height - b * sine) * scaleFactor;
    // Whole also at the edges.
    const [left, top] = [inner(x, context.canvas.width), inner(y, context.canvas.height)];
    context.lineWidth = 4;
    context.strokeStyle = "#000a";
    context.strokeText(atom.element, left, top);
    context.fillStyle = "#fff";
    context.fillText(atom.element, left, top);
  }
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
