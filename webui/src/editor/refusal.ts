import type { ApiError } from "../api/client";

type Refusal = Pick<ApiError, "message" | "details">;

/** Why the server refuses what a field says, by the field's path, such as `container.gpus`. */
export function faultAt(refusal: Refusal | undefined, path: string): string | undefined {
  const fields = refusal?.details.fields;
  if (!Array.isArray(fields)) return undefined;
  const isMeant = fields.some((field) => field === path || String(field).startsWith(`${path}.`));
  return isMeant ? refusal?.message : undefined;
}
