import { useCallback, useEffect, useRef, useState } from "react";
import { tellFailure } from "../ui/tell";
import { surplus } from "./history/list";
import { forget, keep, loadAll } from "./history/store";
import { begun, type Conversation } from "./talk/conversation";

interface Known {
  /** The one that is open. */
  talk: Conversation;
  /** Those that are kept. */
  talks: Conversation[];
}

export type Change = (id: string, alter: (talk: Conversation) => Conversation) => void;

/** The chats of one key in this browser, and the one that is open. */
export function useChats(owner: string, model: string) {
  const [known, setKnown] = useState<Known>(() => ({ talk: begun(model, owner), talks: [] }));
  const now = useRef(known);
  const put = useCallback((next: Known) => {
    now.current = next;
    setKnown(next);
  }, []);

  useEffect(() => {
    const loaded = (kept: Conversation[]) => {
      const ids = new Set(now.current.talks.map((talk) => talk.id));
      put({
        ...now.current,
        talks: [...now.current.talks, ...kept.filter((talk) => !ids.has(talk.id))],
      });
    };
    void loadAll(owner).then(loaded, (error) => tellFailure("Earlier chats can't be read", error));
  }, [owner, put]);

  /** Stores it, too. What is one too many then goes. */
  const store = useCallback(
    (after: Conversation[]) => {
      const ids = new Set(after.map((talk) => talk.id));
      const talks = [...after, ...now.current.talks.filter((talk) => !ids.has(talk.id))];
      const gone = new Set(surplus(talks));
      const open = after.find((talk) => talk.id === now.current.talk.id) ?? now.current.talk;
      put({ talk: open, talks: talks.filter((talk) => !gone.has(talk)) });
      const work = [...after.filter((talk) => !gone.has(talk)).map(keep), ...[...gone].map(forget)];
      void Promise.all(work).catch((error) => tellFailure("The chat can't be kept", error));
    },
    [put],
  );

  /** As it is by now, which may be later than what was drawn. */
  const change: Change = useCallback(
    (id, alter) => {
      const { talk, talks } = now.current;
      const before = talk.id === id ? talk : talks.find((one) => one.id === id);
      if (!before) return; // deleted meanwhile
      const after = alter(before);
      if (talk.id === id) put({ ...now.current, talk: after });
      if (after.turns.length) store([after]);
    },
    [put, store],
  );

  return {
    ...known,
    change,
    /** The open one answers by this model from now on. */
    switchTo: useCallback(
      (model: string) => change(now.current.talk.id, (talk) => ({ ...talk, model })),
      [change],
    ),
    open: (talk: Conversation) => put({ ...now.current, talk }),
    begin: () => {
      const { talk } = now.current;
      put({ ...now.current, talk: { ...begun(talk.model, owner), params: talk.params } });
    },
    add: store,
    remove: (gone: Conversation) => {
      const { talk, talks } = now.current;
      put({
        talk: talk.id === gone.id ? begun(talk.model, owner) : talk,
        talks: talks.filter((one) => one.id !== gone.id),
      });
      void forget(gone).catch((error) => tellFailure("The chat can't be deleted", error));
    },
  };
}
