import { useEffect, useRef } from "react";
import type { Conversation } from "./talk/conversation";

const NEAR = 160; // pixels

/** Shows the end of a chat that is opened, and what is added there; who scrolls up is left there. */
export function useScroll({ id, turns }: Conversation) {
  const follows = useRef(true);
  const shown = useRef("");

  useEffect(() => {
    const onScroll = () => {
      const { scrollHeight } = document.documentElement;
      follows.current = scrollHeight - window.innerHeight - window.scrollY < NEAR;
    };
    const observer = new ResizeObserver(() => follows.current && toEnd());
    observer.observe(document.body);
    window.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      observer.disconnect();
      window.removeEventListener("scroll", onScroll);
    };
  }, []);

  const asks = turns.at(-1)?.role === "user";
  useEffect(() => {
    if (turns.length === 0) return;
    if (asks || shown.current !== id) follows.current = true;
    shown.current = id;
    if (follows.current) toEnd();
  }, [id, turns.length, asks]);
}

function toEnd() {
  window.scrollTo({ top: document.documentElement.scrollHeight });
}
