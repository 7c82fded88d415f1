import { Button, Group, Paper, Text } from "@mantine/core";
import { stream } from "../live/stream";
import { useQuestion } from "../ui/Ask";
import { plural } from "../ui/format";
import { type Action, allows, perform } from "./actions";

/** For several at once. */
export function BulkActions({ ids, clear }: { ids: string[]; clear: () => void }) {
  const [ask, question] = useQuestion();
  if (ids.length === 0) return null;
  const rows = ids.flatMap((id) => stream.row(id) ?? []);

  async function run(action: Action) {
    const able = rows.filter((row) => allows(row.instance, action));
    await Promise.all(able.map((row) => perform(action, row.instance.name)));
    if (action === "delete") clear();
  }

  return (
    <Paper withBorder p="xs">
      {question}
      <Group gap="xs">
        <Text size="sm" px={4}>
          {ids.length} selected
        </Text>
        {(["start", "stop", "restart"] as const).map((action) => (
          <Button
            key={action}
            size="xs"
            variant="default"
            disabled={!rows.some((row) => allows(row.instance, action))}
            onClick={() => run(action)}
          >
            {LABELS[action]}
          </Button>
        ))}
        <Button
          size="xs"
          variant="default"
          onClick={() =>
            ask({
              title: `Delete ${plural(ids.length, "instance")}?`,
              text: rows.map((row) => row.instance.name).join(", "),
              action: "Delete",
              run: () => run("delete"),
            })
          }
        >
          Delete selected
        </Button>
        <Button size="xs" variant="subtle" color="gray" onClick={clear}>
          Clear
        </Button>
      </Group>
    </Paper>
  );
}

const LABELS = {
  start: "Start selected",
  stop: "Stop selected",
  restart: "Restart selected",
} as const;
