/** A chat as a tree: what is asked or answered again gets a brother, and `tip` says which branch is shown. */
export interface Conversation {
  format: 2;
  id: string;
  /** The id of the key that it belongs to. */
  owner: string;
  title: string;
  /** The model that answers next. */
  model: string;
  at: number;
  params: Params;
  turns: Turn[];
  /** The last turn of the branch that is shown; "" before the first. */
  tip: string;
}

export interface Turn {
  id: string;
  /** What it follows; "" for the first. Always an earlier turn of the list. */
  parent: string;
  role: "user" | "assistant";
  text: string;
  /** data: URLs */
  images?: string[];
  /** Who answered. */
  model?: string;
  /** What the model thought before it answered. */
  reasoning?: string;
  calls?: ToolCall[];
  stats?: Stats;
  fault?: string;
  /** Why it is not complete: the user stopped it, or it reached its limit of tokens. */
  cut?: "stopped" | "length";
}

export interface ToolCall {
  id: string;
  name: string;
  /** JSON, as the model wrote it. */
  arguments: string;
}

export interface Stats {
  tokens: number;
  tokens_s: number;
  first_s: number;
}

export interface Params {
  system: string;
  temperature: number | "";
  top_p: number | "";
  top_k: number | "";
  min_p: number | "";
  max_tokens: number | "";
  /** JSON of a schema that answers must follow. */
  schema: string;
  /** JSON of a list of tools, as OpenAI's API has them. */
  tools: string;
}

export const NO_PARAMS: Params = {
  system: "",
  temperature: "",
  top_p: "",
  top_k: "",
  min_p: "",
  max_tokens: "",
  schema: "",
  tools: "",
};

export function begun(model: string, owner: string): Conversation {
  return {
    format: 2,
    id: `${Date.now()}-${Math.random().toString(36).slice(2)}`,
    owner,
    title: "New chat",
    model,
    at: Date.now(),
    params: NO_PARAMS,
    turns: [],
    tip: "",
  };
}

/** The branch that is shown, from its first turn to its tip. */
export function thread(talk: Conversation, tip = talk.tip): Turn[] {
  const byId = new Map(talk.turns.map((turn) => [turn.id, turn]));
  const found: Turn[] = [];
  for (let turn = byId.get(tip); turn; turn = byId.get(turn.parent)) found.unshift(turn);
  return found;
}

/** With one more turn, which is shown. */
export function withTurn(talk: Conversation, turn: Omit<Turn, "id">): Conversation {
  const id = String(talk.turns.length + 1); // none is ever taken out
  return { ...talk, at: Date.now(), turns: [...talk.turns, { ...turn, id }], tip: id };
}

/** With this turn in the place of the one that has its id. */
export function withChanged(talk: Conversation, turn: Turn): Conversation {
  const turns = talk.turns.map((one) => (one.id === turn.id ? turn : one));
  return { ...talk, at: Date.now(), turns };
}

/** The versions of a turn, oldest first; itself among them. */
export function versions(talk: Conversation, turn: Turn): Turn[] {
  return talk.turns.filter((one) => one.parent === turn.parent && one.role === turn.role);
}

/** Shows this version, and what followed it last. */
export function withShown(talk: Conversation, id: string): Conversation {
  let tip = id;
  for (;;) {
    const next = talk.turns.findLast((turn) => turn.parent === tip);
    if (!next) return { ...talk, tip };
    tip = next.id;
  }
}

/** Where the next question goes: an answer that failed is left out. */
export function asked(talk: Conversation, text: string, images: string[]): Conversation {
  const tip = talk.turns.find((turn) => turn.id === talk.tip);
  const title = talk.turns.length === 0 ? titleOf(text) : talk.title;
  return withTurn(
    { ...talk, title },
    {
      parent: tip?.fault ? tip.parent : talk.tip,
      role: "user",
      text,
      ...(images.length ? { images } : {}),
    },
  );
}

/** Can the same model write on where this answer ends? */
export function isContinuable(talk: Conversation, turn: Turn): boolean {
  const isLast = turn.id === talk.tip && turn.role === "assistant";
  const isCut = turn.cut !== undefined || turn.fault !== undefined;
  return isLast && isCut && turn.text !== "" && !turn.calls && turn.model === talk.model;
}

export function titleOf(text: string): string {
  const line = text.trim().split("\n")[0] ?? "";
  return line.length > 48 ? `${line.slice(0, 47)}…` : line || "New chat";
}
