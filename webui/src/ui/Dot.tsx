import classes from "./Dot.module.css";

export type DotKind = "good" | "busy" | "warn" | "bad" | "none";

/** A state's colour, beside its word. */
export function Dot({ kind, className = "" }: { kind: DotKind; className?: string | undefined }) {
  return <span className={`${classes.dot} ${className}`} data-kind={kind} aria-hidden="true" />;
}
