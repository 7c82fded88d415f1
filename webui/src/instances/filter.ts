import type { Row, View } from "../live/view";
import { groupOf, modelOf } from "./words";

type Rows = View["rows"];

export interface Filter {
  text: string;
  /** "all", "up", "down" or "failed". */
  state: string;
  /** "" for all. */
  group: string;
}

const DOWN = new Set(["stopped", "failed", "lost"]);

function fits(row: Row, filter: Filter): boolean {
  const { instance } = row;
  if (filter.group && groupOf(instance) !== filter.group) return false;
  if (filter.state === "failed" && instance.status !== "failed") return false;
  if (filter.state === "up" && DOWN.has(instance.state)) return false;
  if (filter.state === "down" && !DOWN.has(instance.state)) return false;
  const wanted = filter.text.trim().toLowerCase();
  if (!wanted) return true;
  const { name, message, node } = instance;
  const words = [name, modelOf(instance), groupOf(instance), message, node];
  return words.some((word) => word.toLowerCase().includes(wanted));
}

/** Ids, by name. */
export function matching(rows: Rows, order: readonly string[], filter: Filter): string[] {
  return order.filter((id) => {
    const row = rows.get(id);
    return row !== undefined && fits(row, filter);
  });
}

/** Do instances run on more than one machine? */
export function onSeveral(rows: Rows): boolean {
  return new Set([...rows.values()].map((row) => row.instance.node)).size > 1;
}

export function groups(rows: Rows): string[] {
  const names = new Set([...rows.values()].map((row) => groupOf(row.instance)));
  names.delete("");
  return [...names].sort();
}
