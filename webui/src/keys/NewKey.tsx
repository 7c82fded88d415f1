import { Alert, Button, Group, Modal, MultiSelect, Select, Stack, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { api, type Schemas, said } from "../api/client";
import { useView } from "../live/stream";
import { NumberField } from "../ui/NumberField";
import { useWork } from "../ui/work";

const DAY_S = 86_400;

interface Props {
  /** The instance that it is to be for, unless that is changed. */
  only?: string;
  close: () => void;
  made: (key: Schemas["NewKeyBody"]) => void;
}

export function NewKey({ only, close, made }: Props) {
  const rows = useView((view) => view.rows);
  const [name, setName] = useState(only ?? "");
  const [mode, setMode] = useState<Schemas["PermissionMode"]>(
    only === undefined ? "allow_all" : "per_instance",
  );
  const [instances, setInstances] = useState(only === undefined ? [] : [only]);
  const [days, setDays] = useState("0");
  const [priority, setPriority] = useState<number | string | undefined>(0);
  const { fault, run } = useWork();

  function create(event: FormEvent) {
    event.preventDefault();
    void run(async () => {
      const expires = Number(days) ? Math.round(Date.now() / 1000) + Number(days) * DAY_S : null;
      made(
        await said(
          api.POST("/api/v1/auth/keys", {
            body: {
              name,
              permission_mode: mode,
              instances: mode === "per_instance" ? instances : [],
              expires_at: expires,
              priority: Number(priority ?? 0),
            },
          }),
        ),
      );
    });
  }

  return (
    <Modal opened onClose={close} title="New key" centered>
      <form onSubmit={create}>
        <Stack>
          <TextInput
            label="Name"
            description="Who or what the key is for"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            required
            withAsterisk={false}
            data-autofocus
          />
          <Select
            label="Access"
            data={[
              { value: "allow_all", label: "All instances" },
              { value: "per_instance", label: "Selected instances" },
            ]}
            value={mode}
            onChange={(value) => setMode(value === "per_instance" ? value : "allow_all")}
            allowDeselect={false}
          />
          {mode === "per_instance" && (
            <MultiSelect
              label="Instances"
              data={[...rows.values()].map((row) => row.instance.name).sort()}
              value={instances}
              onChange={setInstances}
              searchable
            />
          )}
          <Select
            label="Expires"
            data={[
              { value: "0", label: "Never" },
              { value: "1", label: "In a day" },
              { value: "7", label: "In a week" },
              { value: "30", label: "In 30 days" },
              { value: "365", label: "In a year" },
            ]}
            value={days}
            onChange={(value) => setDays(value ?? "0")}
            allowDeselect={false}
          />
          <NumberField
            label="Priority"
            description="Each step doubles the key's share of the places"
            whole
            min={-10}
            max={10}
            value={priority}
            change={setPriority}
          />
          {fault && (
            <Alert color="red" role="alert">
              {fault}
            </Alert>
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" disabled={!name.trim() || typeof priority === "string"}>
              Create
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
