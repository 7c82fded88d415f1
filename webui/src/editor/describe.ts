import type { Schemas } from "../api/client";

const KINDS: Record<string, string> = {
  switch: "On or off",
  integer: "A whole number",
  number: "A number",
  choice: "One of a list",
  list: "A list",
  path: "A path",
  text: "A text",
};

/** What there is to say of an option: the engine's words, or else its type; range and default. */
export function describe(option: Schemas["OptionBody"]): string {
  const told = option.help.replace(/\(default: [^)]*\)/g, "").trim();
  const { minimum: low, maximum: high } = option;
  const isRange = low != null && high != null && !told.includes("valid range");
  const range = isRange ? `From ${low} to ${high}.` : "";
  const isKnown = /\bdefault\b/i.test(option.help) && told;
  const fallback = !isKnown && option.default ? `Default: ${option.default}` : "";
  const said = told ? (isKnown ? option.help : told) : `${KINDS[option.type] ?? "A text"}.`;
  return [said, range, fallback].filter(Boolean).join(" ");
}
