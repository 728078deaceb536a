// Where the picture is taken from. A view is what 3Dmol.js keeps: minus the place that is turned
// about, how far it is moved to the viewer, and the turn as a quaternion.

// The library's camera: its place, and the tangent of half its angle of view.
const PLACE = 150, TANGENT = Math.tan((10 * Math.PI) / 180);

// Of the picture's height and width.
const FILLED = 0.94;

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

const cross = (u, v) => [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];

// The view from which all atoms are seen, with `margin(atom)` Å around each. The rows of `look` are the
// directions to the right, up and to the viewer.
export function fitted(atoms, look, margin, aspect) {
  const places = atoms.map(({ x, y, z }) => look.map((axis) => dot(axis, [x, y, z])));
  const around = atoms.map(margin);
  const middle = [0, 1, 2].map((axis) => {
    const low = Math.min(...places.map((place, i) => place[axis] - around[i]));
    const high = Math.max(...places.map((place, i) => place[axis] + around[i]));
    return (low + high) / 2;
  });
  let distance = 1;
  places.forEach((place, i) => {
    const [x, y, z] = place.map((value, axis) => value - middle[axis]);
    const needed = Math.max((Math.abs(x) + around[i]) / aspect, Math.abs(y) + around[i]) / (FILLED * TANGENT);
    distance = Math.max(distance, needed + z);
  });
  const centre = [0, 1, 2].map((axis) => look.reduce((sum, row, i) => sum + middle[i] * row[axis], 0));
  return [...centre.map((value) => -value), PLACE - distance, ...quaternion(look)];
}

// The quaternion (x, y, z, w) of a rotation whose rows are given.
function quaternion([[a, b, c], [d, e, f], [g, h, i]]) {
  const parts = [1 + a - e - i, 1 - a + e - i, 1 - a - e + i, 1 + a + e + i];
  const largest = parts.indexOf(Math.max(...parts));
  const rows = [
    [parts[0], b + d, c + g, h - f],
    [b + d, parts[1], f + h, c - g],
    [c + g, f + h, parts[2], d - b],
    [h - f, c - g, d - b, parts[3]],
  ];
  const row = rows[largest], size = Math.hypot(...row);
  return row.map((value) => value / size);
}

// The axis of a box, 0 to 2, across which a slice is seen best.
export function facing(look, cell) {
  const edges = cell ?? [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  const slopes = [0, 1, 2].map((axis) => {
    const normal = cross(edges[(axis + 1) % 3], edges[(axis + 2) % 3]);
    return Math.abs(dot(normal, look[2])) / Math.hypot(...normal);
  });
  return slopes.indexOf(Math.max(...slopes));
}

// Where a slice cuts what is seen in a view: a point of it, and its normal to the viewer.
export function cutOf({ origin, steps: [u, v] }, view) {
  const normal = cross(u, v);
  const [x, y, z, w] = view.slice(4);
  const viewer = [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)];
  const sign = dot(normal, viewer) < 0 ? -1 : 1;
  return { origin, normal: normal.map((value) => sign * value) };
}

// The triangles that are not before a cut.
export function behind(faces, positions, { origin, normal }) {
  const level = dot(origin, normal), kept = [];
  const before = (corner) => dot(positions.subarray(3 * corner, 3 * corner + 3), normal) > level;
  for (let at = 0; at < faces.length; at += 3) {
    if (!(before(faces[at]) && before(faces[at + 1]) && before(faces[at + 2]))) {
      kept.push(faces[at], faces[at + 1], faces[at + 2]);
    }
  }
  return kept;
}
