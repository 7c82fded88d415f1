const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Bytes, as people say them. */
export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return "unknown";
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

const STEPS: [number, string][] = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/** Seconds, with the largest units that count: "3 h 5 min". */
export function span(seconds: number, most = 2): string {
  let left = Math.max(0, Math.round(seconds));
  const words: string[] = [];
  for (const [size, unit] of STEPS) {
    const count = Math.floor(left / size);
    if (count > 0 || (size === 1 && words.length === 0)) words.push(`${count} ${unit}`);
    left -= count * size;
    if (words.length === most || (words.length > 0 && count === 0)) break;
  }
  return words.join(" ");
}

/** "3 min ago", of Unix seconds. */
export function ago(at: number, now: number): string {
  const seconds = now - at;
  return seconds < 5 ? "just now" : `${span(seconds, 1)} ago`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** Local time, of Unix seconds; with the day if that is another one. */
export function when(at: number, now: number): string {
  const date = new Date(at * 1000);
  const today = new Date(now * 1000).toDateString() === date.toDateString();
  return (today ? CLOCK : DATE).format(date);
}

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** The day, of Unix seconds. */
export function day(at: number): string {
  return DAY.format(new Date(at * 1000));
}

export function exact(at: number): string {
  return EXACT.format(new Date(at * 1000));
}

/** "0.1.0 (1a2b3c4, 31 Jan 2026, 12:00:00)", without what is unknown. */
export function release(of: { version: string; commit: string; built: string }): string {
  const built = Date.parse(of.built) / 1000;
  const known = [
    ...(of.commit === "unknown" ? [] : [of.commit]),
    ...(Number.isNaN(built) ? [] : [exact(built)]),
  ];
  return known.length ? `${of.version} (${known.join(", ")})` : of.version;
}

export function rate(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

export function seconds(value: number): string {
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 1 : 0)} s`;
}

/** 134_000_000 as "134 M". */
export function count(value: number): string {
  return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(
    value,
  );
}

export function plural(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? "" : "s"}`;
}
