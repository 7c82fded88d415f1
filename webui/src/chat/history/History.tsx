import { Button, FileButton, Group, Stack, Text, TextInput } from "@mantine/core";
import { IconDownload, IconSearch, IconUpload } from "@tabler/icons-react";
import { useMemo, useRef, useState } from "react";
import { useQuestion } from "../../ui/Ask";
import { download } from "../../ui/download";
import { plural } from "../../ui/format";
import { useNow } from "../../ui/now";
import { attempt, tell } from "../../ui/tell";
import type { Conversation } from "../talk/conversation";
import { exported, imported, LARGEST_FILE } from "../talk/transfer";
import { HistoryRow } from "./HistoryRow";
import { grouped, MOST_CHATS, matching } from "./list";

interface Props {
  talks: Conversation[];
  talk: Conversation;
  open: (talk: Conversation) => void;
  rename: (talk: Conversation, title: string) => void;
  remove: (talk: Conversation) => void;
  add: (talks: Conversation[]) => void;
}

export function History({ talks, talk, open, rename, remove, add }: Props) {
  const [query, setQuery] = useState("");
  const [ask, question] = useQuestion();
  const found = useMemo(() => matching(talks, query), [talks, query]);
  const groups = grouped(found, useNow() * 1000);
  const confirm = (gone: Conversation) =>
    ask({
      title: `Delete “${gone.title}”?`,
      text: "It is deleted from this browser, the only place where it is stored.",
      action: "Delete chat",
      run: () => remove(gone),
    });
  return (
    <Stack gap="sm">
      <TextInput
        aria-label="Search chats"
        placeholder="Search chats"
        leftSection={<IconSearch size={16} />}
        value={query}
        onChange={(event) => setQuery(event.currentTarget.value)}
      />
      {talks.length === 0 && (
        <Text c="dimmed" size="sm">
          No chats in this browser.
        </Text>
      )}
      {talks.length > 0 && found.length === 0 && (
        <Text c="dimmed" size="sm" role="status">
          No chat has these words.
        </Text>
      )}
      {groups.map(([label, members]) => (
        <Stack key={label} gap={2} role="group" aria-label={label}>
          <Text size="xs" c="dimmed" fw={600} px={8}>
            {label}
          </Text>
          {members.map((one) => (
            <HistoryRow
              key={one.id}
              talk={one}
              isOpen={one.id === talk.id}
              open={() => open(one)}
              rename={(title) => rename(one, title)}
              remove={() => confirm(one)}
            />
          ))}
        </Stack>
      ))}
      <Transfer talks={talks} owner={talk.owner} add={add} />
      <Text size="xs" c="dimmed">
        Stored in this browser only. The oldest go when there are more than {MOST_CHATS}, or more
        than 100 MB.
      </Text>
      {question}
    </Stack>
  );
}

interface TransferProps {
  talks: Conversation[];
  owner: string;
  add: (talks: Conversation[]) => void;
}

function Transfer({ talks, owner, add }: TransferProps) {
  const reset = useRef<() => void>(null);
  const read = (file: File | null) =>
    file &&
    attempt("The chats could not be imported", async () => {
      if (file.size > LARGEST_FILE) throw new Error("The file is larger than 100 MiB.");
      const found = imported(await file.text(), owner);
      add(found);
      tell(`${plural(found.length, "chat")} imported.`);
    }).finally(() => reset.current?.());
  return (
    <Group gap={4}>
      <FileButton accept="application/json,.json" onChange={read} resetRef={reset}>
        {(props) => (
          <Button
            {...props}
            size="compact-sm"
            variant="subtle"
            leftSection={<IconUpload size={14} />}
          >
            Import
          </Button>
        )}
      </FileButton>
      <Button
        size="compact-sm"
        variant="subtle"
        leftSection={<IconDownload size={14} />}
        disabled={talks.length === 0}
        onClick={() => download("chats.json", exported(talks))}
      >
        Export all
      </Button>
    </Group>
  );
}
