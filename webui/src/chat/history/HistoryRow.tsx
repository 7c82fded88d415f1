import { ActionIcon, Button, Group, Text, TextInput } from "@mantine/core";
import { IconPencil, IconTrash } from "@tabler/icons-react";
import { type KeyboardEvent, useState } from "react";
import type { Conversation } from "../talk/conversation";

const LONGEST_TITLE = 100;

interface Props {
  talk: Conversation;
  isOpen: boolean;
  open: () => void;
  rename: (title: string) => void;
  remove: () => void;
}

export function HistoryRow({ talk, isOpen, open, rename, remove }: Props) {
  const [title, setTitle] = useState<string>();
  const end = (kept: boolean) => {
    if (kept && title?.trim()) rename(title.trim());
    setTitle(undefined);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter") end(true);
    if (event.key !== "Escape") return;
    event.stopPropagation(); // the drawer, if it is in one, stays
    end(false);
  };
  if (title !== undefined) {
    return (
      <TextInput
        size="xs"
        aria-label={`New title of ${talk.title}`}
        autoFocus
        maxLength={LONGEST_TITLE}
        value={title}
        onChange={(event) => setTitle(event.currentTarget.value)}
        onBlur={() => end(true)}
        onKeyDown={onKeyDown}
      />
    );
  }
  const action = (label: string, Icon: typeof IconTrash, run: () => void) => (
    <ActionIcon
      variant="subtle"
      color="gray"
      size="sm"
      aria-label={`${label} ${talk.title}`}
      onClick={run}
    >
      <Icon size={14} />
    </ActionIcon>
  );
  return (
    <Group wrap="nowrap" gap={2}>
      <Button
        size="compact-sm"
        h={30}
        variant={isOpen ? "light" : "subtle"}
        {...(!isOpen && { color: "gray", c: "inherit" })}
        fw={400}
        justify="flex-start"
        flex={1}
        miw={0}
        aria-current={isOpen}
        title={talk.title}
        onClick={open}
      >
        <Text span inherit truncate lh={1.5}>
          {talk.title}
        </Text>
      </Button>
      {action("Rename", IconPencil, () => setTitle(talk.title))}
      {action("Delete", IconTrash, remove)}
    </Group>
  );
}
