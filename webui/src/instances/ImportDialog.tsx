import { Button, Code, FileInput, Group, List, Modal, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { api, type Schemas, said } from "../api/client";
import { tell } from "../ui/tell";
import { useWork } from "../ui/work";

type Changes = Schemas["ChangesBody"];

/** Definitions from a file: what they would change first, then the change. */
export default function ImportDialog({ close }: { close: () => void }) {
  const [set, setSet] = useState<Schemas["SetBody"]>();
  const [plan, setPlan] = useState<Changes>();
  const { fault, run } = useWork();

  const look = (file: File | null) =>
    run(async () => {
      setPlan(undefined);
      if (!file) return;
      const read = JSON.parse(await file.text()) as Schemas["SetBody"];
      setSet(read);
      setPlan(await put(read, true));
    });

  const apply = () =>
    run(async () => {
      if (!set) return;
      const done = await put(set, false);
      const failed = Object.entries(done.failed);
      if (failed.length) {
        throw new Error(failed.map(([name, why]) => `${name}: ${why}`).join("\n"));
      }
      tell("Definitions imported.");
      close();
    });

  return (
    <Modal opened onClose={close} title="Import definitions" centered>
      <Stack>
        <Text size="sm">
          A file exported here or by <Code>llamactl export --json</Code>. No instances are deleted.
        </Text>
        <FileInput
          label="File"
          placeholder="Choose a file"
          accept="application/json,.json"
          onChange={look}
          error={fault}
        />
        {plan && (
          <List size="sm">
            <List.Item>New: {plan.create.join(", ") || "none"}</List.Item>
            <List.Item>Changed: {plan.update.join(", ") || "none"}</List.Item>
            <List.Item>Unchanged: {plan.unchanged.length}</List.Item>
          </List>
        )}
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button onClick={apply} disabled={!plan || plan.create.length + plan.update.length === 0}>
            Import
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

function put(set: Schemas["SetBody"], dryRun: boolean): Promise<Changes> {
  return said(
    api.PUT("/api/v1/config/instances", {
      params: { query: { dry_run: dryRun } },
      body: set as never,
    }),
  );
}
