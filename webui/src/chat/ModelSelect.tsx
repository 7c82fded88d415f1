import { Select } from "@mantine/core";
import type { ChatModel } from "./models";

interface Props {
  models: ChatModel[];
  isPending: boolean;
  model: string;
  choose: (name: string) => void;
}

export function ModelSelect({ models, isPending, model, choose }: Props) {
  const data = models.map((one) => ({
    value: one.name,
    label: one.ready ? one.name : `${one.name} (starts on demand)`,
  }));
  return (
    <Select
      aria-label="Instance"
      placeholder={isPending ? "Loading…" : "No instances yet"}
      data={data}
      value={model || null}
      onChange={(name) => name && choose(name)}
      allowDeselect={false}
      searchable
      w={{ base: 150, sm: 280 }}
    />
  );
}
