import { Card, Group, Stack, Text, Title, Tooltip } from "@mantine/core";
import { useMemo } from "react";
import { useView } from "../live/stream";
import { bytes } from "../ui/format";
import { AnchorLink } from "../ui/links";
import { stateWord } from "../ui/StateLabel";
import { COLOURS, onColour } from "./colours";
import classes from "./DeviceBars.module.css";
import { type Device, devicesOf, type Segment } from "./devices";

/** Who has how much of each device, and who leaves first. */
export function DeviceBars() {
  const machine = useView((view) => view.machine.at(-1));
  const rows = useView((view) => view.rows);
  const devices = useMemo(
    () => (machine ? devicesOf(machine, rows.values()) : []),
    [machine, rows],
  );
  if (!machine) return null;
  return (
    <Stack gap="sm">
      {devices.map((device) => (
        <Bar
          key={device.key}
          device={device}
          size={device.budget ?? (device.key === "RAM" ? machine.ram_total : null)}
        />
      ))}
    </Stack>
  );
}

/** `size`: of all of it; null where that is unknown. */
function Bar({ device, size }: { device: Device; size: number | null }) {
  const { budget, taken } = device;
  const free = Math.max(0, (size ?? taken) - taken);
  return (
    <Card withBorder padding="sm" component="section" aria-label={device.label}>
      <Group justify="space-between" gap="xs" mb={6}>
        <Title order={2} size="h5">
          {device.label}
        </Title>
        <Text size="sm">
          {bytes(taken)} used{budget === null ? ", no limit" : ` of ${bytes(budget)}`}
          {size !== null && `, ${bytes(free)} free`}
        </Text>
      </Group>
      <ul className={classes.bar}>
        {device.segments.map((one, index) => (
          <li key={one.name} className={classes.part} style={{ flex: `${one.size} 1 0` }}>
            <Part device={device} part={one} colour={colourOf(index)} />
          </li>
        ))}
        <li className={classes.free} style={{ flex: `${free} 1 0` }} aria-hidden="true" />
      </ul>
      <Group gap="4px 16px" mt={4} aria-hidden="true">
        {device.segments.map((one, index) => (
          <Text size="xs" key={one.name}>
            <span className={classes.swatch} style={{ background: colourOf(index) }} />
            {labelOf(one)} {bytes(one.size)}
          </Text>
        ))}
      </Group>
      <Text size="xs" c="dimmed" mt={4}>
        {device.segments.length === 0
          ? "No instance uses it."
          : device.next
            ? `Leaves first if a request needs room: ${device.next} (marked)`
            : "No instance would leave to make room."}
      </Text>
    </Card>
  );
}

function labelOf(part: Segment): string {
  return part.name || `${part.count} others`;
}

function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length] ?? COLOURS[0];
}

function Part({ device, part, colour }: { device: Device; part: Segment; colour: string }) {
  const label = labelOf(part);
  const words = [`${label}: ${bytes(part.size)} of ${device.label.toLowerCase()}`];
  if (part.state) words.push(stateWord(part.state).toLowerCase());
  if (part.isNext) words.push("leaves first");
  const look = {
    className: `${classes.segment} ${part.isNext ? classes.next : ""}`,
    style: { background: colour, color: onColour(colour) },
    "aria-label": words.join(", "),
    underline: "never",
  } as const;
  return (
    <Tooltip label={words.join(", ")} events={{ hover: true, focus: true, touch: false }}>
      {part.name ? (
        <AnchorLink to="/instances/$name" params={{ name: part.name }} {...look}>
          <span className={classes.label}>{label}</span>
        </AnchorLink>
      ) : (
        <AnchorLink to="/instances" {...look}>
          <span className={classes.label}>{label}</span>
        </AnchorLink>
      )}
    </Tooltip>
  );
}
