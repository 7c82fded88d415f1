import { type Conversation, NO_PARAMS, type Params, type Turn } from "./conversation";

/** A chat as it was kept before there were versions and owners. */
export interface Former {
  id: string;
  title: string;
  model: string;
  at: number;
  params?: Partial<Params>;
  messages: Omit<Turn, "id" | "parent">[];
}

export function upgraded(former: Former, owner: string): Conversation {
  const { id, title, model, at, params, messages } = former;
  const turns = messages.map((message, index) => ({
    ...message,
    id: String(index + 1),
    parent: index ? String(index) : "",
    ...(message.role === "assistant" ? { model } : {}),
  }));
  const tip = turns.at(-1)?.id ?? "";
  return {
    format: 2,
    id,
    owner,
    title,
    model,
    at,
    params: { ...NO_PARAMS, ...params },
    turns,
    tip,
  };
}
