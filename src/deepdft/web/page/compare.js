// A second density beside the one that is shown.

import * as api from "./api.js";
import { ask, offer } from "./ask.js";
import { follow } from "./follow.js";
import { showFacts } from "./panel.js";
import { draw } from "./picture.js";
import { $, complain, progress, shown } from "./state.js";

export async function compareWith(file) {
  const token = shown.token, current = () => token === shown.token;
  complain(null);
  $("comparison").replaceChildren();
  try {
    const reference = await api.openFile(file);
    const end = await follow(reference.key, { current, step: progress });
    if (!end) return;
    if (end.kind !== "file") {
      throw new api.Refused(`${file.name} holds a structure and no density; a cube or CHGCAR file has one.`, 422);
    }
    shown.reference = reference.key;
    await compare(false);
  } catch (error) {
    if (current()) complain(error);
  } finally {
    if (current()) $("progress").hidden = true;
  }
}

// Predicts the structure of the density that is shown, and compares with it.
export async function predictAndCompare() {
  const reference = shown.key;
  await ask({ structure_of: reference });
  // Something else may be shown by now, or it failed.
  if (shown.asked.structure_of !== reference || shown.result?.quality !== "full") return;
  shown.reference = reference;
  await compare(false);
}

// `mixed`: although the levels of theory differ.
export async function compare(mixed) {
  const token = shown.token, current = () => token === shown.token;
  $("all-the-same").hidden = true;
  try {
    const job = await api.compare({ density: shown.key, reference: shown.reference, mix_levels: mixed });
    if (!(await follow(job.key, { current, step: progress }))) return;
    const result = await api.result(job.key);
    if (!current()) return;
    complain(null);
    shown.comparison = { key: job.key, result };
    showFacts($("comparison"), result.facts);
    $("comparison").prepend(...result.warnings.map((words) =>
      Object.assign(document.createElement("div"), { textContent: words, className: "warning" })));
    shown.view = "difference";
    offer();
    await draw();
  } catch (error) {
    if (!current()) return;
    $("all-the-same").hidden = error.status !== 409;
    complain(error);
  }
}
