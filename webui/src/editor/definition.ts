import type { Schemas } from "../api/client";

/** What a form holds of an instance: just what was given, as create and update take it. */
export interface Definition {
  backend_options: Record<string, unknown>;
  /** auto_restart, group, aliases and so on. */
  own: Record<string, unknown>;
}

export const EMPTY: Definition = { backend_options: {}, own: {} };

export function read(options: Record<string, unknown>): Definition {
  const { backend_options: given, ...own } = options;
  return { backend_options: isTable(given) ? { ...given } : {}, own };
}

export function bodyOf(definition: Definition): Schemas["InstanceDefinition"] {
  // what was typed is for the server to judge
  return { ...definition.own, backend_options: definition.backend_options } as never;
}

/** What an update must say: what differs, and null for what is taken away. */
export function changes(before: Definition, after: Definition): Schemas["InstanceChange"] {
  const another = before.own.backend_type !== after.own.backend_type; // which drops what it had
  const options = difference(another ? {} : before.backend_options, after.backend_options);
  const own = difference(before.own, after.own);
  return { ...own, ...(Object.keys(options).length ? { backend_options: options } : {}) } as never;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function difference(
  before: Record<string, unknown>,
  after: Record<string, unknown>,
): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const key of Object.keys(before)) if (!(key in after)) found[key] = null;
  for (const [key, value] of Object.entries(after)) {
    const was = before[key];
    if (JSON.stringify(was) === JSON.stringify(value)) continue;
    const isMerged = key === "container" && isTable(was) && isTable(value); // field by field
    const now = isMerged ? difference(was, value) : value;
    if (!isMerged || Object.keys(now as object).length) found[key] = now;
  }
  return found;
}

/** With this value; undefined takes it away. */
export function withOption(definition: Definition, name: string, value: unknown): Definition {
  const { [name]: _, ...rest } = definition.backend_options;
  return {
    ...definition,
    backend_options: value === undefined ? rest : { ...rest, [name]: value },
  };
}

export function withOwn(definition: Definition, name: string, value: unknown): Definition {
  const { [name]: _, ...rest } = definition.own;
  return { ...definition, own: value === undefined ? rest : { ...rest, [name]: value } };
}

/** For another kind of engine, to which the options of the former mean nothing. */
export function withBackend(definition: Definition, backend_type: string): Definition {
  return { own: { ...definition.own, backend_type }, backend_options: {} };
}

const IN_HUB = /^([\w.-]+\/[\w.-]+(?::[\w.-]+)?)(?:\/(.+))?$/;

/** Which model it is of, as it is typed: a path, `org/repo:QUANT` or `org/repo/file`. */
export function modelIn({ backend_options: given }: Definition): string {
  const { model, hf_repo: repo, hf_file: file } = given;
  return String(model ?? [repo, file].filter(Boolean).join("/"));
}

export function withModel(definition: Definition, typed: string): Definition {
  const { model: _, hf_repo: __, hf_file: ___, ...rest } = definition.backend_options;
  const [, repo, file] = IN_HUB.exec(typed) ?? [];
  const isFile = !file && typed.endsWith(".gguf"); // of a folder beside us
  const named =
    repo && !isFile ? { hf_repo: repo, ...(file ? { hf_file: file } : {}) } : { model: typed };
  return { ...definition, backend_options: typed ? { ...rest, ...named } : rest };
}
