import { Group, Text } from "@mantine/core";
import { IconAlertTriangle, IconCheck, IconX } from "@tabler/icons-react";
import type { Schemas } from "../api/client";

const SAID = {
  yes: { text: "Fits in memory", Icon: IconCheck, color: "var(--mantine-color-text)" },
  tight: { text: "Only just fits", Icon: IconAlertTriangle, color: "var(--mantine-color-text)" },
  no: { text: "Does not fit in memory", Icon: IconX, color: "var(--mantine-color-error)" },
};

/** Whether a model fits this machine; nothing where that is unknown. */
export function Fits({ fit }: { fit: Schemas["ChoiceBody"]["fit"] }) {
  if (!fit) return null;
  const { text, Icon, color } = SAID[fit];
  return (
    <Group gap={4} wrap="nowrap" c={color} component="span" display="inline-flex">
      <Icon size={14} aria-hidden="true" />
      <Text span size="xs" c="inherit">
        {text}
      </Text>
    </Group>
  );
}
