// The part of the address behind '#' says what is shown, so that a link brings it back.

const NUMBERS = ["level", "opacity", "axis", "slice"];

export function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const found = Object.fromEntries(given);
  for (const name of NUMBERS) if (name in found) found[name] = Number(found[name]);
  if (found.camera) found.camera = found.camera.split("_").map(Number);
  if (found.camera?.some((value) => !Number.isFinite(value)) || found.camera?.length !== 8) delete found.camera;
  for (const name of NUMBERS) if (name in found && !Number.isFinite(found[name])) delete found[name];
  return found;
}

export function writeAddress(state) {
  const words = {};
  for (const [name, value] of Object.entries(state)) {
    if (value === null || value === undefined || value === "") continue;
    if (name === "camera") words.camera = value.map((part) => Number(part.toFixed(3))).join("_");
    else words[name] = typeof value === "number" ? Number(value.toPrecision(4)) : value;
  }
  history.replaceState(null, "", `#${new URLSearchParams(words)}`);
}
