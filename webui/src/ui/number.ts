/** Numbers as they are typed. */

/** The number that a text is; a comma counts as a point. undefined where it is none. */
export function numberIn(text: string): number | undefined {
  const plain = text.trim().replace(/^([^.,]*),([^.,]*)$/, "$1.$2");
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain)) return undefined;
  const found = Number(plain);
  return Number.isFinite(found) ? found : undefined;
}

/** What a field holds: the number, no value for an empty text, or else the text itself. */
export function valueIn(text: string): number | string | undefined {
  return text.trim() === "" ? undefined : (numberIn(text) ?? text.trim());
}

/** One step up or down, without the noise of floating point. */
export function stepped(text: string, step: number, { min, max }: Rule = {}): string {
  const next = Number(((numberIn(text) ?? 0) + step).toPrecision(12));
  return String(Math.min(max ?? Infinity, Math.max(min ?? -Infinity, next)));
}

export interface Rule {
  whole?: boolean | undefined;
  min?: number | undefined;
  max?: number | undefined;
  /** Words are values, too, such as "auto". */
  words?: boolean | undefined;
}

/** What is wrong with a text, for a person; "" for nothing. */
export function faultIn(text: string, { whole, min, max, words }: Rule): string {
  if (text.trim() === "") return "";
  const found = numberIn(text);
  if (found === undefined) return words && !/^[-+.,\d]/.test(text.trim()) ? "" : "Not a number";
  if (whole && !Number.isInteger(found)) return "Not a whole number";
  if (min !== undefined && found < min) return `Must be at least ${min}`;
  if (max !== undefined && found > max) return `Must be at most ${max}`;
  return "";
}
