import type { ApiError } from "../api/client";

type Refusal = Pick<ApiError, "message" | "details">;

/** Why the server refuses what a field says, by the field's path, such as `container.gpus`. */
export function faultAt(refusal: Refusal | undefined, path: string): string | undefined {
  const fields = refusal?.details.fields;
  if (!Array.isArray(fields)) return undefined;
  const isMeant = fields.some((field) => field === path || String(field).startsWith(`${path}.`));
  return isMeant ? refusal?.message : undefined;
}

interface OptionFault {
  message: string;
  /** The option that may be meant. */
  near: string;
}

/** Why the server refuses an option of the engine. */
export function optionFault(refusal: Refusal | undefined, name: string): OptionFault | undefined {
  const unknown = refusal?.details.unknown;
  if (typeof unknown === "object" && unknown !== null && name in unknown) {
    const near = String((unknown as Record<string, unknown>)[name] ?? "");
    return { message: "The engine does not have this option.", near };
  }
  if (refusal?.details.missing === name) return { message: refusal.message, near: "" };
  const message = faultAt(refusal, `backend_options.${name}`) ?? faultAt(refusal, name);
  return message ? { message, near: "" } : undefined;
}

/** Does the server refuse one of these fields? */
export function hasFault(refusal: Refusal | undefined, paths: readonly string[]): boolean {
  return paths.some((path) => faultAt(refusal, path) !== undefined);
}
