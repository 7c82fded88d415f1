import { Alert, Card, Code, Group, Progress, Text } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconCheck, IconX } from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { api, messageOf, said } from "../api/client";
import { Copy } from "../ui/Copy";
import { bytes } from "../ui/format";

interface Props {
  name: string;
  body: Record<string, unknown>;
}

/** What it would be: by the server, as it is typed. */
export function Preview({ name, body }: Props) {
  const [asked] = useDebouncedValue(JSON.stringify({ name: name || "new", body }), 300);
  const { data, error } = useQuery({
    queryKey: ["preview", asked],
    queryFn: () => {
      const { name, body } = JSON.parse(asked);
      return said(
        api.POST("/api/v1/instances/{name}/preview", { params: { path: { name } }, body }),
      );
    },
    placeholderData: keepPreviousData,
    retry: false,
  });
  if (error) {
    return (
      <Alert color="red" title="This would be refused" role="status">
        {messageOf(error)}
      </Alert>
    );
  }
  if (!data) return null;
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
