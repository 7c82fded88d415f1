import { Button, Card, Group, Text, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { api, said } from "../api/client";
import { useQuestion } from "../ui/Ask";
import { bytes, plural } from "../ui/format";
import { attempt } from "../ui/tell";

/** The disk that the contexts of all instances take. */
export function Contexts() {
  const client = useQueryClient();
  const [ask, question] = useQuestion();
  const kept = useQuery({
    queryKey: ["contexts"],
    queryFn: () => said(api.GET("/api/v1/contexts")),
    staleTime: 0,
  });
  const remove = () =>
    attempt("Could not remove the contexts", async () => {
      await said(api.DELETE("/api/v1/contexts"));
      await client.invalidateQueries({ queryKey: ["contexts"] });
    });
  if (!kept.data) return null;
  const size = bytes(kept.data.reduce((sum, one) => sum + one.size, 0));
  const instances = new Set(kept.data.map((one) => one.instance_id)).size;
  return (
    <Card withBorder component="section" aria-label="Kept contexts">
      {question}
      <Group justify="space-between" align="flex-start">
        <div>
          <Title order={2} size="h4">
            Kept contexts
          </Title>
          <Text size="sm">
            {instances === 0
              ? "Nothing is kept of conversations now."
              : `${size} on the disk, of ${plural(instances, "instance")}`}
          </Text>
        </div>
        {instances > 0 && (
          <Button
            variant="default"
            onClick={() =>
              ask({
                title: "Remove all kept contexts?",
                text: `This frees ${size}. After their next start, instances compute their prompts again.`,
                action: "Remove",
                run: remove,
              })
            }
          >
            Remove all
          </Button>
        )}
      </Group>
    </Card>
  );
}
