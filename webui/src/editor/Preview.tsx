import { Alert, Card, Code, Group, Progress, Text } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconCheck, IconX } from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, api, messageOf, type Schemas, said } from "../api/client";
import { Copy } from "../ui/Copy";
import { bytes } from "../ui/format";
import { AllowUnknown } from "./AllowUnknown";

interface Wanted {
  name: string;
  body: Record<string, unknown>;
  allowUnknown: boolean;
  /** What a new instance does not name yet is no mistake. */
  isNew?: boolean;
}

const NEXT: Record<string, string> = {
  model: "Choose a model to see the command and whether it fits in memory.",
  command: "Enter a command to see how it will run.",
  "container.image": "Enter the image of the container to see its command.",
};

/**
 * What it would be: by the server, as it is typed. `found` is why the server would refuse it,
 * `refusal` the same, but nothing while a new instance is merely not complete.
 */
export function usePreview({ name, body, allowUnknown, isNew }: Wanted) {
  const wanted = { name: name || "new", body, allow_unknown: allowUnknown };
  const [asked] = useDebouncedValue(JSON.stringify(wanted), 300);
  const { data, error, isPlaceholderData } = useQuery({
    queryKey: ["preview", asked],
    queryFn: () => {
      const { name, body, allow_unknown } = JSON.parse(asked);
      return said(
        api.POST("/api/v1/instances/{name}/preview", {
          params: { path: { name }, query: { allow_unknown } },
          body,
        }),
      );
    },
    placeholderData: keepPreviousData,
    retry: false,
  });
  const found = error instanceof ApiError ? error : undefined;
  const next = isNew ? NEXT[String(found?.details.missing)] : undefined;
  const isOfNow = !isPlaceholderData && asked === JSON.stringify(wanted);
  const exists = isOfNow && name.trim() !== "" && data?.exists === true;
  return { data, error, next, refusal: next ? undefined : found, found, exists };
}

interface Props {
  preview: ReturnType<typeof usePreview>;
  allowUnknown: boolean;
  setAllowUnknown: (allowed: boolean) => void;
}

export function Preview({ preview, allowUnknown, setAllowUnknown }: Props) {
  const { data, error, next, refusal } = preview;
  const [offers, setOffers] = useState(false); // once offered it stays, to be taken back
  if (!offers && (allowUnknown || refusal?.code === "unknown_option")) setOffers(true);
  return (
    <>
      {next ? (
        <Text size="sm" c="dimmed" role="status">
          {next}
        </Text>
      ) : error ? (
        <Alert color="red" title="This would be refused" role="status">
          {messageOf(error)}
        </Alert>
      ) : (
        data && <Outcome data={data} />
      )}
      {offers && <AllowUnknown allowed={allowUnknown} change={setAllowUnknown} />}
    </>
  );
}

function Outcome({ data }: { data: Schemas["PreviewBody"] }) {
  const need = data.ram + data.shared + Object.values(data.gpus).reduce((a, b) => a + b, 0);
  const command = data.command.join(" ");
  return (
    <Card withBorder role="status" aria-label="Preview">
      <Group justify="space-between">
        <Text fw={600}>Will it fit?</Text>
        <Group gap={4}>
          {data.fits === true && <IconCheck size={18} aria-hidden="true" />}
          {data.fits === false && <IconX size={18} aria-hidden="true" />}
          <Text fw={600} c={data.fits === false ? "var(--mantine-color-error)" : "inherit"}>
            {data.fits === null ? "Unknown" : data.fits ? "It fits" : "It does not fit"}
          </Text>
        </Group>
      </Group>
      <Text size="sm">
        {need ? `${bytes(need)} of memory` : "The memory is unknown until the model is known."}
        {data.budget && need ? ` of ${bytes(data.budget)}` : ""}
      </Text>
      {data.budget && need > 0 && (
        <Progress
          mt={6}
          value={Math.min(100, (100 * need) / data.budget)}
          color={data.fits === false ? "red" : "brand"}
          aria-label="Share of memory"
        />
      )}
      {data.obstacle && (
        <Alert mt="sm" color="orange">
          A start would fail now: {data.obstacle}.
        </Alert>
      )}
      {data.context_obstacle && (
        <Text size="sm" c="dimmed" mt="sm" className="breaks">
          Its context will be lost when it stops: {data.context_obstacle}.
        </Text>
      )}
      {data.sleep_obstacle && (
        <Text size="sm" c="dimmed" mt="sm" className="breaks">
          It will stop rather than sleep: {data.sleep_obstacle}.
        </Text>
      )}
      {data.restarts && (
        <Alert mt="sm" color="orange" title="The instance will be restarted">
          It finishes its running requests first.
        </Alert>
      )}
      <Group justify="space-between" mt="sm">
        <Text fw={600} size="sm">
          Command
        </Text>
        {command && <Copy value={command} label="Copy the command" />}
      </Group>
      {command ? (
        <Code block className="breaks">
          {command}
        </Code>
      ) : (
        <Text size="sm">{data.problem}</Text>
      )}
    </Card>
  );
}
