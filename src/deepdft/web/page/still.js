// The picture of a browser without WebGL: the server draws it, from where the buttons and keys say.

import * as api from "./api.js";

const WAIT = 120;
const NEAREST = 3;
const PIXELS = 480; // of the longer side: more take the server seconds

export class Still {
  constructor(element) {
    this.image = Object.assign(document.createElement("img"), { className: "still", alt: "", hidden: true });
    element.append(this.image);
    this.look = { turn: 0, tilt: 0, zoom: 1 };
    this.timer = 0;
  }

  // What is shown from now on: the key of a job, what `api.pictureAddress` takes, and words.
  show(key, query, words) {
    Object.assign(this, { key, query });
    this.image.alt = words;
    this.draw();
  }

  clear() {
    this.key = null;
    this.image.hidden = true;
  }

  get asked() {
    return { ...this.query, ...this.look };
  }

  draw() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (!this.key) return;
      this.image.src = api.pictureAddress(this.key, { ...this.asked, pixels: PIXELS });
      this.image.hidden = false;
    }, WAIT);
  }

  turn(axis, degrees) {
    const name = axis === "y" ? "turn" : "tilt";
    this.look[name] = (this.look[name] + degrees) % 360;
    this.draw();
  }

  zoom(factor) {
    this.look.zoom = Math.min(Math.max(this.look.zoom * factor, 1), NEAREST);
    this.draw();
  }

  again() {
    this.look = { turn: 0, tilt: 0, zoom: 1 };
    this.draw();
  }
}
