// What is shown, and the few things that every part needs.

export const $ = (id) => document.getElementById(id);

// `asked` goes into the address; the rest follows from the server or from the sliders. Whatever
// still runs for an earlier `token` is out of date.
export const shown = {
  token: 0, asked: {}, key: null, result: null, comparison: null, reference: null,
  view: "density", levels: {}, opacity: 70, wanted: null, known: [],
};

const SIGNED = new Set(["deformation", "potential", "difference"]);
export const isSigned = (field) => SIGNED.has(field);

// All fields that there are, with their scales.
export const fields = () => ({ ...shown.result?.fields, ...shown.comparison?.result.fields });

// The job that has a field.
export const keyOf = (field) => (field === "difference" ? shown.comparison.key : shown.key);

export function complain(error) {
  $("problem").hidden = !error;
  $("problem").textContent = error ? error.message : "";
  // Who pressed a button far below sees it, too.
  if (error) $("problem").scrollIntoView({ block: "nearest" });
}

let toastTimer = 0;

// Without `seen`, what the page shows anyway: for those who listen.
export function announce(words, { seen = true } = {}) {
  $("toast").textContent = words;
  $("toast").classList.toggle("shown", seen);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => $("toast").classList.remove("shown"), 2500);
}

export function progress(job) {
  $("progress").hidden = job.state !== "waiting" && job.state !== "running";
  const share = job.points_total ? job.points_done / job.points_total : 0;
  $("bar").style.width = `${100 * share}%`;
  const words = job.state === "waiting" ? [`waiting, number ${job.position} in the queue`] : [job.stage];
  if (job.state === "running" && job.points_total) {
    words.push(`${Math.round(100 * share)} %`);
    if (job.points_per_second) words.push(`${Math.round(job.points_per_second).toLocaleString("en")} points/s`);
  }
  $("stage").textContent = words.join(" · ");
}
