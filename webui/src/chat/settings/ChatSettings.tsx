import { Stack, Text, Textarea } from "@mantine/core";
import { NumberField } from "../../ui/NumberField";
import type { Params } from "../talk/conversation";
import { schemaFault, toolsFault } from "../talk/request";
import { explained, type Sampling } from "./sampling";

interface Props {
  params: Params;
  sampling: Sampling | undefined;
  change: (next: Params) => void;
}

const NUMBERS = [
  { name: "temperature", label: "Temperature", min: 0, max: 5, step: 0.1 },
  { name: "top_p", label: "Top p", min: 0, max: 1, step: 0.05 },
  { name: "top_k", label: "Top k", min: 0, step: 1, whole: true },
  { name: "min_p", label: "Min p", min: 0, max: 1, step: 0.01 },
  { name: "max_tokens", label: "Max tokens", min: 1, whole: true },
] as const;

export function ChatSettings({ params, sampling, change }: Props) {
  return (
    <Stack>
      <Text size="sm" c="dimmed">
        For this chat, and for new ones.
      </Text>
      <Textarea
        label="System prompt"
        autosize
        minRows={3}
        maxRows={12}
        value={params.system}
        onChange={(event) => change({ ...params, system: event.currentTarget.value })}
      />
      {NUMBERS.map(({ name, ...rule }) => (
        <NumberField
          key={name}
          {...rule}
          description={explained(name, sampling)}
          value={params[name]}
          change={(value) => change({ ...params, [name]: typeof value === "number" ? value : "" })}
        />
      ))}
      <Textarea
        label="JSON schema"
        description="Answers follow it, if the engine supports response_format"
        classNames={{ input: "mono" }}
        autosize
        minRows={2}
        maxRows={12}
        spellCheck={false}
        value={params.schema}
        error={schemaFault(params.schema)}
        onChange={(event) => change({ ...params, schema: event.currentTarget.value })}
      />
      <Textarea
        label="Tools"
        description="A JSON list; calls are shown, not run"
        classNames={{ input: "mono" }}
        autosize
        minRows={2}
        maxRows={12}
        spellCheck={false}
        value={params.tools}
        error={toolsFault(params.tools)}
        onChange={(event) => change({ ...params, tools: event.currentTarget.value })}
      />
    </Stack>
  );
}
