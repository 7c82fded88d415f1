import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Instance = Schemas["InstanceBody"];
export type InstanceEvent = Schemas["EventBody"];
export type Job = Schemas["JobBody"];
export type Model = Schemas["ModelBody"];
export type Key = Schemas["KeyBody"];
export type Session = Schemas["SessionBody"];

/** Where we are served, below whatever prefix there is. */
export const base = new URL(".", document.baseURI).href;

export const api = createClient<paths>({ baseUrl: base.replace(/\/$/, "") });

/** What the server said, in its own words. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly details: Record<string, unknown> = {},
  ) {
    super(message);
  }
}

const ended = new Set<() => void>();

/** Called when the server no longer knows who we are. */
export function onSessionEnd(listener: () => void): () => void {
  ended.add(listener);
  return () => ended.delete(listener);
}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer's body. Throws ApiError. */
export async function said<T>(asked: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await asked;
  } catch {
    throw new ApiError("The server can't be reached.", 0, "unreachable");
  }
  const { data, error, response } = answer;
  if (response.ok) return data as T;
  throw failure(response.status, error);
}

/** As `fetch`, for what the typed client can't: streams. Throws ApiError, or AbortError. */
export async function open(path: string, init: RequestInit = {}): Promise<Response> {
  const answer = await fetch(`${base}${path}`, init).catch((error: unknown) => {
    if (init.signal?.aborted) throw error;
    throw new ApiError("The server can't be reached.", 0, "unreachable");
  });
  if (!answer.ok) throw failure(answer.status, await answer.json().catch(() => null));
  return answer;
}

/** From an error's body, in whatever form it came. A 401 means that the session has ended. */
export function failure(status: number, body: unknown): ApiError {
  if (status === 401) for (const listener of ended) listener();
  return errorOf(status, body);
}

/** The same, where a 401 is about something else than the session. */
export function errorOf(status: number, body: unknown): ApiError {
  const said = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const inner = said.error;
  const message =
    typeof inner === "string"
      ? inner
      : typeof inner === "object" && inner !== null && "message" in inner
        ? String(inner.message)
        : `The server responded with status ${status}.`;
  const code = typeof said.code === "string" ? said.code : "";
  return new ApiError(message, status, code, (said.details ?? {}) as Record<string, unknown>);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
