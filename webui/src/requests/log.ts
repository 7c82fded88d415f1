import type { Schemas } from "../api/client";
import type { DotKind } from "../ui/Dot";
import { seconds } from "../ui/format";

export type LoggedRequest = Schemas["RequestBody"];

export interface Search {
  instance?: string | undefined;
  failed?: boolean | undefined;
  sort?: "slowest" | undefined;
}

/** What an address says, as far as it makes sense. */
export function searchOf(search: Record<string, unknown>): Search {
  return {
    ...(typeof search.instance === "string" ? { instance: search.instance } : {}),
    ...(search.failed === true ? { failed: true } : {}),
    ...(search.sort === "slowest" ? { sort: "slowest" as const } : {}),
  };
}

export function bySlowest(rows: readonly LoggedRequest[]): LoggedRequest[] {
  return rows.toSorted((a, b) => b.duration_s - a.duration_s);
}

const SENDERS = {
  key: "a key",
  management: "management key",
  page: "this page",
  anyone: "no key",
};

/** Who sent it, in words. */
export function senderOf(row: LoggedRequest): string {
  return row.key || SENDERS[row.sender];
}

const STAGES: Record<string, string> = {
  reading: "sending its body",
  waiting: "waiting for its model",
  opening: "beginning",
  connecting: "connecting",
  asking: "processing the prompt",
  answering: "answering",
  working: "ending",
  dropped: "engine lost",
  cut_short: "engine lost",
};

export interface Outcome {
  text: string;
  kind: DotKind;
}

/** How it went, or what it waits for. */
export function outcome(row: LoggedRequest): Outcome {
  if (row.stage !== "over") return { text: STAGES[row.stage] ?? row.stage, kind: "busy" };
  if (row.code === "cancelled") return { text: "cancelled", kind: "none" };
  if (row.status === 499) return { text: "client left", kind: "none" };
  if (!row.complete) return { text: "broke off", kind: "bad" };
  const status = row.status ?? 0;
  if (status >= 500) return { text: `${status}`, kind: "bad" };
  return { text: `${status}`, kind: status >= 400 ? "warn" : "good" };
}

/** "32 (30 reused) + 20"; "" if the engine did not count. */
export function tokensOf(row: LoggedRequest): string {
  if (!row.prompt_tokens && !row.generated_tokens) return "";
  const reused = row.cached_tokens ? ` (${row.cached_tokens} reused)` : "";
  return `${row.prompt_tokens}${reused} + ${row.generated_tokens}`;
}

/** Tokens a second of its answer; undefined where it can't be known. */
export function speedOf(row: LoggedRequest): number | undefined {
  const took = row.duration_s - (row.first_token_s ?? 0);
  return row.generated_tokens > 1 && row.first_token_s !== null && took > 0.05
    ? row.generated_tokens / took
    : undefined;
}

/** Where its time went. */
export function timesOf(row: LoggedRequest): string {
  return [
    row.queue_s > 0 ? `queue ${seconds(row.queue_s)}` : "",
    row.first_token_s === null ? "" : `first token ${seconds(row.first_token_s)}`,
  ]
    .filter(Boolean)
    .join(", ");
}
