// What the colours mean: over the picture, and below one that is saved.

import * as colours from "./colours.js";

const MOST = 10; // elements that are named

// What there is to say of a view. `limit` is the end of the scale of values, in `unit`.
export function legendOf(view, limit, unit, elements) {
  const ends = view.colour ? [-limit, 0, limit].map(colours.shown) : null;
  return { title: ends ? `electrostatic potential / ${unit}` : "", ends, keys: view.keys ?? [], elements: elements.slice(0, MOST) };
}

// The elements of a structure with the colours that the viewer gives them.
export function elementsOf(atoms) {
  const known = window.$3Dmol?.elementColors?.Jmol ?? {};
  return [...new Set(atoms.map((atom) => atom.element))].sort()
    .map((element) => [`#${(known[element] ?? 0xff1493).toString(16).padStart(6, "0")}`, element]);
}

const made = (tag, kind, words = "") => Object.assign(document.createElement(tag), { className: kind, textContent: words });

function key([colour, words], kind) {
  const element = made("span", `key ${kind}`), patch = document.createElement("i");
  patch.style.background = colour;
  element.append(patch, words);
  return element;
}

export function showLegend(box, list, legend) {
  box.replaceChildren();
  if (legend.ends) {
    const bar = made("span", "scale"), ends = made("span", "ends");
    bar.style.background = colours.gradient(colours.signed);
    ends.append(...legend.ends.map((words) => made("span", "", words)));
    box.append(legend.title, bar, ends);
  }
  box.append(...legend.keys.map((one) => key(one, "")));
  box.hidden = !box.childNodes.length;
  list.replaceChildren(...legend.elements.map((one) => key(one, "atom")));
  list.hidden = !legend.elements.length;
}

// A picture (a blob) with its title, what it shows and what its colours mean, as a PNG.
export async function captioned(blob, { title, words, legend }) {
  const image = await createImageBitmap(blob);
  const size = Math.max(13, Math.round(image.width / 52)), gap = Math.round(0.6 * size);
  const canvas = document.createElement("canvas");
  const text = canvas.getContext("2d");
  const font = (weight) => { text.font = `${weight} ${size}px system-ui, "DejaVu Sans", sans-serif`; };
  font(400);
  const lines = wrapped(text, words, image.width - 2 * gap);
  canvas.width = image.width;
  canvas.height = image.height + (lines.length + 2) * (size + gap) + (legend.ends ? size + gap : 0) + 2 * gap;
  text.fillStyle = "#ffffff";
  text.fillRect(0, 0, canvas.width, canvas.height);
  text.drawImage(image, 0, 0);
  text.textBaseline = "top";
  let y = image.height + gap;
  const line = (sentence, weight, x = gap) => {
    font(weight);
    text.fillStyle = "#14202e";
    text.fillText(sentence, x, y);
    return x + text.measureText(sentence).width;
  };
  line(title, 650);
  for (const sentence of lines) {
    y += size + gap;
    line(sentence, 400);
  }
  y += size + gap;
  if (legend.ends) {
    let x = line(`${legend.title}:  ${legend.ends[0]}`, 400) + gap;
    const width = Math.round(image.width / 4), shade = text.createLinearGradient(x, 0, x + width, 0);
    colours.signed.forEach((rgb, i) => shade.addColorStop(i / 255, `rgb(${rgb})`));
    text.fillStyle = shade;
    text.fillRect(x, y, width, size);
    line(legend.ends[2], 400, x + width + gap);
    y += size + gap;
  }
  let x = gap;
  for (const [colour, name, isAtom] of [...legend.keys, ...legend.elements.map((one) => [...one, true])]) {
    text.fillStyle = colour;
    text.strokeStyle = "#14202e60";
    text.beginPath();
    if (isAtom) text.arc(x + size / 2, y + size / 2, size / 2 - 1, 0, 7);
    else text.rect(x, y, size, size);
    text.fill();
    text.stroke();
    x = line(name, 400, x + 1.4 * size) + 1.2 * size;
  }
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

// Words in lines that are at most `width` wide.
function wrapped(text, words, width) {
  const lines = [];
  for (const word of words.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && text.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
