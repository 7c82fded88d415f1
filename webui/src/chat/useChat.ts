import { useCallback, useEffect, useRef, useState } from "react";
import { messageOf } from "../api/client";
import { ask, type Progress } from "./ask";
import { begun, type Conversation, type Message, titleOf, unfold } from "./conversation";
import { forget, keep, loadAll } from "./store";

/** The conversations of this browser, and the one that goes on. */
export function useChat(model: string) {
  const [talks, setTalks] = useState<Conversation[]>([]);
  const [talk, setTalk] = useState<Conversation>(() => begun(model));
  const [progress, setProgress] = useState<Progress>();
  const running = useRef<AbortController>(undefined);

  useEffect(() => {
    void loadAll().then(setTalks, () => undefined); // a browser that keeps nothing, say
    return () => running.current?.abort();
  }, []);

  const change = useCallback((next: Conversation) => {
    setTalk(next);
    if (next.messages.length === 0) return;
    setTalks((known) => [next, ...known.filter((one) => one.id !== next.id)]);
    void keep(next).catch(() => undefined);
  }, []);

  const answer = useCallback(
    async (asked: Conversation) => {
      running.current?.abort();
      const stop = new AbortController();
      running.current = stop;
      let last: Progress = { text: "", reasoning: "", loading: false, ahead: 0 };
      let timer: ReturnType<typeof setTimeout> | undefined;
      const told = (now: Progress) => {
        last = now;
        // Each drawing reads the whole Markdown again: the longer it is, the rarer it is drawn.
        timer ??= setTimeout(
          () => {
            timer = undefined;
            if (running.current === stop) setProgress(last);
          },
          Math.min(500, 16 + last.text.length / 50),
        );
      };
      change(asked);
      setProgress(last);
      const message: Message = { role: "assistant", text: "" };
      try {
        message.stats = await ask(asked, told, stop.signal);
      } catch (error) {
        if (!stop.signal.aborted) message.fault = messageOf(error);
      }
      clearTimeout(timer);
      const { reasoning, answer: text } = unfold(last.text);
      message.text = text;
      const thought = [last.reasoning, reasoning].filter(Boolean).join("\n");
      if (thought) message.reasoning = thought;
      if (running.current === stop) {
        running.current = undefined;
        setProgress(undefined);
      }
      if (message.text || message.reasoning || message.fault) {
        change({ ...asked, at: Date.now(), messages: [...asked.messages, message] });
      }
    },
    [change],
  );

  return {
    talks,
    talk,
    progress,
    change,
    answer,
    stop: () => running.current?.abort(),
    say: (text: string, images: string[]) => {
      const said: Message = { role: "user", text, ...(images.length ? { images } : {}) };
      const kept = talk.messages.filter((message) => !message.fault);
      const title = kept.length === 0 ? titleOf(text) : talk.title;
      return answer({ ...talk, title, at: Date.now(), messages: [...kept, said] });
    },
    /** Answer again what was asked before this message. */
    again: (index: number) => answer({ ...talk, messages: talk.messages.slice(0, index) }),
    open: (other: Conversation) => {
      running.current?.abort();
      setTalk(other);
    },
    begin: () => {
      running.current?.abort();
      setTalk({ ...begun(talk.model), params: talk.params });
    },
    remove: (id: string) => {
      setTalks((known) => known.filter((one) => one.id !== id));
      void forget(id).catch(() => undefined);
      if (talk.id === id) setTalk(begun(talk.model));
    },
  };
}
