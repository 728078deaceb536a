// The picture: atoms, bonds and the cell, surfaces as meshes that the server made.

import * as colours from "./colours.js";

const ATOMS = { stick: { radius: 0.11, colorscheme: "Jmol" }, sphere: { scale: 0.24, colorscheme: "Jmol" } };

const OPTIONS = { antialias: true, disableFog: true, backgroundColor: "white", minimumZoomToDistance: 2 };

// A viewer of 3Dmol.js, or null in browsers without WebGL.
function created(element) {
  try {
    const canvas = document.createElement("canvas");
    if (!window.$3Dmol || !(canvas.getContext("webgl2") || canvas.getContext("webgl"))) return null;
    return window.$3Dmol.createViewer(element, OPTIONS) ?? null;
  } catch {
    return null;
  }
}

export class Viewer {
  constructor(element, changed) {
    this.element = element;
    this.surfaces = [];
    this.plane = [];
    this.changed = changed;
    this.palettes = {};
    this.three = created(element);
    if (!this.three) return;
    this.three.setViewChangeCallback(() => changed());
    this.paint();
  }

  get works() {
    return Boolean(this.three);
  }

  paint() {
    if (!this.works) return;
    const ground = getComputedStyle(document.documentElement).getPropertyValue("--stage").trim();
    this.three.setBackgroundColor(ground, 1);
    this.three.render();
  }

  resize() {
    if (this.works) this.three.resize();
  }

  clear() {
    if (!this.works) return;
    this.three.removeAllModels();
    this.three.removeAllShapes();
    this.three.removeAllLabels();
    this.surfaces = [];
    this.plane = [];
    this.three.render();
  }

  structure({ atoms, cell, corner, cells }) {
    this.atoms = atoms;
    if (!this.works) return;
    this.clear();
    const model = this.three.addModel();
    model.addAtoms(atoms.map((atom) => ({
      elem: atom.element, atom: atom.element, x: atom.x, y: atom.y, z: atom.z,
      bonds: atom.bonds, bondOrder: atom.bonds.map(() => 1), serial: atom.index, properties: {},
    })));
    model.setStyle({}, ATOMS);
    if (cell) this.box(cell, corner, cells);
    this.first();
  }

  // The lines between cells, `cells` of them along each edge from a corner on.
  box([a, b, c], origin, cells) {
    const ground = getComputedStyle(document.documentElement).getPropertyValue("--quiet").trim();
    const at = (place) => {
      const [i, j, k] = place;
      const along = (axis) => origin[axis] + i * a[axis] + j * b[axis] + k * c[axis];
      return { x: along(0), y: along(1), z: along(2) };
    };
    for (let axis = 0; axis < 3; axis++) {
      const [u, v] = [0, 1, 2].filter((other) => other !== axis);
      for (let i = 0; i <= cells[u]; i++) {
        for (let j = 0; j <= cells[v]; j++) {
          const from = [0, 0, 0];
          [from[u], from[v]] = [i, j];
          const to = [...from];
          to[axis] = cells[axis];
          this.three.addCylinder({ start: at(from), end: at(to), radius: 0.025, color: ground, fromCap: 1, toCap: 1 });
        }
      }
    }
    this.tilted = true;
  }

  first() {
    if (!this.works) return;
    this.three.zoomTo();
    // The library fits the height; a narrow picture has less room across.
    const across = Math.min(1, (0.9 * this.element.clientWidth) / this.element.clientHeight);
    this.three.zoom((this.tilted ? 0.95 : 0.85) * across);
    if (this.tilted) {
      this.three.rotate(-22, "y");
      this.three.rotate(14, "x");
    }
    this.tilted = false;
    this.home = this.three.getView();
    this.three.render();
  }

  again() {
    if (!this.works || !this.home) return;
    this.three.setView(this.home);
  }

  palette(name) {
    this.palettes[name] ??= colours[name].map(([r, g, b]) => {
      const colour = new window.$3Dmol.Color(0);
      [colour.r, colour.g, colour.b] = [r / 255, g / 255, b / 255];
      return colour;
    });
    return this.palettes[name];
  }

  // Pieces as the server sends them; `paintedBy` gives the colour of a piece or of its vertices.
  surface(pieces, opacity, paintedBy) {
    if (!this.works) return;
    for (const shape of this.surfaces) this.three.removeShape(shape);
    this.surfaces = pieces.map((piece) => this.mesh(piece, opacity, paintedBy(piece)));
    this.three.render();
  }

  mesh(piece, opacity, color) {
    const { positions, normals, faces } = piece;
    const vertexArr = [], normalArr = [];
    for (let i = 0; i < positions.length; i += 3) {
      vertexArr.push({ x: positions[i], y: positions[i + 1], z: positions[i + 2] });
      normalArr.push({ x: normals[i], y: normals[i + 1], z: normals[i + 2] });
    }
    return this.three.addCustom({ vertexArr, normalArr, faceArr: faces, color, opacity });
  }

  slice(found, { table, place } = {}) {
    if (!this.works) return;
    for (const shape of this.plane) this.three.removeShape(shape);
    this.plane = [];
    if (found) {
      const { shape: [rows, columns], origin, steps, values } = found;
      const stride = Math.max(1, Math.ceil(Math.max(rows, columns) / 150));
      const rowList = [], columnList = [];
      for (let i = 0; i < rows; i += stride) rowList.push(i);
      for (let j = 0; j < columns; j += stride) columnList.push(j);
      const palette = this.palette(table);
      const vertexArr = [], color = [], faceArr = [];
      rowList.forEach((i, row) => columnList.forEach((j, column) => {
        vertexArr.push({
          x: origin[0] + i * steps[0][0] + j * steps[1][0],
          y: origin[1] + i * steps[0][1] + j * steps[1][1],
          z: origin[2] + i * steps[0][2] + j * steps[1][2],
        });
        color.push(palette[place(values[i * columns + j])]);
        if (row && column) {
          const here = row * columnList.length + column, above = here - columnList.length;
          faceArr.push(above - 1, above, here, above - 1, here, here - 1);
        }
      }));
      this.plane = [this.three.addCustom({ vertexArr, faceArr, color, opacity: 0.92 })];
    }
    this.three.render();
  }

  labels(on) {
    if (!this.works || !this.atoms) return;
    this.three.removeAllLabels();
    if (on) {
      for (const atom of this.atoms) {
        this.three.addLabel(`${atom.element}${atom.index + 1}`, {
          position: { x: atom.x, y: atom.y, z: atom.z }, fontSize: 12, fontColor: "white",
          backgroundColor: "#14202e", backgroundOpacity: 0.7, inFront: true, alignment: "center",
        });
      }
    }
    this.three.render();
  }

  spin(on) {
    if (this.works) this.three.spin(on ? "y" : false, 0.6);
  }

  turn(axis, degrees) {
    if (!this.works) return;
    this.three.rotate(degrees, axis);
    this.three.render();
    this.changed();
  }

  zoom(factor) {
    if (!this.works) return;
    this.three.zoom(factor);
    this.three.render();
    this.changed();
  }

  get camera() {
    return this.works ? this.three.getView() : null;
  }

  set camera(view) {
    if (this.works) this.three.setView(view);
  }

  png() {
    return this.works ? this.three.pngURI() : null;
  }
}
