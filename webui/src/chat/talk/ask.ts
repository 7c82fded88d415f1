import { createParser } from "eventsource-parser";
import { failure, open } from "../../api/client";
import type { Stats } from "./conversation";
import { type Chunk, type Heard, hear, NOTHING_HEARD, withCounts } from "./heard";

export interface Progress extends Heard {
  /** Its model is being started, or waits to be. */
  loading: boolean;
  /** How many starts come before its model's. */
  ahead: number;
}

export const NO_PROGRESS: Progress = { ...NOTHING_HEARD, loading: false, ahead: 0 };

/**
 * Streams an answer; `told` hears each piece. Throws ApiError, or AbortError when stopped before
 * it began. `begun`: what there is already of an answer that is continued.
 */
export async function ask(
  request: Record<string, unknown>,
  begun: string,
  told: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Stats> {
  const start = performance.now();
  const answer = await open("api/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  let heard: Heard = NOTHING_HEARD;
  let stats: Stats = { tokens: 0, tokens_s: 0, first_s: 0 };
  let first = 0;
  const parser = createParser({
    onComment(comment) {
      const found = /loading, (\d+) ahead/.exec(comment);
      if (found) told({ ...heard, loading: true, ahead: Number(found[1]) });
    },
    onEvent(event) {
      if (event.data === "[DONE]") return;
      const chunk = JSON.parse(event.data) as Chunk;
      heard = hear(heard, chunk, begun);
      if (heard.pieces) first ||= performance.now();
      stats = withCounts(stats, chunk);
      told({ ...heard, loading: false, ahead: 0 });
    },
  });
  const reader = (answer.body as ReadableStream<Uint8Array<ArrayBuffer>>)
    .pipeThrough(new TextDecoderStream())
    .getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parser.feed(value);
    }
  } catch (error) {
    if (!signal.aborted) throw error; // what came before a stop counts
  }
  if (heard.fault) throw failure(502, heard.fault);
  return measured(stats, heard.pieces, start, first);
}

function measured(stats: Stats, pieces: number, start: number, first: number): Stats {
  const end = performance.now();
  const tokens = stats.tokens || pieces;
  return {
    tokens,
    tokens_s: stats.tokens_s || (first && end > first ? tokens / ((end - first) / 1000) : 0),
    first_s: ((first || end) - start) / 1000,
  };
}
