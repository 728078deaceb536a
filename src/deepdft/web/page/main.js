// What people do with the page, and how it begins.

import * as api from "./api.js";
import { readAddress } from "./address.js";
import { ask, stop } from "./ask.js";
import { compare, compareWith, predictAndCompare } from "./compare.js";
import { drawnSmiles, openEditor } from "./editor.js";
import { draw, drawable, remember, repeat, savedPicture, slice, stage, viewer } from "./picture.js";
import { addressOf, saveBlob, saveReport } from "./save.js";
import { $, announce, complain, fields, shown } from "./state.js";
import { VIEWS, offerViews } from "./views.js";

const FIRST = "caffeine";
const SOON = 50;
const PIXELS = 800; // of pictures that the server draws

const later = (work) => {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, SOON);
  };
};

// An example where the words are one, else SMILES.
function meant(words) {
  const plain = words.trim();
  if (!plain) return null;
  const folded = plain.toLowerCase();
  const names = (one) => [one.key, one.formula.toLowerCase(), one.name.toLowerCase(), ...one.name.toLowerCase().split(/[ ,]+/)];
  const example = shown.known.find((one) => names(one).slice(0, 3).includes(folded)) ?? shown.known.find((one) => names(one).includes(folded));
  return example ? { example: example.key } : { smiles: plain };
}

function listenToInputs() {
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    const asked = meant($("query").value);
    if (asked) ask(asked);
  });
  for (const use of ["open", "compare"]) {
    $(use).addEventListener("click", () => {
      $("file").dataset.use = use;
      $("file").click();
    });
  }
  $("file").addEventListener("change", () => {
    const [file] = $("file").files;
    $("file").value = "";
    if (file && $("file").dataset.use === "compare") compareWith(file);
    else if (file) ask({ file });
  });
  $("draw").addEventListener("click", () => openEditor($("editor"), $("canvas"), shown.asked.smiles).catch(complain));
  $("editor").addEventListener("close", () => {
    if ($("editor").returnValue !== "show") return;
    const smiles = drawnSmiles();
    if (smiles) ask({ smiles });
    else complain(new Error("Nothing was drawn."));
  });
  let depth = 0;
  const hover = (change) => {
    depth = Math.max(0, depth + change);
    $("drop").hidden = depth === 0;
  };
  addEventListener("dragenter", (event) => { if (event.dataTransfer?.types.includes("Files")) hover(1); });
  addEventListener("dragleave", () => hover(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    hover(-depth);
    const [file] = event.dataTransfer?.files ?? [];
    if (file) ask({ file });
  });
}

function listenToControls() {
  const soon = later(draw);
  $("level").addEventListener("input", () => {
    const name = drawable();
    if (!name) return;
    shown.levels[name] = fields()[VIEWS[name].field].levels[$("level").value];
    soon();
  });
  $("opacity").addEventListener("input", () => {
    setOpacity(Number($("opacity").value));
    soon();
  });
  $("labels").addEventListener("change", () => viewer.labels($("labels").checked));
  const cut = later(() => { slice(); remember(); });
  for (const id of ["sliced", "axis"]) $(id).addEventListener("change", cut);
  $("position").addEventListener("input", cut);
  $("stop").addEventListener("click", stop);
  $("all-the-same").addEventListener("click", () => compare(true));
  $("predict-it").addEventListener("click", predictAndCompare);
  $("cells").addEventListener("change", () => repeat());
  $("png").addEventListener("click", () => savedPicture(PIXELS).then((blob) => saveBlob(blob, `${shown.result.name}.png`)).catch(complain));
  $("report").addEventListener("click", async () => {
    try {
      const words = $("summary").textContent;
      await saveReport(shown.key, shown.result.name, await addressOf(await savedPicture(PIXELS)), words);
    } catch (error) {
      complain(error);
    }
  });
  $("link").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      announce(shown.asked.file ? "Copied. The file itself is not in the link; open it again." : "Link copied.");
    } catch {
      announce("The address above is the link.");
    }
  });
}

function setOpacity(percent) {
  shown.opacity = percent;
  $("opacity").value = percent;
  $("opacity-value").textContent = `${percent} %`;
}

function listenToPicture() {
  const picture = $("picture");
  $("closer").addEventListener("click", () => stage.zoom(1.2));
  $("away").addEventListener("click", () => stage.zoom(1 / 1.2));
  $("reset").addEventListener("click", () => stage.again());
  $("spin").addEventListener("click", () => {
    const on = $("spin").getAttribute("aria-pressed") !== "true";
    $("spin").setAttribute("aria-pressed", String(on));
    viewer.spin(on);
  });
  const keys = {
    ArrowLeft: () => stage.turn("y", -10), ArrowRight: () => stage.turn("y", 10),
    ArrowUp: () => stage.turn("x", -10), ArrowDown: () => stage.turn("x", 10),
    "+": () => stage.zoom(1.15), "=": () => stage.zoom(1.15), "-": () => stage.zoom(1 / 1.15), 0: () => stage.again(),
  };
  picture.addEventListener("keydown", (event) => {
    if (event.target !== picture || !keys[event.key]) return;
    keys[event.key]();
    event.preventDefault();
  });
  // The wheel scrolls the page until the picture has been chosen.
  picture.addEventListener("wheel", (event) => {
    if (event.ctrlKey || picture.contains(document.activeElement)) return;
    event.stopPropagation();
    $("hint").hidden = false;
    setTimeout(() => { $("hint").hidden = true; }, 1500);
  }, { capture: true, passive: true });
  picture.addEventListener("pointerdown", (event) => {
    if (!event.target.closest("button")) picture.focus({ preventScroll: true });
  });
  new ResizeObserver(() => viewer.resize()).observe(picture);
}

function listenToTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const repaint = () => {
    viewer.paint();
    draw();
  };
  $("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
    root.dataset.theme = dark ? "light" : "dark";
    try {
      localStorage.setItem("deepdft-theme", root.dataset.theme);
    } catch {
      // Storage may be switched off.
    }
    repaint();
  });
  system.addEventListener("change", repaint);
}

function offerExamples() {
  for (const one of shown.known) {
    const item = document.createElement("li"), button = document.createElement("button");
    item.className = one.kind;
    Object.assign(button, { type: "button", textContent: one.name.replace(/, .*/, ""), title: one.words });
    button.dataset.key = one.key;
    button.addEventListener("click", () => ask({ example: one.key }));
    item.append(button);
    $("examples").append(item);
    $("names").append(new Option(one.formula, one.name));
  }
  for (const button of $("empty").querySelectorAll("button")) {
    button.addEventListener("click", () => ask({ example: button.dataset.key }));
  }
}

// Shows what the address says, or an example.
function restore() {
  const wanted = readAddress();
  if (wanted.model) $("model").value = wanted.model;
  if (wanted.charge) $("charge").value = wanted.charge;
  setOpacity(wanted.opacity || shown.opacity);
  $("sliced").checked = "slice" in wanted || !viewer.works;
  if ("slice" in wanted) $("position").value = wanted.slice;
  if ("axis" in wanted) $("axis").value = wanted.axis;
  $("cells").value = [...$("cells").options].some((one) => one.value === wanted.cells) ? wanted.cells : "1x1x1";
  if (wanted.smiles) ask({ smiles: wanted.smiles }, wanted);
  else if (wanted.file) complain(new Error(`The link is of the file ${wanted.file}. Links hold no files; open it again.`));
  else ask({ example: wanted.example || FIRST }, wanted);
}

async function begin() {
  offerViews($("views"), (name) => {
    shown.view = name;
    if (shown.wanted) delete shown.wanted.view;
    draw();
  });
  for (const listen of [listenToInputs, listenToControls, listenToPicture, listenToTheme]) listen();
  if (!viewer.works) document.body.classList.add("flat");
  try {
    const [about, examples] = await Promise.all([api.about(), api.examples()]);
    shown.known = examples;
    for (const name of about.models) $("model").append(new Option(name, name));
    $("draw").disabled = !about.drawing;
    offerExamples();
  } catch (error) {
    complain(error);
    return;
  }
  restore();
  addEventListener("hashchange", restore);
}

begin();
