import classes from "./Sparkline.module.css";

const WIDTH = 72;
const HEIGHT = 22;

/** A line for the eye; the number beside it says the same to everyone. */
export function Sparkline({ values, fill }: { values: number[]; fill?: boolean }) {
  if (values.length < 2) return <span className={classes.empty} />;
  const highest = Math.max(...values, 1e-9);
  const step = WIDTH / (values.length - 1);
  const points = values.map(
    (value, index) =>
      `${(index * step).toFixed(1)},${(HEIGHT - 2 - (value / highest) * (HEIGHT - 4)).toFixed(1)}`,
  );
  return (
    <svg
      className={fill ? classes.wide : classes.line}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      {fill && (
        <polygon
          className={classes.area}
          points={`0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`}
        />
      )}
      <polyline points={points.join(" ")} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
