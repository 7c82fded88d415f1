import type { InstanceEvent } from "../api/client";

const STATES: string[] = ["failed", "backoff", "lost"];
const EVENTS = ["BecameUnhealthy", "StartGivenUp", "RestartRefused", "WarmUpFailed", "SleepFailed"];

/** The newest first, `most` of them. */
export function failuresIn(events: readonly InstanceEvent[], most: number): InstanceEvent[] {
  return events.filter(isFailure).slice(-most).reverse();
}

function isFailure(event: InstanceEvent): boolean {
  const failed = event.from_state !== event.to_state && STATES.includes(event.to_state);
  return failed || EVENTS.includes(event.event);
}
