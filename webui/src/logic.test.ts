import { describe, expect, it } from "vitest";
import { asCurl, begun, requestOf, unfold } from "./chat/conversation";
import { changes, EMPTY, withOption, withOwn } from "./editor/definition";
import { crashAt, levelOf } from "./logs/level";
import { bytes, span } from "./ui/format";

describe("numbers for people", () => {
  it("says bytes and times in the units that count", () => {
    expect([bytes(0), bytes(1536), bytes(21 * 2 ** 30), bytes(null)]).toEqual([
      "0 B",
      "1.5 KiB",
      "21.0 GiB",
      "unknown",
    ]);
    expect([span(0), span(61), span(3600), span(90061), span(3720, 1)]).toEqual([
      "0 s",
      "1 min 1 s",
      "1 h",
      "1 d 1 h",
      "1 h",
    ]);
  });
});

describe("an update", () => {
  const before = { backend_options: { model: "/m", ctx_size: 512 }, own: { group: "a" } };

  it("says what differs, and null for what is taken away", () => {
    const after = withOwn(withOption(before, "ctx_size", 1024), "group", undefined);
    expect(changes(before, after)).toEqual({ backend_options: { ctx_size: 1024 }, group: null });
    expect(changes(before, withOption(before, "model", undefined))).toEqual({
      backend_options: { model: null },
    });
  });

  it("says nothing of what is the same", () => {
    expect(changes(before, before)).toEqual({});
    expect(changes(EMPTY, EMPTY)).toEqual({});
  });
});

describe("a log", () => {
  it("knows levels and where the last crash is", () => {
    expect([
      levelOf("E error: x"),
      levelOf("warning: y"),
      levelOf("--- start"),
      levelOf("z"),
    ]).toEqual(["error", "warning", "start", ""]);
    const lines = ["--- start 1", "a", "boom", "--- start 2", "b"];
    expect([crashAt(lines, false), crashAt(lines, true), crashAt(["a"], false)]).toEqual([
      2, 4, -1,
    ]);
  });
});

describe("a chat", () => {
  it("leaves failed answers and parameters that are not set out of the request", () => {
    const talk = {
      ...begun("m"),
      params: { system: "Be brief", temperature: 0, top_p: "", max_tokens: "" } as const,
      messages: [
        { role: "user", text: "it's" },
        { role: "assistant", text: "", fault: "no" },
      ] as const,
    };
    const request = requestOf({ ...talk, messages: [...talk.messages] });
    expect(request).toEqual({
      model: "m",
      temperature: 0,
      messages: [
        { role: "system", content: "Be brief" },
        { role: "user", content: "it's" },
      ],
    });
    expect(asCurl({ ...talk, messages: [...talk.messages] }, "http://h/")).toContain("it'\\''s");
  });

  it("folds what a model thinks", () => {
    expect(unfold("<think>hm</think>\n4")).toEqual({ reasoning: "hm", answer: "4" });
    expect(unfold("<think>hm")).toEqual({ reasoning: "hm", answer: "" });
    expect(unfold("4 <think>")).toEqual({ reasoning: "", answer: "4 <think>" });
  });
});
