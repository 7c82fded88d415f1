import { describe, expect, it } from "vitest";
import type { Instance, InstanceEvent } from "../api/client";
import { add, type Live, NOTHING, withEvents } from "./view";

function instance(id: string, name: string): Instance {
  return { id, name, leases: 0, waiting: 0, idle_left_s: 60 } as Instance;
}

function message(more: Partial<Live>): Live {
  return {
    whole: false,
    instances: [],
    gone: [],
    numbers: {},
    machine: [],
    events: [],
    jobs: null,
    ...more,
  };
}

const event = (id: number) => ({ id }) as InstanceEvent;

describe("what the stream tells", () => {
  it("begins with all there is, by name", () => {
    const view = add(
      NOTHING,
      message({ whole: true, instances: [instance("1", "b"), instance("2", "A")] }),
      100,
    );
    expect(view.order).toEqual(["2", "1"]);
    expect(view.rows.get("1")?.idleEnds).toBe(160);
  });

  it("leaves rows alone that did not change", () => {
    const before = add(
      NOTHING,
      message({ whole: true, instances: [instance("1", "a"), instance("2", "b")] }),
      0,
    );
    const after = add(before, message({ instances: [instance("2", "b")] }), 1);
    expect(after.rows.get("1")).toBe(before.rows.get("1"));
    expect(after.rows.get("2")).not.toBe(before.rows.get("2"));
    expect(after.order).toBe(before.order);
  });

  it("forgets what is gone, and what a whole message does not name", () => {
    const before = add(
      NOTHING,
      message({ whole: true, instances: [instance("1", "a"), instance("2", "b")] }),
      0,
    );
    expect(add(before, message({ gone: ["1"] }), 1).order).toEqual(["2"]);
    const whole = add(before, message({ whole: true, instances: [instance("2", "b")] }), 1);
    expect([...whole.rows.keys()]).toEqual(["2"]);
  });

  it("shows no speed of what does not run", () => {
    const rates = [{ at: 1, tokens_s: 9, first_byte_s: 1 }];
    const numbers = { "1": { leases: 0, waiting: 0, idle_left_s: null, rates } };
    const running = { ...instance("1", "a"), pid: 7 } as Instance;
    const stopped = { ...instance("1", "a"), pid: null } as Instance;
    const before = add(NOTHING, message({ whole: true, instances: [running], numbers }), 0);
    expect(before.rows.get("1")?.rates).toEqual(rates);
    const after = add(before, message({ instances: [stopped], numbers }), 1);
    expect(after.rows.get("1")?.rates).toEqual([]);
    expect(add(after, message({ instances: [running] }), 2).rows.get("1")?.rates).toEqual([]);
  });

  it("tells each event once, in order, after a break too", () => {
    expect(
      withEvents([event(1), event(3)], [event(2), event(3), event(4)]).map((e) => e.id),
    ).toEqual([1, 2, 3, 4]);
  });
});
