import { Alert, Button, Group, List, Modal, Stack, Textarea } from "@mantine/core";
import { useState } from "react";
import { api, type Schemas, said } from "../api/client";
import { useWork } from "../ui/work";
import type { Definition } from "./definition";
import { read } from "./definition";

interface Props {
  backend: Schemas["BackendBody"];
  close: () => void;
  take: (found: Definition) => void;
}

/** A command line from somewhere else fills the form. */
export function PasteDialog({ backend, close, take }: Props) {
  const [text, setText] = useState("");
  const [found, setFound] = useState<Schemas["ParsedBody"]>();
  const { fault, run } = useWork();

  const parse = () =>
    run(async () => {
      const parsed = await said(
        api.POST("/api/v1/backends/{backend}/parse-command", {
          params: { path: { backend: backend.name as never } },
          body: { command: text },
        }),
      );
      if (parsed.not_understood.length === 0) {
        take(read(parsed.options));
        close();
      } else {
        setFound(parsed);
      }
    });

  return (
    <Modal opened onClose={close} title="Paste a command line" size="lg" centered>
      <Stack>
        <Textarea
          label="Command line"
          description={
            backend.default
              ? "Of llama-server, also inside docker run; line breaks are fine."
              : "The program and its arguments; line breaks are fine."
          }
          autosize
          minRows={4}
          maxRows={14}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          error={fault}
          data-autofocus
        />
        {found && (
          <Alert color="orange" title="Some of it was not understood">
            <List size="sm">
              {found.not_understood.map((word) => (
                <List.Item key={word}>{word}</List.Item>
              ))}
            </List>
          </Alert>
        )}
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          {found ? (
            <Button
              onClick={() => {
                take(read(found.options));
                close();
              }}
            >
              Use the rest
            </Button>
          ) : (
            <Button onClick={parse} disabled={!text.trim()}>
              Fill in the form
            </Button>
          )}
        </Group>
      </Stack>
    </Modal>
  );
}
