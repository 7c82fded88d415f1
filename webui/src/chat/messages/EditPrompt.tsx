import { Button, Group, Textarea } from "@mantine/core";
import { useState } from "react";

interface Props {
  text: string;
  send: (text: string) => void;
  cancel: () => void;
}

export function EditPrompt({ text, send, cancel }: Props) {
  const [draft, setDraft] = useState(text);
  return (
    <>
      <Textarea
        aria-label="Edit prompt"
        autosize
        maxRows={20}
        autoFocus
        value={draft}
        onChange={(event) => setDraft(event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Escape" && cancel()}
      />
      <Group mt="xs" gap="xs">
        <Button size="xs" onClick={() => send(draft)}>
          Save and send
        </Button>
        <Button size="xs" variant="default" onClick={cancel}>
          Cancel
        </Button>
      </Group>
    </>
  );
}
