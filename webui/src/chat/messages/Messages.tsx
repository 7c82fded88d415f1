import { useMemo } from "react";
import {
  type Conversation,
  isContinuable,
  thread,
  versions,
  withShown,
  withTurn,
} from "../talk/conversation";
import { continues } from "../talk/request";
import type { Coming, useAnswer } from "../useAnswer";
import type { Change } from "../useChats";
import { ComingView } from "./ComingView";
import { type Actions, MessageView } from "./MessageView";

interface Props {
  talk: Conversation;
  /** Of the talk's model; undefined if that is not known. */
  backend: string | undefined;
  coming: Coming | undefined;
  /** An answer is coming, here or in another chat. */
  busy: boolean;
  answers: Pick<ReturnType<typeof useAnswer>, "answer" | "more">;
  change: Change;
}

/** The branch that is shown; an answer that comes takes the place of what it continues or replaces. */
export function Messages({ talk, backend, coming, busy, answers, change }: Props) {
  const { answer, more } = answers;
  const actions = useMemo((): Actions | undefined => {
    if (busy) return undefined;
    return {
      again: (turn) => void answer({ ...talk, tip: turn.parent }),
      edit: ({ parent, role, images }, text) => {
        const next = withTurn(talk, { parent, role, text, ...(images ? { images } : {}) });
        change(talk.id, () => next);
        void answer(next);
      },
      more: (turn) => void more(talk, turn, backend ?? ""),
      show: (id) => change(talk.id, (now) => withShown(now, id)),
    };
  }, [talk, busy, answer, more, backend, change]);
  const shown = coming ? thread(talk, coming.parent) : thread(talk);
  return (
    <>
      {shown.map((turn) => (
        <MessageView
          key={turn.id}
          turn={turn}
          all={versions(talk, turn)}
          actions={actions}
          continuable={backend !== undefined && continues(backend) && isContinuable(talk, turn)}
        />
      ))}
      {coming && <ComingView coming={coming} />}
    </>
  );
}
