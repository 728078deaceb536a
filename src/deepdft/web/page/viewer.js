// The picture: atoms, bonds and the cell, surfaces as meshes that the server made.

import { behind, cutOf, fitted } from "./camera.js";
import * as colours from "./colours.js";
import { planeOf } from "./plane.js";

const ATOMS = { stick: { radius: 0.11, colorscheme: "Jmol" }, sphere: { scale: 0.24, colorscheme: "Jmol" } };

const OPTIONS = { antialias: true, disableFog: true, backgroundColor: "white" };

// Å around an atom that a picture shows: for the cloud of a molecule, for the balls of a crystal.
const SMALL = { H: 1.5, C: 2.0, N: 1.9, O: 1.8, F: 1.7 };
const inCloud = ({ element }) => SMALL[element] ?? 2.4;
const inCell = () => 0.9;

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
    this.dressed = this.cut = null;
    this.three.render();
  }

  structure({ atoms, cell, corner, cells, look }) {
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
    this.first(look, cell ? inCell : inCloud);
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
  }

  // All of it, from where the server says that one sees much.
  first(look, margin) {
    this.home = fitted(this.atoms, look, margin, this.element.clientWidth / this.element.clientHeight);
    this.three.setView(this.home);
    // Nothing of it is too near or too far to be drawn, however it is turned.
    const reach = 10 + Math.max(...this.atoms.map(({ x, y, z }) => Math.hypot(x + this.home[0], y + this.home[1], z + this.home[2])));
    this.three.setSlab(-reach, reach);
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
    this.dressed = () => pieces.map((piece) => this.mesh(piece, opacity, paintedBy(piece)));
    this.dress();
  }

  // Draws the surfaces anew: another plane may cut them.
  dress() {
    for (const shape of this.surfaces) this.three.removeShape(shape);
    this.surfaces = this.dressed ? this.dressed() : [];
    this.three.render();
  }

  mesh(piece, opacity, color) {
    const { positions, normals } = piece;
    const faces = this.cut ? behind(piece.faces, positions, this.cut) : piece.faces;
    const vertexArr = [], normalArr = [];
    for (let i = 0; i < positions.length; i += 3) {
      vertexArr.push({ x: positions[i], y: positions[i + 1], z: positions[i + 2] });
      normalArr.push({ x: normals[i], y: normals[i + 1], z: normals[i + 2] });
    }
    return this.three.addCustom({ vertexArr, normalArr, faceArr: faces, color, opacity });
  }

  // A plane, and the surface open on the side of the viewer. Below `least` the plane has a hole.
  slice(found, { table, place, least = null } = {}) {
    if (!this.works || (!found && !this.cut)) return;
    for (const shape of this.plane) this.three.removeShape(shape);
    this.plane = [];
    this.cut = found ? cutOf(found, this.three.getView()) : null;
    if (found) {
      const palette = this.palette(table);
      const plane = planeOf(found, (value) => palette[place(value)], least);
      if (plane.faceArr.length) this.plane = [this.three.addCustom({ ...plane, opacity: 1 })];
    }
    this.dress();
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
