import { Alert, Button, Group, List, Modal, Stack, Switch, Textarea } from "@mantine/core";
import { useState } from "react";
import { api, type Schemas, said } from "../api/client";
import { useWork } from "../ui/work";
import { AllowUnknown } from "./AllowUnknown";
import { type Definition, read as readDefinition, withOwn } from "./definition";

interface Props {
  backend: Schemas["BackendBody"];
  close: () => void;
  /** `passes`: some of its options are unknown to the engine, and are to be passed on. */
  take: (found: Definition, passes: boolean) => void;
}

type Parsed = Schemas["ParsedBody"];

/** A command line from somewhere else fills the form. */
export function PasteDialog({ backend, close, take }: Props) {
  const [text, setText] = useState("");
  const [readings, setReadings] = useState<{ known: Parsed; all: Parsed }>();
  const [passes, setPasses] = useState(false);
  const [boxed, setBoxed] = useState(false);
  const { fault, run } = useWork();
  const found = readings && (passes ? readings.all : readings.known);
  const hasUnknown =
    readings && readings.all.not_understood.length < readings.known.not_understood.length;

  const read = (allow_unknown: boolean) =>
    said(
      api.POST("/api/v1/backends/{backend}/parse-command", {
        params: { path: { backend: backend.name as never }, query: { allow_unknown } },
        body: { command: text },
      }),
    );
  const use = (parsed: Parsed) => {
    const definition = readDefinition(parsed.options);
    const image = boxed ? parsed.image : "";
    take(image ? withOwn(definition, "container", { image, pull: "missing" }) : definition, passes);
    close();
  };
  const parse = () =>
    run(async () => {
      const known = await read(false);
      if (known.not_understood.length === 0 && !known.image) use(known);
      else setReadings({ known, all: await read(true) });
    });

  return (
    <Modal opened onClose={close} title="Paste a command line" size="lg" centered>
      <Stack>
        <Textarea
          label="Command line"
          description={
            backend.default
              ? "A llama-server command, also inside docker run; line breaks are fine."
              : "The program and its arguments; line breaks are fine."
          }
          autosize
          minRows={4}
          maxRows={14}
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setReadings(undefined);
          }}
          error={fault}
          data-autofocus
        />
        {found && found.not_understood.length > 0 && (
          <Alert color="orange" title="Some of it was not understood">
            <List size="sm">
              {found.not_understood.map((word) => (
                <List.Item key={word}>{word}</List.Item>
              ))}
            </List>
          </Alert>
        )}
        {found?.image && (
          <Switch
            label={`Run it in a container of ${found.image}`}
            description="As the command does; otherwise the engine of this machine runs it"
            checked={boxed}
            onChange={(event) => setBoxed(event.currentTarget.checked)}
          />
        )}
        {hasUnknown && <AllowUnknown allowed={passes} change={setPasses} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          {found ? (
            <Button onClick={() => use(found)}>
              {found.not_understood.length ? "Use the rest" : "Fill in the form"}
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
