import type { Instance } from "../api/client";

/** The model that an instance is made of, or its program; short enough for a row. */
export function modelOf(instance: Instance): string {
  const given = optionsOf(instance);
  const named = given.model ?? given.hf_repo ?? given.model_path ?? given.command ?? "";
  const text = String(named);
  return text.slice(text.lastIndexOf("/") + 1);
}

export function optionsOf(instance: Instance): Record<string, unknown> {
  const given = instance.options.backend_options;
  return typeof given === "object" && given !== null ? (given as Record<string, unknown>) : {};
}

export function groupOf(instance: Instance): string {
  return typeof instance.options.group === "string" ? instance.options.group : "";
}

export function memoryOf(instance: Instance): number {
  const { ram, shared, gpus } = instance.memory;
  return ram + shared + Object.values(gpus).reduce((sum, size) => sum + size, 0);
}

/** Why it is as it is, in a line; "" where there is nothing to say. */
export function reasonOf(instance: Instance): string {
  if (instance.state === "failed" || instance.state === "backoff" || instance.state === "lost") {
    return instance.message;
  }
  if (instance.drain) return `finishing ${instance.drain.leases} requests first`;
  return "";
}
