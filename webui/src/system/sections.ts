import type { Schemas } from "../api/client";

type Setting = Schemas["SettingBody"];

/** A search finds all; without one, what has its default is left out until asked for. */
export function isShown(one: Setting, text: string, defaults: boolean): boolean {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return defaults || one.source !== "default";
  return `${one.key} ${one.source} ${one.description}`.toLowerCase().includes(wanted);
}

/** In the order in which the server names them. */
export function bySection(settings: Setting[]): [string, Setting[]][] {
  const found = new Map<string, Setting[]>();
  for (const one of settings) {
    found.set(one.section, [...(found.get(one.section) ?? []), one]);
  }
  return [...found];
}
