import { Box, Code, Group, Text } from "@mantine/core";
import type { InstanceEvent } from "../api/client";
import { bytes, exact, plural, seconds, when } from "../ui/format";
import { AnchorLink } from "../ui/links";
import { useNow } from "../ui/now";
import { stateWord } from "../ui/StateLabel";

/** What happened, and why. */
export function EventLine({ event, named }: { event: InstanceEvent; named: boolean }) {
  const now = useNow();
  const moved = event.from_state !== event.to_state;
  const details = Object.keys(event.details).length > 0;
  return (
    <Box component="article" py={8} aria-label={`${event.instance}: ${words(event.event)}`}>
      <Group gap="sm" wrap="wrap">
        <Text size="sm" c="dimmed" w={{ sm: 150 }} title={exact(event.at)}>
          {when(event.at, now)}
        </Text>
        {named && (
          <AnchorLink to="/instances/$name" params={{ name: event.instance }} size="sm" fw={600}>
            {event.instance}
          </AnchorLink>
        )}
        <Text size="sm" fw={500}>
          {words(event.event)}
        </Text>
        {moved && (
          <Text size="sm" c="dimmed">
            {stateWord(event.from_state)} → {stateWord(event.to_state)}
          </Text>
        )}
      </Group>
      <Text size="sm" className="breaks">
        {event.cause || measured(event)}
      </Text>
      {details && (
        <details>
          <summary>
            <Text span size="xs" c="dimmed">
              Details
            </Text>
          </summary>
          <Code block className="breaks">
            {JSON.stringify(event.details, null, 2)}
          </Code>
        </details>
      )}
    </Box>
  );
}

/** How much of a context was saved, restored or used, or a warm-up took; "" for other events. */
function measured({ event, details }: InstanceEvent): string {
  const { tokens, prompt_tokens: prompt, bytes: size, seconds: took } = details;
  const isWarmUp = event === "WarmedUp";
  if (!isWarmUp && !(event.startsWith("Context") && typeof tokens === "number")) return "";
  const count = Number(prompt ?? 0) + Number(tokens ?? 0);
  const parts = count || !isWarmUp ? [plural(count, "token")] : [];
  if (typeof size === "number") parts.push(bytes(size));
  if (typeof took === "number")
    parts.push(`${event === "ContextUsed" ? "saving about" : "in"} ${seconds(took)}`);
  return parts.join(", ");
}

/** "BecameReady" as "Became ready". */
export function words(name: string): string {
  const spaced = name.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}
