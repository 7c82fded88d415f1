import { Button, Card, Group, Text } from "@mantine/core";
import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { api, type Instance, said } from "../api/client";
import { useQuestion } from "../ui/Ask";
import { ago, bytes, plural, span } from "../ui/format";
import { useNow } from "../ui/now";
import { attempt } from "../ui/tell";

/** What is kept of its conversations for its next start, or why nothing can be. */
export function KeptContext({ instance }: { instance: Instance }) {
  const client = useQueryClient();
  const now = useNow();
  const [ask, question] = useQuestion();
  const { name, context_obstacle: obstacle } = instance;
  const kept = useQuery({
    queryKey: ["contexts", instance.id, instance.since], // it changes with the state
    queryFn: () => said(api.GET("/api/v1/contexts", { params: { query: { instance: name } } })),
    placeholderData: keepPreviousData,
    staleTime: 0,
  });
  const remove = () =>
    attempt("Could not remove the context", async () => {
      await said(api.DELETE("/api/v1/contexts", { params: { query: { instance: name } } }));
      await client.invalidateQueries({ queryKey: ["contexts"] });
    });
  const rows = kept.data ?? [];
  if (rows.length === 0 && !obstacle) return null;
  const tokens = rows.reduce((sum, one) => sum + one.tokens, 0);
  const size = rows.reduce((sum, one) => sum + one.size, 0);
  const saved = Math.max(...rows.map((one) => one.saved_at));
  const reused = rows[0]?.reused_at ?? null;
  const spared = rows[0]?.spared_s ?? 0;
  const slots = rows.length > 1 ? ` in ${rows.length} slots` : "";
  return (
    <Card withBorder mb="md" component="section" aria-label="Kept context">
      {question}
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <div>
          <Text fw={600} size="sm">
            Kept context
          </Text>
          {rows.length > 0 && (
            <Text size="sm">
              {plural(tokens, "token")}
              {slots}, {bytes(size)}, saved {ago(saved, now)}
            </Text>
          )}
          {reused !== null && (
            <Text size="sm">
              Last used {ago(reused, now)}
              {spared >= 1 && `; about ${span(spared)} of computing spared so far`}
            </Text>
          )}
          {obstacle && (
            <Text size="sm" c="dimmed" className="breaks">
              Lost when it stops: {obstacle}.
            </Text>
          )}
        </div>
        {rows.length > 0 && (
          <Button
            size="xs"
            variant="default"
            onClick={() =>
              ask({
                title: `Remove the kept context of ${name}?`,
                text: `This frees ${bytes(size)}. After its next start, ${name} computes its prompts again.`,
                action: "Remove",
                run: remove,
              })
            }
          >
            Remove
          </Button>
        )}
      </Group>
    </Card>
  );
}
