// A slice as triangles in the picture.

import { at } from "./slice.js";

const MOST = 150; // rows and columns; where there are few, more are put between them

// What the viewer draws of a slice: corners, their colours, and triangles. Below the value `least`
// there is nothing: the edge lies where the slice has it.
export function planeOf({ shape: [rows, columns], origin, steps, values }, paint, least) {
  const step = Math.max(rows, columns) / MOST, [rowList, columnList] = [places(rows, step), places(columns, step)];
  const corners = [], color = [], faceArr = [];
  const add = ([x, y, z, value]) => {
    corners.push({ x, y, z });
    color.push(paint(value));
    return corners.length - 1;
  };
  const points = rowList.map((i) => columnList.map((j) =>
    [...[0, 1, 2].map((axis) => origin[axis] + i * steps[0][axis] + j * steps[1][axis]), at(values, rows, columns, i, j)]));
  const seen = ([, , , value]) => least === null || value >= least;
  const numbers = points.map((row) => row.map((point) => (seen(point) ? add(point) : null)));
  for (let i = 1; i < points.length; i++) {
    for (let j = 1; j < points[0].length; j++) {
      for (const triangle of [[[i - 1, j - 1], [i - 1, j], [i, j]], [[i - 1, j - 1], [i, j], [i, j - 1]]]) {
        const own = triangle.map(([a, b]) => numbers[a][b]);
        if (own.every((number) => number !== null)) faceArr.push(...own);
        else if (own.some((number) => number !== null)) {
          const part = clipped(triangle.map(([a, b]) => points[a][b]), least).map(add);
          for (let k = 2; k < part.length; k++) faceArr.push(part[0], part[k - 1], part[k]);
        }
      }
    }
  }
  return { vertexArr: corners, color, faceArr };
}

// Where the corners are, in layers of points from the first to the last.
function places(count, step) {
  const intervals = Math.max(1, Math.round((count - 1) / step));
  return Array.from({ length: intervals + 1 }, (_, k) => ((count - 1) * k) / intervals);
}

// The part of a triangle where the value, the last number of each corner, is at least `least`.
function clipped(triangle, least) {
  const part = [];
  triangle.forEach((here, k) => {
    const next = triangle[(k + 1) % 3];
    if (here[3] >= least) part.push(here);
    if (here[3] >= least !== next[3] >= least) {
      const share = (least - here[3]) / (next[3] - here[3]);
      part.push(here.map((value, axis) => value + share * (next[axis] - value)));
    }
  });
  return part;
}
