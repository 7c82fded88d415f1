import { ActionIcon, Group, Text } from "@mantine/core";
import { IconChevronLeft, IconChevronRight } from "@tabler/icons-react";
import type { Turn } from "../talk/conversation";

interface Props {
  all: Turn[];
  shown: Turn;
  show: (id: string) => void;
}

/** "2 / 3", and the way to the others. */
export function Versions({ all, shown, show }: Props) {
  const at = all.findIndex((turn) => turn.id === shown.id);
  const step = (label: string, to: number, Icon: typeof IconChevronLeft) => (
    <ActionIcon
      variant="subtle"
      color="gray"
      bg="transparent"
      aria-label={label}
      disabled={!all[to]}
      onClick={() => all[to] && show(all[to].id)}
    >
      <Icon size={16} />
    </ActionIcon>
  );
  return (
    <Group gap={0} wrap="nowrap" role="group" aria-label="Versions">
      {step("Previous version", at - 1, IconChevronLeft)}
      <Text size="xs" c="dimmed" aria-live="polite">
        {at + 1} / {all.length}
      </Text>
      {step("Next version", at + 1, IconChevronRight)}
    </Group>
  );
}
