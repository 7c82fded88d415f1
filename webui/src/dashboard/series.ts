import type { Schemas } from "../api/client";

export type History = Schemas["HistoryBody"];
export type Window = "1h" | "1d" | "7d";
export type Values = (number | null)[];

export const WINDOWS: { value: Window; label: string; words: string }[] = [
  { value: "1h", label: "Last hour", words: "in the last hour" },
  { value: "1d", label: "Last day", words: "in the last day" },
  { value: "7d", label: "7 days", words: "in the last 7 days" },
];

const LEAST_S = 10; // a shorter step says nothing about a rate

export function hasRequests(history: History): boolean {
  return [...history.requests, ...history.refused].some((count) => count > 0);
}

/** Unix seconds at which each step begins. */
export function startsOf(history: History): number[] {
  return history.requests.map((_, index) => history.start + index * history.step_s);
}

/** For each second; the last step is not over yet. */
export function perSecond(history: History, counts: number[]): Values {
  const last = history.start + (counts.length - 1) * history.step_s;
  const elapsed = Math.min(history.step_s, Math.max(LEAST_S, history.until - last));
  return counts.map((count, index) =>
    index === counts.length - 1 ? count / elapsed : count / history.step_s,
  );
}

/** How much of the prompts was cached, in percent; null without prompts. */
export function reused(history: History): Values {
  return history.prompt_tokens.map((prompt, index) =>
    prompt > 0 ? (100 * (history.cached_tokens[index] ?? 0)) / prompt : null,
  );
}

/** "now 1.2, highest 3.4" for those who don't see the curve. */
export function summary(values: Values, format: (value: number) => string): string {
  const known = values.filter((value) => value !== null);
  const last = known.at(-1);
  if (last === undefined) return "no values";
  return `latest ${format(last)}, highest ${format(Math.max(...known))}`;
}

/** The end of an axis from zero. */
export function highest(values: Values[], most?: number): number {
  if (most !== undefined) return most;
  const top = Math.max(0, ...values.flat().map((value) => value ?? 0));
  return top > 0 ? top * 1.1 : 1;
}
