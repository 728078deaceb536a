// Colour scales that colour-blind people can tell apart.

const RED_BLUE = ["#67001f", "#b2182b", "#d6604d", "#f4a582", "#fddbc7", "#f7f7f7", "#d1e5f0", "#92c5de", "#4393c3", "#2166ac", "#053061"];
const CIVIDIS = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"];

export const POSITIVE = "#2166ac";
export const NEGATIVE = "#d55e00";
// Brighter on a dark page.
export const cloud = () => getComputedStyle(document.documentElement).getPropertyValue("--cloud").trim();
export const DOUBT = "#d98e04";

const parsed = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

function between(stops, share) {
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  const [a, b] = [parsed(stops[low]), parsed(stops[low + 1])];
  return a.map((value, i) => Math.round(value + (place - low) * (b[i] - value)));
}

const table = (stops) => Array.from({ length: 256 }, (_, i) => between(stops, i / 255));

export const signed = table(RED_BLUE);
export const rising = table(CIVIDIS);

// Which of the 256 colours of `signed` a value between -limit and limit has.
export const signedPlace = (value, limit) => Math.round(255 * Math.min(Math.max((value / limit + 1) / 2, 0), 1));

export const gradient = (colours) =>
  `linear-gradient(90deg, ${[0, 51, 102, 153, 204, 255].map((i) => `rgb(${colours[i]})`).join(", ")})`;

// A number with three digits that count.
export function shown(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000 || size < 0.0005) {
    const [digits, power] = value.toExponential(1).split("e");
    const raised = power.replace("+", "").replace(/./g, (sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign]));
    return `${digits.replace("-", "−")}\u00a0·\u00a010${raised}`;
  }
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.01 ? 3 : 4;
  return value.toFixed(digits).replace("-", "−");
}
