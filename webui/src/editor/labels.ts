/** Labels as they are typed: `key=value`. */
export function labelTexts(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).map(([key, text]) => `${key}=${text}`);
}

/** The last one counts of two with the same key. What is no label is for the server to refuse. */
export function labelsIn(texts: string[]): Record<string, string> | undefined {
  if (!texts.length) return undefined;
  return Object.fromEntries(
    texts.map((text) => {
      const [key = "", ...rest] = text.split("=");
      return [key.trim(), rest.join("=").trim()];
    }),
  );
}
