import { describe, expect, it } from "vitest";
import {
  changes,
  EMPTY,
  modelIn,
  withBackend,
  withModel,
  withOption,
  withOwn,
} from "./editor/definition";
import { groups, matching, onSeveral } from "./instances/filter";
import { add, NOTHING } from "./live/view";
import { crashAt, levelOf } from "./logs/level";
import { bytes, exact, release, span } from "./ui/format";

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

describe("a release", () => {
  it("says its commit and time where they are known", () => {
    const built = "2026-01-31T12:00:00+00:00";
    const at = exact(Date.parse(built) / 1000);
    expect([
      release({ version: "1.0", commit: "1a2b3c4", built }),
      release({ version: "1.0", commit: "unknown", built }),
      release({ version: "1.0", commit: "unknown", built: "unknown" }),
    ]).toEqual([`1.0 (1a2b3c4, ${at})`, `1.0 (${at})`, "1.0"]);
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

  it("gives all options where the engine is another, whose names are its own", () => {
    const after = withOption(withBackend(before, "command"), "command", "serve");
    expect(changes(before, after)).toEqual({
      backend_type: "command",
      backend_options: { command: "serve" },
    });
  });

  it("says nothing of what is the same", () => {
    expect(changes(before, before)).toEqual({});
    expect(changes(EMPTY, EMPTY)).toEqual({});
  });
});

describe("a model", () => {
  it("is a file or one of the hub, and reads as it was typed", () => {
    const given = (typed: string) => withModel(EMPTY, typed).backend_options;
    expect(given("/m/a.gguf")).toEqual({ model: "/m/a.gguf" });
    expect(given("models/a.gguf")).toEqual({ model: "models/a.gguf" });
    expect(given("org/repo:Q4_K_M")).toEqual({ hf_repo: "org/repo:Q4_K_M" });
    expect(given("org/repo/sub/a.gguf")).toEqual({ hf_repo: "org/repo", hf_file: "sub/a.gguf" });
    expect(given("")).toEqual({});
    for (const typed of ["/m/a.gguf", "org/repo:Q4_K_M", "org/repo/sub/a.gguf", ""]) {
      expect(modelIn(withModel(EMPTY, typed))).toBe(typed);
    }
  });

  it("takes the place of another, and of nothing else", () => {
    const before = { backend_options: { hf_repo: "a/b", hf_file: "c", threads: 2 }, own: {} };
    expect(withModel(before, "/m").backend_options).toEqual({ model: "/m", threads: 2 });
  });
});

describe("the list", () => {
  const one = (id: string, name: string, more: object) =>
    ({
      id,
      name,
      state: "stopped",
      status: "stopped",
      message: "",
      node: name === "Beta" ? "two" : "main",
      idle_left_s: null,
      options: { backend_options: { model: `/m/${name}.gguf` }, ...more },
    }) as never;
  const { rows, order } = add(
    NOTHING,
    {
      whole: true,
      instances: [one("1", "Beta", { group: "g" }), one("2", "alpha", {})],
      gone: [],
      numbers: {},
      machine: [],
      events: [],
      jobs: null,
    },
    0,
  );
  const found = (text: string, state = "all", group = "") =>
    matching(rows, order, { text, state, group });

  it("is in order, and finds by name, model, state and group", () => {
    expect(found("")).toEqual(["2", "1"]);
    expect([found(" BETA "), found("alpha.gguf"), found("none")]).toEqual([["1"], ["2"], []]);
    expect([found("two"), onSeveral(rows)]).toEqual([["1"], true]);
    expect([found("", "up"), found("", "down"), found("", "failed")]).toEqual([[], ["2", "1"], []]);
    expect([groups(rows), found("", "all", "g")]).toEqual([["g"], ["1"]]);
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
