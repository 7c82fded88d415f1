import type { Schemas } from "../api/client";

const KINDS: Record<string, string> = {
  switch: "On or off",
  integer: "Whole number",
  number: "Number",
  choice: "One of several values",
  list: "List",
  path: "Path",
  text: "Text",
};

/** The help text of an option: the engine's own, or its type, with its range and default. */
export function describe(option: Schemas["OptionBody"]): string {
  const told = option.help.replace(/\(default: [^)]*\)/g, "").trim();
  const { minimum: low, maximum: high } = option;
  const isRange = low != null && high != null && !told.includes("valid range");
  const range = isRange ? `From ${low} to ${high}.` : "";
  const isKnown = /\bdefault\b/i.test(option.help) && told;
  const fallback = !isKnown && option.default ? `Default: ${option.default}` : "";
  const help = isKnown ? option.help : told;
  const said = help || `${KINDS[option.type] ?? "Text"}.`;
  return [said, range, fallback].filter(Boolean).join(" ");
}
