import { expect, it } from "vitest";
import { nearest } from "./near";

const NAMES = ["ctx_size", "ctx_shift", "threads", "threads_batch", "flash_attn", "batch_size"];

it("a misspelt name has near ones, the nearest first", () => {
  expect(nearest("ctx_sise", NAMES)[0]).toBe("ctx_size");
  expect(nearest("thread", NAMES)[0]).toBe("threads");
  expect(nearest("flashattn", NAMES)).toEqual(["flash_attn"]);
  expect(nearest("flash_attention", NAMES)[0]).toBe("flash_attn");
});

it("what is like nothing has none", () => {
  expect(nearest("zzz", NAMES)).toEqual([]);
  expect(nearest("", NAMES)).toEqual([]);
  expect(nearest("ctx", [])).toEqual([]);
});
