/** A warm-up as it is shown to be edited. */
export function requestText(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** What was typed; undefined for nothing. What is no JSON is for the server to refuse. */
export function requestIn(text: string): unknown {
  if (!text.trim()) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
