import { describe, expect, it } from "vitest";
import type { Instance, InstanceEvent } from "../api/client";
import type { Machine, Row } from "../live/view";
import { devicesOf } from "./devices";
import { failuresIn } from "./failures";
import { type History, hasRequests, highest, perSecond, reused, summary } from "./series";

function row(name: string, held: Partial<Instance["memory"]> | null, node = "main"): Row {
  const memory = held && { ram: 0, shared: 0, gpus: {}, ...held };
  return { instance: { id: name, name, node, state: "ready", held: memory } } as Row;
}

function machine(more: Partial<Machine>): Machine {
  return { ram_taken: 0, ram_budget: 100, gpus_taken: {}, gpus_budget: {}, ...more } as Machine;
}

describe("the bars", () => {
  it("show who has how much, with files that two map counted once", () => {
    const rows = [
      row("a", { ram: 10, shared: 20 }),
      row("b", { ram: 5, shared: 20 }),
      row("c", null),
    ];
    const [ram] = devicesOf(machine({ ram_taken: 35, next_out: { RAM: "b" } }), rows);
    expect(ram?.segments.map((one) => [one.name, one.size])).toEqual([
      ["a", 20],
      ["b", 15],
    ]);
    expect(ram?.next).toBe("b");
  });

  it("keep the devices of other machines apart", () => {
    const rows = [
      row("here", { ram: 10, gpus: { GPU0: 7 } }),
      row("there", { ram: 30, shared: 2, gpus: { GPU0: 4 } }, "box"),
    ];
    const budgets = { GPU0: 50, "box/RAM": 60, "box/GPU0": 40 };
    const found = devicesOf(machine({ ram_taken: 10, gpus_budget: budgets }), rows);
    const sizes = found.map((one) => [one.label, one.budget, one.segments.map((s) => s.size)]);
    expect(sizes).toEqual([
      ["Memory", 100, [10]],
      ["GPU0", 50, [7]],
      ["GPU0 of box", 40, [4]],
      ["Memory of box", 60, [32]],
    ]);
  });

  it("put the small ones together, but never who leaves first", () => {
    const rows = Array.from({ length: 30 }, (_, index) => row(`r${index}`, { ram: 100 - index }));
    const [ram] = devicesOf(machine({ ram_taken: 2565, next_out: { RAM: "r29" } }), rows);
    expect(ram?.segments).toHaveLength(8);
    expect(ram?.segments.find((one) => one.isNext)?.name).toBe("r29");
    expect(ram?.segments.reduce((sum, one) => sum + one.count, 0)).toBe(30);
    expect(ram?.segments.reduce((sum, one) => sum + one.size, 0)).toBe(2565);
  });
});

describe("the charts", () => {
  const history = {
    step_s: 60,
    start: 1200,
    until: 1290,
    requests: [120, 60],
    refused: [0, 0],
    prompt_tokens: [200, 0],
    cached_tokens: [50, 0],
  } as History;

  it("show rates, also of a step that is not over", () => {
    expect(perSecond(history, history.requests)).toEqual([2, 2]);
    expect(perSecond({ ...history, until: 1261 }, [0, 10])).toEqual([0, 1]);
  });

  it("show no share where nothing was asked", () => {
    expect(reused(history)).toEqual([25, null]);
  });

  it("are empty without requests", () => {
    expect(hasRequests(history)).toBe(true);
    expect(hasRequests({ ...history, requests: [0, 0] })).toBe(false);
    expect(hasRequests({ ...history, requests: [0, 0], refused: [0, 1] })).toBe(true);
  });

  it("begin at zero and end above the highest value", () => {
    expect(highest([[1, null], [10]])).toBeCloseTo(11);
    expect(highest([[null, 0]])).toBe(1);
    expect(highest([[20]], 100)).toBe(100);
    expect(summary([1, 5, 2, null], String)).toBe("latest 2, highest 5");
    expect(summary([null], String)).toBe("no values");
  });
});

describe("the last failures", () => {
  const event = (id: number, name: string, from: string, to: string) =>
    ({ id, event: name, from_state: from, to_state: to }) as InstanceEvent;

  it("are those that failed, the newest first", () => {
    const events = [
      event(1, "Exited", "ready", "failed"),
      event(2, "BecameReady", "starting", "ready"),
      event(3, "WarmUpFailed", "ready", "ready"),
      event(4, "Queued", "failed", "failed"),
      event(5, "Exited", "ready", "backoff"),
    ];
    expect(failuresIn(events, 2).map((one) => one.id)).toEqual([5, 3]);
    expect(failuresIn(events, 9).map((one) => one.id)).toEqual([5, 3, 1]);
  });
});
