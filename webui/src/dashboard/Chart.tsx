import { Card, Group, Text, useComputedColorScheme } from "@mantine/core";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import classes from "./Chart.module.css";
import { highest, summary, type Values } from "./series";

export interface Line {
  label: string;
  values: Values;
  colour: string;
}

interface Props {
  title: string;
  /** Unix seconds. */
  at: number[];
  lines: Line[];
  format: (value: number) => string;
  /** The axis ends there; else above the highest value. */
  most?: number | undefined;
  /** Values that may be missing are drawn as points, too. */
  pointed?: boolean;
}

const HEIGHT = 180;
const KEYS: Record<string, (index: number, last: number) => number> = {
  ArrowLeft: (index) => index - 1,
  ArrowRight: (index) => index + 1,
  PageUp: (index) => index - 10,
  PageDown: (index) => index + 10,
  Home: () => 0,
  End: (_, last) => last,
};

const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A chart over time, from zero. The arrow keys move through it as the pointer does. */
export function Chart({ title, at, lines, format, most, pointed }: Props) {
  const scheme = useComputedColorScheme("light");
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const now = useRef({ at, lines, format, most });
  now.current = { at, lines, format, most };
  const [cursor, setCursor] = useState<{ index: number; left: number }>();
  const shape = lines.map((line) => `${line.label} ${line.colour}`).join();

  useEffect(() => {
    const div = place.current;
    if (!div) return;
    const made = new uPlot(
      options(div, scheme, now, pointed ?? false, (u) => {
        const { idx, left } = u.cursor;
        const isOn = idx !== null && idx !== undefined && left !== undefined && left >= 0;
        setCursor(isOn ? { index: idx, left: left + u.over.offsetLeft } : undefined);
      }),
      dataOf(now.current),
      div,
    );
    plot.current = made;
    const sized = new ResizeObserver(() =>
      made.setSize({ width: div.clientWidth, height: HEIGHT }),
    );
    sized.observe(div);
    return () => {
      sized.disconnect();
      made.destroy();
    };
  }, [scheme, pointed, shape]);
  useEffect(() => plot.current?.setData(dataOf({ at, lines })), [at, lines]);

  const last = at.length - 1;
  function move(event: KeyboardEvent) {
    const u = plot.current;
    if (!u) return;
    if (event.key === "Escape") return u.setCursor({ left: -10, top: -10 });
    const to = KEYS[event.key]?.(cursor?.index ?? last + 1, last);
    if (to === undefined) return;
    event.preventDefault();
    const index = Math.min(last, Math.max(0, to));
    u.setCursor({ left: u.valToPos(at[index] ?? 0, "x"), top: 1 });
  }
  const shown = cursor && cursor.index <= last ? cursor : undefined;
  const said = (index: number) =>
    lines.map((line) => `${line.label} ${valueAt(line, index, format)}`).join(", ");
  const index = shown?.index ?? last;
  return (
    <Card withBorder padding="sm">
      <Group justify="space-between" gap="xs" mb={4}>
        <Text size="sm" fw={600} component="h3">
          {title}
        </Text>
        <Text size="xs" c="dimmed">
          {lines.length > 1 &&
            lines.map((line) => (
              <span key={line.label} className={classes.named}>
                <span className={classes.swatch} style={{ background: line.colour }} />
                {line.label}
              </span>
            ))}
          {summary(lines[0]?.values ?? [], format)}
        </Text>
      </Group>
      <div
        ref={place}
        className={classes.chart}
        role="slider"
        tabIndex={0}
        aria-orientation="horizontal"
        aria-label={`${title}: ${lines.map((line) => `${line.label} ${summary(line.values, format)}`).join("; ")}`}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, last)}
        aria-valuenow={Math.max(0, index)}
        aria-valuetext={`${moment(at[index] ?? 0)}: ${said(index)}`}
        onKeyDown={move}
        onBlur={() => plot.current?.setCursor({ left: -10, top: -10 })}
      >
        {shown && (
          <div
            className={classes.tip}
            style={
              shown.left > (place.current?.clientWidth ?? 0) / 2
                ? { right: (place.current?.clientWidth ?? 0) - shown.left + 8 }
                : { left: shown.left + 8 }
            }
          >
            <div>{moment(at[shown.index] ?? 0)}</div>
            {lines.map((line) => (
              <div key={line.label}>
                <span className={classes.swatch} style={{ background: line.colour }} />
                {line.label} {valueAt(line, shown.index, format)}
              </div>
            ))}
          </div>
        )}
      </div>
    </Card>
  );
}

function moment(at: number): string {
  return MOMENT.format(new Date(at * 1000));
}

function valueAt(line: Line, index: number, format: (value: number) => string): string {
  const value = line.values[index];
  return value === null || value === undefined ? "none" : format(value);
}

type Shown = Pick<Props, "at" | "lines" | "format" | "most">;

function dataOf({ at, lines }: Pick<Shown, "at" | "lines">): uPlot.AlignedData {
  return [at, ...lines.map((line) => line.values)];
}

/** `now`: what is drawn at the moment of drawing. */
function options(
  div: HTMLElement,
  scheme: string,
  now: { readonly current: Shown },
  pointed: boolean,
  moved: (u: uPlot) => void,
): uPlot.Options {
  const text = scheme === "dark" ? "#c9c9c9" : "#495057";
  const grid = scheme === "dark" ? "#424242" : "#dee2e6";
  const axis: uPlot.Axis = {
    stroke: text,
    font: "12px system-ui, sans-serif",
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1 },
  };
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const time = (at: number) => {
    const date = new Date(at * 1000);
    return date.getHours() === 0 && date.getMinutes() === 0 ? day.format(date) : clock.format(date);
  };
  return {
    width: div.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      y: {
        range: () => [
          0,
          highest(
            now.current.lines.map((line) => line.values),
            now.current.most,
          ),
        ],
      },
    },
    axes: [
      { ...axis, size: 32, space: 70, values: (_, splits) => splits.map(time) },
      {
        ...axis,
        size: 76,
        space: 36,
        values: (_, splits) => splits.map((value) => now.current.format(value)),
      },
    ],
    series: [
      {},
      ...now.current.lines.map((line, index) => ({
        label: line.label,
        stroke: line.colour,
        width: 2,
        ...(index > 0 ? { dash: [6, 4] } : {}),
        ...(index === 0 && !pointed ? { fill: `${line.colour}22` } : {}),
        points: { show: pointed, size: 5, fill: line.colour },
      })),
    ],
    hooks: { setCursor: [moved] },
  };
}
