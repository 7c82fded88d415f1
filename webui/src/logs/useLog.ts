import { useCallback, useEffect, useRef, useState } from "react";
import { messageOf, open } from "../api/client";

const FIRST = 2000; // lines at once
const KEPT = 100_000; // lines in memory
const RETRY_MS = 2000;

export interface Log {
  lines: string[];
  /** The number of the first of them, counted from the one that was first at the beginning. */
  first: number;
  /** Is there more before the first line? */
  more: boolean;
  fault: string;
  older: () => Promise<void>;
}

export function pathOf(name: string): string {
  return `api/v1/instances/${encodeURIComponent(name)}/logs`;
}

async function visible(): Promise<void> {
  while (document.hidden) {
    await new Promise((seen) =>
      document.addEventListener("visibilitychange", seen, { once: true }),
    );
  }
}

/** Follows a log of any size: its end, and what is before piece by piece. */
export function useLog(name: string, search: string): Log {
  const [lines, setLines] = useState<string[]>([]);
  const [start, setStart] = useState(0);
  const [first, setFirst] = useState(0);
  const [fault, setFault] = useState("");
  const kept = useRef<string[]>([]);
  const pending = useRef<string[]>([]);

  useEffect(() => {
    const stop = new AbortController();
    const decoder = new TextDecoder();
    let at: number | undefined;
    let rest = "";
    let frame = 0;
    setLines([]);
    setFirst(0);
    kept.current = [];
    pending.current = [];

    const show = () => {
      frame = 0;
      const all = [...kept.current, ...pending.current];
      pending.current = [];
      const dropped = all.splice(0, Math.max(0, all.length - KEPT));
      if (dropped.length) {
        const size = new TextEncoder().encode(`${dropped.join("\n")}\n`).length;
        setStart((before) => before + size);
        setFirst((before) => before + dropped.length);
      }
      kept.current = all;
      setLines(all);
    };

    async function follow(signal: AbortSignal): Promise<void> {
      const query = new URLSearchParams({ follow: "true", search });
      query.set("lines", at === undefined ? String(FIRST) : "-1");
      if (at !== undefined) query.set("after", String(at));
      const answer = await open(`${pathOf(name)}?${query}`, { signal });
      const from = Number(answer.headers.get("x-log-start") ?? 0);
      if (at === undefined) setStart(from);
      at = Math.max(at ?? 0, from);
      setFault("");
      const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        at += value.length;
        const parts = (rest + decoder.decode(value, { stream: true })).split("\n");
        rest = parts.pop() ?? "";
        pending.current.push(...parts);
        frame ||= requestAnimationFrame(show);
      }
    }

    async function keep(): Promise<void> {
      while (!stop.signal.aborted) {
        await visible();
        // whoever looks at another tab leaves the connection to it; offsets let us go on after it
        const away = new AbortController();
        const leave = () => away.abort();
        if (!search) document.addEventListener("visibilitychange", leave, { once: true });
        try {
          await follow(AbortSignal.any([stop.signal, away.signal]));
        } catch (error) {
          if (stop.signal.aborted) return;
          if (!away.signal.aborted) setFault(messageOf(error));
        } finally {
          document.removeEventListener("visibilitychange", leave);
        }
        if (search) return; // offsets of what a search finds are not known
        if (!away.signal.aborted) await new Promise((again) => setTimeout(again, RETRY_MS));
      }
    }
    void keep();
    return () => {
      stop.abort();
      cancelAnimationFrame(frame);
    };
  }, [name, search]);

  const older = useCallback(async () => {
    const query = new URLSearchParams({ lines: String(FIRST), before: String(start) });
    const answer = await open(`${pathOf(name)}?${query}`);
    const text = await answer.text();
    const found = text.split("\n");
    if (found.at(-1) === "") found.pop();
    setStart(Number(answer.headers.get("x-log-start") ?? 0));
    kept.current = [...found, ...kept.current];
    setFirst((before) => before - found.length);
    setLines(kept.current);
  }, [name, start]);

  return { lines, first, more: start > 0 && !search, fault, older };
}
