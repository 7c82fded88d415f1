import { describe, expect, it } from "vitest";
import { changes, EMPTY, withOwn } from "./definition";
import { requestIn, requestText } from "./warmUp";

const WARM_UP = { body: { prompt: "Hello", max_tokens: 1 } };

describe("a warm-up", () => {
  it("is edited as JSON and comes back as it was", () => {
    expect(requestIn(requestText(WARM_UP))).toEqual(WARM_UP);
  });

  it("is none where nothing is typed, which takes it away", () => {
    const before = withOwn(EMPTY, "warm_up", WARM_UP);
    const after = withOwn(before, "warm_up", requestIn("  "));
    expect(requestText(after.own.warm_up)).toBe("");
    expect(changes(before, after)).toEqual({ warm_up: null });
  });

  it("stays a text while it is no JSON, for the server to refuse", () => {
    expect(requestIn('{"body": ')).toBe('{"body": ');
    expect(requestText('{"body": ')).toBe('{"body": ');
  });
});
