import type { Schemas } from "../api/client";
import { type Definition, withOwn } from "./definition";

/** As an instance defines it; arguments may also be one text, which the server splits. */
export type Container = Omit<NonNullable<Schemas["InstanceDefinition"]["container"]>, "args"> & {
  args?: string[] | string;
};

type Choices<Name extends "engine" | "pull"> = Record<NonNullable<Container[Name]>, string>;

export const ENGINES: Choices<"engine"> = {
  auto: "Docker if it runs, else Podman",
  docker: "Docker",
  podman: "Podman",
};

export const PULLS: Choices<"pull"> = {
  never: "Never",
  missing: "If the server lacks it",
  always: "Before each start",
};

type Defaults = Pick<Schemas["BackendBody"], "in_container">;

/** Does it run in a container? By what it says, or else by the settings of its backend. */
export function isContained({ own }: Definition, backend: Defaults | undefined): boolean {
  if (own.docker_enabled === false) return false;
  return Boolean(own.container || own.docker_enabled || backend?.in_container);
}

export function containerOf({ own }: Definition): Container {
  return (own.container ?? {}) as Container;
}

export function asProcess(definition: Definition, backend: Defaults | undefined): Definition {
  const enabled = backend?.in_container ? false : undefined;
  return withOwn(withOwn(definition, "container", undefined), "docker_enabled", enabled);
}

/** One that says nothing is that of the settings. */
export function asContainer(
  definition: Definition,
  container: Container,
  backend: Defaults | undefined,
): Definition {
  const given = Object.keys(container).length > 0;
  const enabled = given || backend?.in_container ? undefined : true;
  return withOwn(
    withOwn(definition, "container", given ? container : undefined),
    "docker_enabled",
    enabled,
  );
}

/** With this value; an empty one takes it away. */
export function withField(container: Container, name: keyof Container, value: unknown): Container {
  const { [name]: _, ...rest } = container;
  return Object.keys(value ?? {}).length === 0 ? rest : { ...rest, [name]: value };
}

export interface Mount {
  here: string;
  inside: string;
  writable: boolean;
}

/** From `/here`, `/here:/inside` or `/here:/inside:rw`. */
export function mountIn(text: string): Mount {
  const [here = "", inside = "", mode = ""] = text.split(":");
  return { here, inside: inside === here ? "" : inside, writable: mode === "rw" };
}

export function mountText({ here, inside, writable }: Mount): string {
  const source = here.trim();
  const target = inside.trim() || (writable ? source : "");
  return source + (target && `:${target}`) + (target && writable ? ":rw" : "");
}

/** A name and a value. */
export type Variable = [string, string];

export function variablesIn(table: Record<string, string> | undefined): Variable[] {
  return Object.entries(table ?? {});
}

export function tableOf(variables: Variable[]): Record<string, string> {
  return Object.fromEntries(
    variables.map(([name, value]) => [name.trim(), value] as const).filter(([name]) => name),
  );
}

/** Words as one line, from which a shell makes the same words. */
export function lineOf(words: string[] | string | undefined): string {
  if (typeof words === "string") return words;
  return (words ?? [])
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
}
