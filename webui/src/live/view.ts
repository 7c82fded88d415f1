import type { Instance, InstanceEvent, Job, Schemas } from "../api/client";

export type Live = Schemas["LiveBody"];
export type Numbers = Schemas["InstanceNumbers"];
export type Machine = Schemas["MachineNumbers"];
export type Rate = Schemas["RateBody"];

const EVENTS_KEPT = 1000;
const RATES_KEPT = 60;
const SAMPLES_KEPT = 300;

export interface Row {
  instance: Instance;
  leases: number;
  waiting: number;
  /** Unix seconds at which it is stopped as idle. */
  idleEnds: number | null;
  rates: Rate[];
}

/** All that the stream told until now. Rows that did not change stay the same objects. */
export interface View {
  rows: ReadonlyMap<string, Row>;
  /** Ids, by name. */
  order: readonly string[];
  machine: readonly Machine[];
  /** Oldest first. */
  events: readonly InstanceEvent[];
  jobs: readonly Job[];
}

export const NOTHING: View = { rows: new Map(), order: [], machine: [], events: [], jobs: [] };

/** `now`: Unix seconds when the message came. */
export function add(view: View, message: Live, now: number): View {
  const before = message.whole ? new Map<string, Row>() : view.rows;
  const changes =
    message.whole ||
    message.instances.length > 0 ||
    message.gone.length > 0 ||
    Object.keys(message.numbers).length > 0;
  let rows = before;
  let order = view.order;
  if (changes) {
    const next = new Map(before);
    for (const id of message.gone) next.delete(id);
    let renamed = message.whole || message.gone.length > 0;
    for (const instance of message.instances) {
      const known = next.get(instance.id) ?? view.rows.get(instance.id);
      renamed ||= !next.has(instance.id);
      next.set(instance.id, rowOf(instance, known, now));
    }
    for (const [id, numbers] of Object.entries(message.numbers)) {
      const row = next.get(id);
      if (row) next.set(id, withNumbers(row, numbers, message.whole, now));
    }
    rows = next;
    if (renamed) order = byName(next);
  }
  return {
    rows,
    order,
    machine: message.machine.length
      ? [...(message.whole ? [] : view.machine), ...message.machine].slice(-SAMPLES_KEPT)
      : view.machine,
    events: withEvents(view.events, message.events),
    jobs: message.jobs ?? view.jobs,
  };
}

/** Also of what was read apart, in any order; each once. */
export function withEvents(
  known: readonly InstanceEvent[],
  more: readonly InstanceEvent[],
): readonly InstanceEvent[] {
  if (more.length === 0) return known;
  const last = known.at(-1)?.id ?? -1;
  const follows = more.every((event, index) => event.id > (more[index - 1]?.id ?? last));
  if (follows) return [...known, ...more].slice(-EVENTS_KEPT);
  const byId = new Map([...known, ...more].map((event) => [event.id, event]));
  return [...byId.values()].sort((a, b) => a.id - b.id).slice(-EVENTS_KEPT);
}

function rowOf(instance: Instance, known: Row | undefined, now: number): Row {
  return {
    instance,
    leases: instance.leases,
    waiting: instance.waiting,
    idleEnds: instance.idle_left_s === null ? null : now + instance.idle_left_s,
    rates: instance.pid === null ? [] : (known?.rates ?? []), // what does not run has no speed
  };
}

function withNumbers(row: Row, numbers: Numbers, whole: boolean, now: number): Row {
  return {
    instance: row.instance,
    leases: numbers.leases,
    waiting: numbers.waiting,
    idleEnds: numbers.idle_left_s === null ? null : now + numbers.idle_left_s,
    rates:
      numbers.rates.length && row.instance.pid !== null
        ? [...(whole ? [] : row.rates), ...numbers.rates].slice(-RATES_KEPT)
        : row.rates,
  };
}

function byName(rows: ReadonlyMap<string, Row>): string[] {
  const names = [...rows.values()].map((row) => ({
    id: row.instance.id,
    key: row.instance.name.toLowerCase(),
  }));
  names.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return names.map(({ id }) => id);
}
