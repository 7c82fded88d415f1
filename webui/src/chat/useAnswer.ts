import { useCallback, useEffect, useRef, useState } from "react";
import { messageOf } from "../api/client";
import { ask, NO_PROGRESS, type Progress } from "./talk/ask";
import {
  type Conversation,
  type Stats,
  type Turn,
  withChanged,
  withTurn,
} from "./talk/conversation";
import { unfold } from "./talk/heard";
import { continuationOf, requestOf } from "./talk/request";
import type { Change } from "./useChats";

/** The answer that is coming: of which chat, by which model, what it follows and continues. */
export interface Coming {
  id: string;
  parent: string;
  model: string;
  begun?: Turn;
  progress: Progress;
}

/** Asks for answers, one at a time, and puts them into their chats. */
export function useAnswer(change: Change) {
  const [coming, setComing] = useState<Coming>();
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  const run = useCallback(
    async (talk: Conversation, request: Record<string, unknown>, begun?: Turn) => {
      running.current?.abort();
      const stop = new AbortController();
      running.current = stop;
      const now: Coming = {
        id: talk.id,
        parent: begun?.parent ?? talk.tip,
        model: talk.model,
        progress: NO_PROGRESS,
      };
      if (begun) now.begun = begun;
      let last = NO_PROGRESS;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const told = (progress: Progress) => {
        last = progress;
        // Each drawing reads the Markdown from its start: the longer it is, the rarer it is drawn.
        timer ??= setTimeout(
          () => {
            timer = undefined;
            if (running.current === stop) setComing({ ...now, progress: last });
          },
          Math.min(500, 16 + last.text.length / 50),
        );
      };
      setComing(now);
      let stats: Stats | undefined;
      let fault = "";
      try {
        stats = await ask(request, begun?.text ?? "", told, stop.signal);
      } catch (error) {
        if (!stop.signal.aborted) fault = messageOf(error);
      }
      clearTimeout(timer);
      if (running.current === stop) {
        running.current = undefined;
        setComing(undefined);
      }
      const turn = answered(last, talk.model, stats, fault, stop.signal.aborted);
      change(talk.id, (latest) => put(latest, turn, now.parent, begun));
    },
    [change],
  );

  return {
    coming,
    stop: useCallback(() => running.current?.abort(), []),
    /** What follows the tip. */
    answer: useCallback((talk: Conversation) => run(talk, requestOf(talk)), [run]),
    more: useCallback(
      (talk: Conversation, turn: Turn, backend: string) =>
        run(talk, continuationOf(talk, backend), turn),
      [run],
    ),
  };
}

function answered(
  { text: said, reasoning: thought, calls, finish }: Progress,
  model: string,
  stats: Stats | undefined,
  fault: string,
  stopped: boolean,
): Omit<Turn, "id" | "parent"> {
  const { reasoning, answer } = unfold(said);
  const thoughts = [thought, reasoning].filter(Boolean).join("\n");
  const cut = stopped ? "stopped" : finish === "length" ? "length" : undefined;
  return {
    role: "assistant",
    text: answer,
    model,
    ...(thoughts && { reasoning: thoughts }),
    ...(calls.length && { calls }),
    ...(stats && { stats }),
    ...(fault && { fault }),
    ...(cut && { cut }),
  } as Omit<Turn, "id" | "parent">;
}

function put(
  talk: Conversation,
  turn: Omit<Turn, "id" | "parent">,
  parent: string,
  begun?: Turn,
): Conversation {
  if (begun) {
    const reasoning = [begun.reasoning, turn.reasoning].filter(Boolean).join("\n");
    const more = { ...turn, ...(reasoning && { reasoning }) };
    return withChanged(talk, {
      ...more,
      id: begun.id,
      parent: begun.parent,
      text: begun.text + turn.text,
    });
  }
  const isEmpty = !(turn.text || turn.reasoning || turn.calls || turn.fault);
  return isEmpty ? talk : withTurn(talk, { ...turn, parent });
}
