import { describe, expect, it } from "vitest";
import {
  asked,
  begun,
  type Conversation,
  isContinuable,
  NO_PARAMS,
  type Turn,
  thread,
  versions,
  withChanged,
  withShown,
  withTurn,
} from "./conversation";
import { type Chunk, hear, NOTHING_HEARD, unfold } from "./heard";
import { continuationOf, requestOf, schemaFault, toolsFault } from "./request";
import { asCurl, asMarkdown, asPython } from "./share";
import { exported, imported } from "./transfer";
import { upgraded } from "./upgrade";

const said = (talk: Conversation) => thread(talk).map((turn) => turn.text);

function answered(talk: Conversation, text: string, more: Partial<Turn> = {}): Conversation {
  return withTurn(talk, { parent: talk.tip, role: "assistant", text, model: "m", ...more });
}

const EMPTY = begun("m", "key");
const ASKED = asked(EMPTY, "one", []);
const TALK = answered(asked(answered(ASKED, "1"), "two", []), "2");

describe("a chat", () => {
  it("shows one branch; versions of a turn lead to the others", () => {
    const again = answered({ ...TALK, tip: "1" }, "uno");
    const [, first] = thread(again);
    expect([said(TALK), said(again)]).toEqual([
      ["one", "1", "two", "2"],
      ["one", "uno"],
    ]);
    expect(versions(again, first as Turn).map((turn) => turn.text)).toEqual(["1", "uno"]);
    expect(said(withShown(again, "2"))).toEqual(["one", "1", "two", "2"]); // with what followed it

    const edited = withTurn(TALK, { parent: "", role: "user", text: "three" });
    expect(said(edited)).toEqual(["three"]);
    expect(versions(edited, thread(edited)[0] as Turn)).toHaveLength(2);
  });

  it("leaves out an answer that failed when the next question is asked", () => {
    const failed = answered(ASKED, "", { fault: "no" });
    const next = asked(failed, "again", []);
    expect(said(next)).toEqual(["one", "again"]);
    expect(next.title).toBe("one");
  });

  it("can be continued where the same model was cut off, and only there", () => {
    const cut = answered(ASKED, "half", { cut: "length" });
    const tip = thread(cut).at(-1) as Turn;
    expect(isContinuable(cut, tip)).toBe(true);
    expect(isContinuable({ ...cut, model: "other" }, tip)).toBe(false);
    expect(isContinuable(asked(cut, "x", []), tip)).toBe(false);
    expect(isContinuable(TALK, thread(TALK).at(-1) as Turn)).toBe(false);
    const whole = withChanged(cut, { ...tip, text: "half and half" });
    expect(said(whole)).toEqual(["one", "half and half"]);
  });
});

describe("a request", () => {
  it("leaves out failed answers and parameters that are not set", () => {
    const params = { ...NO_PARAMS, system: "Be brief", temperature: 0, schema: "{", tools: "[]" };
    const talk = { ...answered(asked(EMPTY, "it's", []), "", { fault: "no" }), params } as const;
    expect(requestOf(talk)).toEqual({
      model: "m",
      temperature: 0,
      messages: [
        { role: "system", content: "Be brief" },
        { role: "user", content: "it's" },
      ],
    });
    expect(asCurl(talk, "http://h/")).toContain("it'\\''s");
  });

  it("has the schema, the tools, images and calls as OpenAI's API has them", () => {
    const params = { ...NO_PARAMS, schema: '{"type": "object"}', tools: '[{"type": "function"}]' };
    const calls = [{ id: "c1", name: "f", arguments: '{"a": true}' }];
    const talk = {
      ...answered(asked(EMPTY, "", ["data:image/png;base64,x"]), "", { calls }),
      params,
    };
    expect(requestOf(talk)).toEqual({
      model: "m",
      response_format: {
        type: "json_schema",
        json_schema: { name: "answer", schema: { type: "object" } },
      },
      tools: [{ type: "function" }],
      messages: [
        {
          role: "user",
          content: [{ type: "image_url", image_url: { url: "data:image/png;base64,x" } }],
        },
        {
          role: "assistant",
          content: "",
          tool_calls: [
            { id: "c1", type: "function", function: { name: "f", arguments: '{"a": true}' } },
          ],
        },
      ],
    });
    expect(asPython(talk, "http://h/")).toContain("extra_body=json.loads(");
    expect(asMarkdown(talk)).toContain('`f({"a": true})`');
  });

  it("for more has the answer last, even a broken one", () => {
    const talk = answered(ASKED, "half", { fault: "broke off" });
    const messages = [
      { role: "user", content: "one" },
      { role: "assistant", content: "half" },
    ];
    expect(continuationOf(talk, "llama_cpp")).toEqual({ model: "m", messages });
    expect(continuationOf(talk, "vllm")).toMatchObject({ continue_final_message: true });
  });

  it("is checked where it is typed", () => {
    expect([schemaFault(""), schemaFault("{}"), toolsFault("[{}]")]).toEqual(["", "", ""]);
    for (const text of ["{", "[]", "1", "null"]) expect(schemaFault(text)).toContain("JSON object");
    for (const text of ["{}", "[]", "[1]", "x"]) expect(toolsFault(text)).toContain("JSON list");
  });
});

describe("an answer", () => {
  const after = (chunks: Chunk[], begun = "") =>
    chunks.reduce((heard, chunk) => hear(heard, chunk, begun), NOTHING_HEARD);
  const text = (content: string): Chunk => ({ choices: [{ delta: { content } }] });

  it("grows by text, thoughts and calls, and says why it ends", () => {
    const call = (index: number, more: object) => ({
      choices: [{ delta: { tool_calls: [{ index, ...more }] } }],
    });
    const heard = after([
      { choices: [{ delta: { content: null } }] },
      { choices: [{ delta: { reasoning_content: "hm" } }] },
      text("a"),
      call(0, { id: "x", function: { name: "f", arguments: "{" } }),
      call(0, { function: { arguments: "}" } }),
      call(1, { id: "y", function: { name: "g", arguments: "" } }),
      { choices: [{ delta: {}, finish_reason: "length" }] },
      { choices: [], usage: { completion_tokens: 3 } },
    ]);
    expect(heard).toEqual({
      text: "a",
      reasoning: "hm",
      calls: [
        { id: "x", name: "f", arguments: "{}" },
        { id: "y", name: "g", arguments: "" },
      ],
      pieces: 5,
      finish: "length",
    });
  });

  it("that is continued comes with or without its beginning", () => {
    expect(after([text("A, B, C"), text(", D")], "A, B").text).toBe(", C, D");
    expect(after([text(", C"), text(", D")], "A, B").text).toBe(", C, D");
    expect(after([text("again"), text("again")], "againagain").text).toBe("againagain");
  });

  it("folds what a model thinks", () => {
    expect(unfold("<think>hm</think>\n4")).toEqual({ reasoning: "hm", answer: "4" });
    expect(unfold("<think>hm")).toEqual({ reasoning: "hm", answer: "" });
    expect(unfold("4 <think>")).toEqual({ reasoning: "", answer: "4 <think>" });
  });
});

const FORMER = {
  id: "old",
  title: "Old",
  model: "m",
  at: 1,
  params: { system: "s", temperature: 1, top_p: "", max_tokens: "" } as const,
  messages: [
    { role: "user", text: "q", images: ["data:image/png;base64,x"] },
    { role: "assistant", text: "a", stats: { tokens: 1, tokens_s: 2, first_s: 3 } },
  ] as never,
};

describe("a chat of an earlier version", () => {
  it("becomes one branch of its key's", () => {
    const talk = upgraded(FORMER, "key");
    expect([said(talk), talk.owner, talk.tip]).toEqual([["q", "a"], "key", "2"]);
    expect(talk.params).toEqual({ ...NO_PARAMS, system: "s", temperature: 1 });
    expect(thread(talk)[1]).toMatchObject({ model: "m", stats: { tokens: 1 } });
    expect(upgraded({ ...FORMER, messages: [] }, "key").tip).toBe("");
  });
});

describe("a file of chats", () => {
  it("comes back as it went, for the key that imports it", () => {
    const talk = answered(TALK, "x", {
      cut: "stopped",
      reasoning: "hm",
      calls: [{ id: "c", name: "f", arguments: "{}" }],
      stats: { tokens: 1, tokens_s: 2, first_s: 3 },
    });
    const text = exported([talk, EMPTY]);
    expect(text).not.toContain('"key"');
    expect(imported(text, "other")).toEqual([
      { ...talk, owner: "other" },
      { ...EMPTY, owner: "other" },
    ]);
    expect(said(imported(JSON.stringify(FORMER), "key")[0] as Conversation)).toEqual(["q", "a"]);
  });

  it("is refused as a unit, with what is wrong with it", () => {
    const broken = (alter: (chat: Record<string, never>) => void) => {
      const file = JSON.parse(exported([TALK]));
      alter(file.chats[0]);
      return JSON.stringify(file);
    };
    const turn = (index: number, more: object) =>
      broken((chat: Record<string, unknown>) => {
        Object.assign((chat.turns as object[])[index] as object, more);
      });
    const cases: [string, string][] = [
      ["{", "not a JSON file"],
      ["[]", "not a file of chats"],
      ['{"kind": "llamactl chats", "version": 3, "chats": []}', "version 3"],
      ['{"kind": "llamactl chats", "version": 2, "chats": [1]}', "in chat 1, it is not an object"],
      [JSON.stringify({ ...FORMER, messages: [1] }), "damaged"],
      [broken((chat) => delete chat.title), '"title" is not a text'],
      [broken((chat) => Object.assign(chat, { tip: "9" })), "the last turn is missing"],
      [turn(0, { parent: "3" }), "turn 1 follows none before it"],
      [turn(1, { id: "1" }), "turn 2 has no id of its own"],
      [turn(1, { role: "system" }), "turn 2 has an unknown role"],
      [turn(0, { images: ["https://evil.example/x"] }), "an image that is not in the file"],
      [turn(1, { calls: [1] }), "a damaged tool call"],
    ];
    for (const [text, message] of cases) expect(() => imported(text, "key")).toThrow(message);
  });

  it("leaves out what a turn does not have", () => {
    const file = JSON.parse(exported([TALK]));
    Object.assign(file.chats[0].turns[1], { stats: { tokens: "x" }, cut: "no", model: 1, evil: 1 });
    const [, turn] = thread(imported(JSON.stringify(file), "key")[0] as Conversation);
    expect(Object.keys(turn as Turn)).toEqual(["id", "parent", "role", "text"]);
  });
});
