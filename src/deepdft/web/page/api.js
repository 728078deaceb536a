// What the server is asked, and how its answers are unpacked.

export class Refused extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

async function answered(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer; start 'deepdft serve' again.", 0);
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Refused(problem.error ?? `The server answered ${response.status}.`, response.status);
  }
  return response;
}

const json = async (path, options) => (await answered(path, options)).json();

const sent = (path, body) =>
  json(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

export const about = () => json("/api/about");
export const examples = () => json("/api/examples");
export const predict = (request) => sent("/api/jobs", request);
export const compare = (request) => sent("/api/comparisons", request);
export const status = (key, known = {}) => json(`/api/jobs/${key}?${new URLSearchParams(known)}`);
export const result = (key) => json(`/api/jobs/${key}/result`);
export const stop = (key) => answered(`/api/jobs/${key}`, { method: "DELETE" });
export const halt = (key) => answered(`/api/jobs/${key}/halt`, { method: "POST" });
export const report = async (key) => (await answered(`/api/jobs/${key}/report`)).text();

export function openFile(file, options = {}) {
  const query = new URLSearchParams({ name: file.name || "file", ...options });
  return json(`/api/files?${query}`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream" },
    body: file,
  });
}

export const fileAddress = (key, format, field) =>
  `/api/jobs/${key}/file?${new URLSearchParams({ format, field })}`;

async function packed(path, query, signal) {
  const response = await answered(`${path}?${new URLSearchParams(query)}`, { signal });
  const bytes = await response.arrayBuffer();
  const length = new DataView(bytes).getUint32(0, true);
  const about = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  return { about, bytes, offset: 4 + length };
}

export const structure = (key, cells) => json(`/api/jobs/${key}/structure?${new URLSearchParams({ cells })}`);

// A picture that the server draws: for browsers without WebGL.
export const pictureAddress = (key, query) => `/api/jobs/${key}/picture?${new URLSearchParams(query)}`;
export const picture = async (key, query) => (await answered(pictureAddress(key, query))).blob();

export async function surface(key, query, signal) {
  const { about, bytes, offset } = await packed(`/api/jobs/${key}/surface`, query, signal);
  let place = offset;
  const take = (Kind, count) => {
    const array = new Kind(bytes, place, count);
    place += 4 * count;
    return array;
  };
  const pieces = about.pieces.map(({ vertices, triangles, level }) => ({
    level,
    positions: take(Float32Array, 3 * vertices),
    normals: take(Float32Array, 3 * vertices),
    values: about.coloured ? take(Float32Array, vertices) : null,
    faces: take(Uint32Array, 3 * triangles),
  }));
  return { pieces, values: about.values };
}

export async function slice(key, query, signal) {
  const { about, bytes, offset } = await packed(`/api/jobs/${key}/slice`, query, signal);
  return { ...about, values: new Float32Array(bytes, offset, about.shape[0] * about.shape[1]) };
}
