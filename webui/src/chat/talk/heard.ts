import type { Stats, ToolCall } from "./conversation";

/** An answer as far as it has come. */
export interface Heard {
  text: string;
  reasoning: string;
  calls: ToolCall[];
  /** Pieces that had something to show. */
  pieces: number;
  finish: string;
  fault?: unknown;
}

export interface Chunk {
  choices?: { delta?: Delta; finish_reason?: string | null }[];
  usage?: { completion_tokens?: number } | null;
  timings?: { predicted_per_second?: number; predicted_n?: number };
  error?: unknown;
}

interface Delta {
  content?: string | null;
  reasoning_content?: string | null;
  tool_calls?: {
    index?: number;
    id?: string | null;
    function?: { name?: string | null; arguments?: string | null };
  }[];
}

export const NOTHING_HEARD: Heard = { text: "", reasoning: "", calls: [], pieces: 0, finish: "" };

/**
 * With one more chunk. `begun`: what was there of an answer that is continued; some versions of
 * llama.cpp send it again with the first piece.
 */
export function hear(heard: Heard, chunk: Chunk, begun = ""): Heard {
  const choice = chunk.choices?.[0];
  const delta = choice?.delta;
  const content = delta?.content ?? "";
  const thought = delta?.reasoning_content ?? "";
  const calls = delta?.tool_calls ?? [];
  const repeats = begun !== "" && heard.text === "" && content.startsWith(begun);
  return {
    ...heard,
    text: heard.text + (repeats ? content.slice(begun.length) : content),
    reasoning: heard.reasoning + thought,
    calls: calls.reduce(called, heard.calls),
    pieces: heard.pieces + (content || thought || calls.length ? 1 : 0),
    finish: choice?.finish_reason ?? heard.finish,
    ...(chunk.error ? { fault: chunk } : {}),
  };
}

/** Its name comes first, its arguments piece by piece. */
function called(calls: ToolCall[], piece: NonNullable<Delta["tool_calls"]>[number]): ToolCall[] {
  const at = piece.index ?? calls.length;
  const before = calls[at] ?? { id: "", name: "", arguments: "" };
  const after = {
    id: piece.id || before.id,
    name: before.name + (piece.function?.name ?? ""),
    arguments: before.arguments + (piece.function?.arguments ?? ""),
  };
  return at < calls.length ? calls.with(at, after) : [...calls, after];
}

/** What the engine counted counts more than what was seen. */
export function withCounts(stats: Stats, chunk: Chunk): Stats {
  return {
    ...stats,
    tokens: chunk.usage?.completion_tokens || stats.tokens,
    tokens_s: chunk.timings?.predicted_per_second || stats.tokens_s,
  };
}

/** "<think>…</think>answer" in two; some models write so what others send apart. */
export function unfold(text: string): { reasoning: string; answer: string } {
  const opened = /^\s*<think>/.exec(text);
  if (!opened) return { reasoning: "", answer: text };
  const rest = text.slice(opened[0].length);
  const end = rest.indexOf("</think>");
  return end < 0
    ? { reasoning: rest.trim(), answer: "" }
    : { reasoning: rest.slice(0, end).trim(), answer: rest.slice(end + 8).trimStart() };
}
