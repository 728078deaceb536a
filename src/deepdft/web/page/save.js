// Files that the page makes itself.

import * as api from "./api.js";

export function saveBlob(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  // As the server names its files.
  const [, stem, suffix] = name.match(/^(.*?)(\.\w+)?$/s);
  link.download = (stem.replace(/[^A-Za-z0-9]+/g, "_").replace(/^_+|_+$/g, "").slice(0, 40) || "structure") + (suffix ?? "");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// The policy of the page lets nothing be fetched from a data address, so it is taken apart here.
export function blobOf(address) {
  const [head, body] = address.split(",");
  const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: head.slice(5).split(";")[0] });
}

// The other way round, for pictures within a report.
export const addressOf = (blob) => new Promise((done, failed) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result);
  reader.onerror = () => failed(reader.error);
  reader.readAsDataURL(blob);
});

export async function saveReport(key, name, picture, words) {
  const html = await api.report(key);
  const image = Object.assign(document.createElement("img"), { src: picture, alt: words }).outerHTML;
  saveBlob(new Blob([html.replace("<!-- picture -->", () => image)], { type: "text/html" }), `${name}.html`);
}
