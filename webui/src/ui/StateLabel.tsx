import type { Instance } from "../api/client";
import { Dot, type DotKind } from "./Dot";
import classes from "./StateLabel.module.css";

const WORDS: Record<string, string> = {
  stopped: "Stopped",
  starting: "Starting",
  ready: "Running",
  draining: "Draining",
  stopping: "Stopping",
  falling_asleep: "Falling asleep",
  asleep: "Asleep",
  backoff: "Waiting to restart",
  failed: "Failed",
  lost: "Lost",
};

const KINDS: Record<string, DotKind> = {
  ready: "good",
  starting: "busy",
  draining: "busy",
  stopping: "busy",
  falling_asleep: "busy",
  backoff: "warn",
  failed: "bad",
  lost: "bad",
};

export function stateWord(state: string): string {
  return WORDS[state] ?? state;
}

export function StateLabel({ instance }: { instance: Pick<Instance, "state"> }) {
  const kind = KINDS[instance.state] ?? "none";
  return (
    <span className={classes.label}>
      <Dot kind={kind} className={classes.dot} />
      {stateWord(instance.state)}
    </span>
  );
}
