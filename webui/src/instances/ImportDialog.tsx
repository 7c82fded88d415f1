import { Button, Code, FileInput, Group, List, Modal, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { api, type Schemas, said } from "../api/client";
import { AllowUnknown } from "../editor/AllowUnknown";
import { tell } from "../ui/tell";
import { useWork } from "../ui/work";

type Changes = Schemas["ChangesBody"];

/** Definitions from a file: what they would change first, then the change. */
export default function ImportDialog({ close }: { close: () => void }) {
  const [set, setSet] = useState<Schemas["SetBody"]>();
  const [plan, setPlan] = useState<Changes>();
  const [allowUnknown, setAllowUnknown] = useState(false);
  const [offers, setOffers] = useState(false);
  const { fault, run } = useWork();

  const look = (file: File | null) =>
    run(async () => {
      setPlan(undefined);
      setSet(undefined);
      setOffers(false);
      setAllowUnknown(false);
      if (!file) return;
      const read = JSON.parse(await file.text()) as Schemas["SetBody"];
      setSet(read);
      try {
        setPlan(await put(read, { dry_run: true }));
      } catch (refusal) {
        setOffers(await passes(read));
        throw refusal;
      }
    });

  const allow = (allowed: boolean) =>
    run(async () => {
      setAllowUnknown(allowed);
      setPlan(undefined);
      if (set) setPlan(await put(set, { dry_run: true, allow_unknown: allowed }));
    });

  const apply = () =>
    run(async () => {
      if (!set) return;
      const done = await put(set, { allow_unknown: allowUnknown });
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
        {offers && <AllowUnknown allowed={allowUnknown} change={allow} />}
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

/** Is it only for its unknown options that a set is refused? */
async function passes(set: Schemas["SetBody"]): Promise<boolean> {
  try {
    await put(set, { dry_run: true, allow_unknown: true });
    return true;
  } catch {
    return false;
  }
}

function put(
  set: Schemas["SetBody"],
  query: { dry_run?: boolean; allow_unknown?: boolean },
): Promise<Changes> {
  return said(api.PUT("/api/v1/config/instances", { params: { query }, body: set as never }));
}
