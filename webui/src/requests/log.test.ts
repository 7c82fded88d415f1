import { expect, test } from "vitest";
import { bySlowest, type LoggedRequest, outcome, searchOf, speedOf, tokensOf } from "./log";

const ROW: LoggedRequest = {
  number: 1,
  id: "a-1",
  at: 0,
  sender: "key",
  key_id: "k",
  key: "laptop",
  instance: "chat",
  method: "POST",
  path: "/v1/chat/completions",
  model: "chat",
  stage: "over",
  status: 200,
  code: "",
  reason: "",
  queue_s: 0,
  first_token_s: 0.5,
  duration_s: 2.5,
  prompt_tokens: 30,
  cached_tokens: 0,
  generated_tokens: 20,
  received: 1,
  sent: 1,
  complete: true,
};

test.each([
  [{}, "200", "good"],
  [{ status: 404, code: "model_not_found" }, "404", "warn"],
  [{ status: 503, code: "queue_full" }, "503", "bad"],
  [{ status: 499, complete: false }, "client left", "none"],
  [{ status: 200, complete: false, code: "upstream_died" }, "broke off", "bad"],
  [{ status: 200, complete: false, code: "cancelled" }, "cancelled", "none"],
  [{ status: 403, code: "cancelled" }, "cancelled", "none"],
  [{ stage: "waiting", status: null }, "waiting for its model", "busy"],
  [{ stage: "of a later version", status: null }, "of a later version", "busy"],
])("the outcome of %o", (more, text, kind) => {
  expect(outcome({ ...ROW, ...more })).toEqual({ text, kind });
});

test("its speed is that of the answer, without the wait for it", () => {
  expect(speedOf(ROW)).toBe(10);
  expect(speedOf({ ...ROW, first_token_s: null })).toBeUndefined();
  expect(speedOf({ ...ROW, generated_tokens: 0 })).toBeUndefined();
  expect(speedOf({ ...ROW, duration_s: 0.5 })).toBeUndefined();
});

test("tokens say what was reused", () => {
  expect(tokensOf({ ...ROW, cached_tokens: 12 })).toBe("30 (12 reused) + 20");
  expect(tokensOf({ ...ROW, prompt_tokens: 0, generated_tokens: 0 })).toBe("");
});

test("an address that makes no sense asks for nothing", () => {
  expect(searchOf({ instance: 1, failed: "yes", sort: "prettiest" })).toEqual({});
  const all = { instance: "a", failed: true, sort: "slowest" };
  expect(searchOf(all)).toEqual(all);
});

test("the slowest come first, and the given order is kept", () => {
  const rows = [1, 3, 2].map((duration_s) => ({ ...ROW, duration_s }));
  expect(bySlowest(rows).map((row) => row.duration_s)).toEqual([3, 2, 1]);
  expect(rows[0]?.duration_s).toBe(1);
});
