// What there is to see: each view is a field, how it is drawn, and words about it. Of `whole`, the
// electrons where nothing is said, a share is inside the surface.

import * as colours from "./colours.js";

export const VIEWS = {
  density: {
    title: "Electron cloud",
    words: "Where the electrons are likely to be.",
    field: "density",
    caption: (level) => `Electron density isosurface at ${level}`,
    paintedBy: () => colours.cloud(),
    keys: [],
  },
  bonds: {
    title: "Bonds",
    words: "What changes when free atoms join: electrons gather in blue and leave orange.",
    field: "deformation",
    caption: (level) => `Density less that of free atoms, at ±${level}`,
    paintedBy: (piece) => (piece.level > 0 ? colours.POSITIVE : colours.NEGATIVE),
    keys: [[colours.POSITIVE, "more electrons than in free atoms"], [colours.NEGATIVE, "fewer"]],
    whole: "of the difference",
  },
  charge: {
    title: "Charge",
    words: "The cloud coloured by electrostatic potential. Where would a positive ion go?",
    field: "density",
    colour: "potential",
    caption: (level) => `Electron density isosurface at ${level}, coloured by electrostatic potential`,
  },
  error: {
    title: "Expected error",
    words: "Where the model expects to be wrong, and by how much.",
    field: "error",
    caption: (level) => `Expected error of the density, at ${level}`,
    paintedBy: () => colours.DOUBT,
    keys: [[colours.DOUBT, "expected error"]],
    whole: "of the expected error",
  },
  difference: {
    title: "Difference",
    words: "The density less your reference: too much in blue, too little in orange.",
    field: "difference",
    caption: (level) => `Density less reference, at ±${level}`,
    paintedBy: (piece) => (piece.level > 0 ? colours.POSITIVE : colours.NEGATIVE),
    keys: [[colours.POSITIVE, "more electrons than the reference"], [colours.NEGATIVE, "fewer"]],
    whole: "of the difference",
  },
};

export const needed = (view) => [view.field, view.colour].filter(Boolean);

// Puts the choice of views into a fieldset; `chosen` is told the name.
export function offerViews(fieldset, chosen) {
  for (const [name, view] of Object.entries(VIEWS)) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "view", value: name, id: `view-${name}` });
    const strong = document.createElement("strong"), small = document.createElement("small");
    strong.textContent = view.title;
    small.textContent = view.words;
    label.append(input, strong, small);
    input.addEventListener("change", () => chosen(name));
    fieldset.append(label);
  }
}

// Shows which of the views there are.
export function allowViews(fieldset, fields, current) {
  for (const input of fieldset.querySelectorAll("input")) {
    const there = needed(VIEWS[input.value]).every((field) => field in fields);
    input.disabled = !there;
    input.checked = input.value === current;
    input.parentElement.hidden = !there && input.value === "difference";
  }
}
