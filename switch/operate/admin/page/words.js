// How figures are said. What is not there is a dash.

const NONE = "–";
const DAY = 86400;

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A whole number: 12,345. */
export const count = (value) => grouped.format(value);

/** A rate or a mean: one digit after the point while it is small. */
export const rate = (value) => (value < 100 ? value.toFixed(1) : grouped.format(value));

/** Milliseconds, with three digits that mean something. */
export const ms = (value) =>
  value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : grouped.format(value);

/** A share of one. */
export const percent = (value) => `${(value * 100).toFixed(1)} %`;

export const mebibytes = (value) => grouped.format(value / 1048576);

/** The time of day of an ISO moment. */
export const clock = (moment) => moment.slice(11, 19);

/** The same with its day, where that is not today. */
export const moment = (text, now = new Date().toISOString()) =>
  text.slice(0, 10) === now.slice(0, 10) ? clock(text) : `${text.slice(0, 10)} ${clock(text)}`;

/** Seconds in words: 42 s, 3 min 5 s, 2 h 10 min, 3 d 4 h. */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < DAY) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / DAY)} d ${Math.floor((s % DAY) / 3600)} h`;
}

/** Between two ISO moments. */
export const between = (from, to) => duration((Date.parse(to) - Date.parse(from)) / 1000);

/** Minor units of a currency as people say them: 25.00 EUR. */
export function major(minor, currency) {
  if (!currency) return `${minor} minor units`;
  const { letters, digits } = currency;
  return `${(minor / 10 ** digits).toLocaleString("en", {
    minimumFractionDigits: digits, maximumFractionDigits: digits,
  })} ${letters}`;
}

/** insufficient_funds → insufficient funds. */
export const words = (name) => name.replaceAll("_", " ");

/** By the name that stands in data-as; anything that is not there is a dash. */
export const say = (value, how, at) => {
  if (value === null || value === undefined) return NONE;
  if (how === "since") return between(value, at);
  return how ? { count, rate, ms, percent, mebibytes, clock }[how](value) : String(value);
};

/** An element with a class and its content: texts and elements, never markup. */
export function element(name, kind, ...content) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...content);
  return made;
}

/** Change a text only where it differs: what is selected stays selected. */
export function tell(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
