import { type Conversation, NO_PARAMS, type Turn } from "./conversation";
import { type Former, upgraded } from "./upgrade";

const KIND = "llamactl chats";
export const LARGEST_FILE = 100 << 20; // bytes

/** Chats as a file, without whose they are. */
export function exported(talks: Conversation[]): string {
  const chats = talks.map(({ owner: _, ...talk }) => talk);
  return JSON.stringify({ kind: KIND, version: 2, chats }, null, 2);
}

/** The chats of a file that was exported here. Throws an Error that says what is wrong with it. */
export function imported(text: string, owner: string): Conversation[] {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not a JSON file: ${(error as Error).message}`);
  }
  const file = record(read);
  if (file && Array.isArray(file.messages)) return [chat(upgradedFrom(file), owner, "the chat")];
  if (file?.kind !== KIND || !Array.isArray(file.chats)) {
    throw new Error("This is not a file of chats; choose one that was exported from this page.");
  }
  if (file.version !== 2) {
    throw new Error(`This file has version ${String(file.version)}; this page reads version 2.`);
  }
  return file.chats.map((one, index) => chat(one, owner, `chat ${index + 1}`));
}

function upgradedFrom(file: Record<string, unknown>): unknown {
  if (!(file.messages as unknown[]).every(record)) throw new Error("Its messages are damaged.");
  return upgraded(file as unknown as Former, "");
}

function chat(value: unknown, owner: string, name: string): Conversation {
  const one = record(value);
  const fault = one ? faultIn(one) : "it is not an object";
  if (!one || fault)
    throw new Error(`The file is damaged: in ${name}, ${fault}. Nothing was imported.`);
  const params = { ...NO_PARAMS };
  const found = record(one.params) ?? {};
  for (const key of Object.keys(NO_PARAMS) as (keyof typeof NO_PARAMS)[]) {
    const isText = ["system", "schema", "tools"].includes(key);
    if (typeof found[key] === (isText ? "string" : "number")) params[key] = found[key] as never;
  }
  const { id, title, model, at, tip } = one as unknown as Conversation;
  const turns = (one.turns as Turn[]).map(turnOf);
  return { format: 2, id, owner, title, model, at, params, turns, tip };
}

function faultIn(one: Record<string, unknown>): string {
  for (const key of ["id", "title", "model", "tip"]) {
    if (typeof one[key] !== "string") return `"${key}" is not a text`;
  }
  if (typeof one.at !== "number" || !Number.isFinite(one.at)) return '"at" is not a time';
  if (!Array.isArray(one.turns)) return '"turns" is not a list';
  const known = new Set([""]);
  for (const [index, value] of one.turns.entries()) {
    const turn = record(value);
    const fault = turn ? turnFault(turn, known) : "is not an object";
    if (fault) return `turn ${index + 1} ${fault}`;
    known.add(String(turn?.id));
  }
  return known.has(String(one.tip)) ? "" : "the last turn is missing";
}

function turnFault(turn: Record<string, unknown>, known: Set<string>): string {
  if (typeof turn.id !== "string" || known.has(turn.id)) return "has no id of its own";
  if (typeof turn.parent !== "string" || !known.has(turn.parent)) return "follows none before it";
  if (turn.role !== "user" && turn.role !== "assistant") return "has an unknown role";
  if (typeof turn.text !== "string") return "has no text";
  const images = turn.images ?? [];
  const shown = Array.isArray(images) && images.every((url) => /^data:image\//.test(String(url)));
  if (!shown) return "has an image that is not in the file";
  const calls = turn.calls ?? [];
  const isCall = (call: unknown) => typeof record(call)?.name === "string";
  return Array.isArray(calls) && calls.every(isCall) ? "" : "has a damaged tool call";
}

/** Only what a turn has, and that only as it must be. */
function turnOf(turn: Turn): Turn {
  const text = (key: "model" | "reasoning" | "fault") =>
    typeof turn[key] === "string" ? { [key]: turn[key] } : {};
  const stats = record(turn.stats);
  const counted = ["tokens", "tokens_s", "first_s"].every(
    (key) => typeof stats?.[key] === "number",
  );
  return {
    id: turn.id,
    parent: turn.parent,
    role: turn.role,
    text: turn.text,
    ...text("model"),
    ...text("reasoning"),
    ...text("fault"),
    ...(turn.images?.length ? { images: turn.images } : {}),
    ...(turn.calls?.length
      ? {
          calls: turn.calls.map((call) => ({
            id: String(call.id ?? ""),
            name: call.name,
            arguments: String(call.arguments ?? ""),
          })),
        }
      : {}),
    ...(counted && turn.stats ? { stats: turn.stats } : {}),
    ...(turn.cut === "stopped" || turn.cut === "length" ? { cut: turn.cut } : {}),
  };
}

function record(value: unknown): Record<string, unknown> | undefined {
  const is = typeof value === "object" && value !== null && !Array.isArray(value);
  return is ? (value as Record<string, unknown>) : undefined;
}
