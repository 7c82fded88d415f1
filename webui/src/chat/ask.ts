import { createParser } from "eventsource-parser";
import { failure, open } from "../api/client";
import { type Conversation, requestOf, type Stats } from "./conversation";

export interface Progress {
  text: string;
  reasoning: string;
  /** Its model is being started, or waits to be. */
  loading: boolean;
  /** How many starts come before its model's. */
  ahead: number;
}

interface Chunk {
  choices?: { delta?: { content?: string | null; reasoning_content?: string | null } }[];
  usage?: { completion_tokens?: number };
  timings?: { predicted_per_second?: number; predicted_n?: number };
  error?: unknown;
}

/** Streams an answer; `told` hears each piece. Throws ApiError, or AbortError when stopped before it began. */
export async function ask(
  talk: Conversation,
  told: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Stats> {
  const body = { ...requestOf(talk), stream: true, stream_options: { include_usage: true } };
  const began = performance.now();
  const answer = await open("api/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  const progress: Progress = { text: "", reasoning: "", loading: false, ahead: 0 };
  const stats = { tokens: 0, tokens_s: 0, first_s: 0 };
  let first = 0;
  let fault: unknown;
  const parser = createParser({
    onComment(comment) {
      const found = /loading, (\d+) ahead/.exec(comment);
      if (found) told({ ...progress, loading: true, ahead: Number(found[1]) });
    },
    onEvent(event) {
      if (event.data === "[DONE]") return;
      const chunk = JSON.parse(event.data) as Chunk;
      if (chunk.error) fault = chunk;
      const delta = chunk.choices?.[0]?.delta;
      const piece = delta?.content ?? "";
      const thought = delta?.reasoning_content ?? "";
      if (piece || thought) {
        first ||= performance.now();
        stats.tokens += 1;
        progress.text += piece;
        progress.reasoning += thought;
      }
      if (chunk.usage?.completion_tokens) stats.tokens = chunk.usage.completion_tokens;
      if (chunk.timings?.predicted_per_second) stats.tokens_s = chunk.timings.predicted_per_second;
      told({ ...progress });
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
  if (fault) throw failure(502, fault);
  const ended = performance.now();
  stats.first_s = ((first || ended) - began) / 1000;
  stats.tokens_s ||= first && ended > first ? stats.tokens / ((ended - first) / 1000) : 0;
  return stats;
}
