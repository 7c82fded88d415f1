import type { Instance } from "../api/client";
import type { Machine, Row } from "../live/view";

const RAM = "RAM";
const MOST = 8; // segments of a bar; each must be wide enough to be hit on a phone

export interface Segment {
  /** "" for what is left of many. */
  name: string;
  size: number;
  count: number;
  isNext: boolean;
  state: string;
}

export interface Device {
  key: string;
  label: string;
  taken: number;
  /** null: there is no limit. */
  budget: number | null;
  segments: Segment[];
  /** Name of the instance that leaves first if room has to be made. */
  next: string;
}

/** What each device holds: the memory of this machine, its GPUs, those of other machines. */
export function devicesOf(machine: Machine, rows: Iterable<Row>): Device[] {
  const held = [...rows].map((row) => row.instance).filter((one) => one.held);
  const others = new Set([...Object.keys(machine.gpus_budget), ...Object.keys(machine.gpus_taken)]);
  const nextOut = machine.next_out ?? {};
  const devices = [
    device(RAM, machine.ram_taken, machine.ram_budget, inRam(held, others, machine.ram_taken)),
  ];
  for (const key of [...others].sort()) {
    const sizes = held.map((one): [Instance, number] => [one, sizeOn(one, key, others)]);
    devices.push(
      device(key, machine.gpus_taken[key] ?? 0, machine.gpus_budget[key] ?? null, sizes),
    );
  }
  return devices;

  function device(
    key: string,
    taken: number,
    budget: number | null,
    sizes: [Instance, number][],
  ): Device {
    const found = sizes
      .filter(([, size]) => size > 0)
      .map(([one, size]) => ({
        name: one.name,
        size,
        count: 1,
        isNext: one.id === nextOut[key],
        state: one.state,
      }));
    const next = found.find((one) => one.isNext)?.name ?? "";
    return { key, label: labelOf(key), taken, budget, segments: largest(found), next };
  }
}

/** By name; who leaves first is always among them, and the small ones are put together. */
function largest(found: Segment[]): Segment[] {
  const byName = (a: Segment, b: Segment) => (a.name < b.name ? -1 : 1);
  if (found.length <= MOST) return found.sort(byName);
  found.sort((a, b) => b.size - a.size || byName(a, b));
  const shown = found.filter((one, index) => index < MOST - 2 || one.isNext);
  const rest = found.filter((one) => !shown.includes(one));
  shown.sort(byName); // their sizes change a little all the time
  const size = rest.reduce((sum, one) => sum + one.size, 0);
  return [...shown, { name: "", size, count: rest.length, isNext: false, state: "" }];
}

/** On this machine. Files that several map count once, so each has its share of them. */
function inRam(held: Instance[], keys: Set<string>, taken: number): [Instance, number][] {
  const here = held.filter((one) => !isElsewhere(one, keys));
  const own = here.reduce((sum, one) => sum + (one.held?.ram ?? 0), 0);
  const mapped = here.reduce((sum, one) => sum + (one.held?.shared ?? 0), 0);
  const share = mapped ? Math.min(1, Math.max(0, taken - own) / mapped) : 0;
  return here.map((one) => [one, (one.held?.ram ?? 0) + (one.held?.shared ?? 0) * share]);
}

function sizeOn(one: Instance, key: string, keys: Set<string>): number {
  const device = isElsewhere(one, keys) ? after(key, one.node) : key;
  if (device === null || !one.held) return 0;
  return device === RAM ? one.held.ram + one.held.shared : (one.held.gpus[device] ?? 0);
}

function isElsewhere(one: Instance, keys: Set<string>): boolean {
  return [...keys].some((key) => key.startsWith(`${one.node}/`));
}

function after(key: string, node: string): string | null {
  return key.startsWith(`${node}/`) ? key.slice(node.length + 1) : null;
}

function labelOf(key: string): string {
  const [node, device] = key.includes("/") ? key.split("/", 2) : ["", key];
  const name = device === RAM ? "Memory" : (device ?? "");
  return node ? `${name} of ${node}` : name;
}
