/** What applies to a parameter that a request doesn't have, and who set it. */
export interface Applied {
  value: unknown;
  by: "engine" | "default" | "set";
}

/** The parameters of a model that are known. */
export type Sampling = Record<string, Applied>;

export function explained(name: string, sampling: Sampling | undefined): string {
  const applied = sampling?.[name];
  if (!applied) return "Empty: the engine's default";
  const value = name === "max_tokens" && applied.value === -1 ? "no limit" : said(applied.value);
  if (applied.by === "set") return `The instance sets ${value}, whatever is entered here`;
  const whose = applied.by === "default" ? "the instance's default" : "as the engine runs";
  return `Empty: ${value}, ${whose}`;
}

function said(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
