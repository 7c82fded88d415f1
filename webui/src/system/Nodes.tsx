import { Button, Card, Group, Table, Text, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { api, type Schemas, said } from "../api/client";
import { labelTexts } from "../editor/labels";
import { useQuestion } from "../ui/Ask";
import { bytes } from "../ui/format";
import { attempt } from "../ui/tell";

type Node = Schemas["NodeBody"];
const STATES = { here: "This server", up: "Up", away: "Away" } as const;

interface GpuProps {
  node: Node;
  name: string;
  size: number;
  put: (node: Node, device: string, action: "disable" | "enable") => void;
  ask: ReturnType<typeof useQuestion>[0];
}

function Gpu({ node, name, size, put, ask }: GpuProps) {
  const isOut = node.out_of_service?.includes(name) ?? false;
  const disable = () =>
    ask({
      title: `Take ${name} of ${node.name} out of service?`,
      text: "No start uses it until you put it back. What runs on it stays until it stops; an instance that names this GPU does not start.",
      action: "Take out of service",
      run: () => put(node, name, "disable"),
    });
  return (
    <Group gap={6} mt={6}>
      <Text size="xs" c="dimmed">
        {name} {bytes(size)}
        {isOut && ", out of service"}
      </Text>
      <Button
        size="compact-xs"
        variant="default"
        aria-label={isOut ? `Put ${name} back into service` : `Take ${name} out of service`}
        onClick={() => (isOut ? put(node, name, "enable") : disable())}
      >
        {isOut ? "Put back" : "Take out"}
      </Button>
    </Group>
  );
}

/** The machines of a cluster. Of a single one only what there is to do: its GPUs, or to resume it. */
export function Nodes() {
  const client = useQueryClient();
  const [ask, question] = useQuestion();
  const nodes = useQuery({
    queryKey: ["nodes"],
    queryFn: () => said(api.GET("/api/v1/nodes")),
    refetchInterval: 5_000,
  });
  const change = (title: string, asked: Parameters<typeof said>[0]) =>
    attempt(title, async () => {
      await said(asked);
      await client.invalidateQueries({ queryKey: ["nodes"] });
    });
  const named = (node: Node) => ({ params: { path: { name: node.name } } });
  const drain = (node: Node) =>
    change(`Could not drain ${node.name}`, api.POST("/api/v1/nodes/{name}/drain", named(node)));
  const resume = (node: Node) =>
    change(`Could not resume ${node.name}`, api.POST("/api/v1/nodes/{name}/resume", named(node)));
  const putDevice = (node: Node, device: string, action: "disable" | "enable") =>
    change(
      `Could not ${action} ${device} of ${node.name}`,
      api.POST(`/api/v1/nodes/{name}/devices/{device}/${action}`, {
        params: { path: { name: node.name, device } },
      }),
    );
  const giveUp = (node: Node) =>
    change(`Could not give up ${node.name}`, api.DELETE("/api/v1/nodes/{name}", named(node)));
  const isPlain = (node: Node) => !node.drained && Object.keys(node.gpus).length === 0;
  if (!nodes.data || (nodes.data.length < 2 && nodes.data.every(isPlain))) {
    return null;
  }
  return (
    <Card withBorder component="section" aria-label="Machines">
      {question}
      <Title order={2} size="h4">
        Machines
      </Title>
      <Table layout="fixed">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Machine</Table.Th>
            <Table.Th>State</Table.Th>
            <Table.Th>Instances</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {nodes.data.map((node) => (
            <Table.Tr key={node.name}>
              <Table.Th scope="row">
                {node.name}
                <Text size="xs" c="dimmed">
                  {[node.address, node.ram !== null && bytes(node.ram)].filter(Boolean).join(" · ")}
                </Text>
                {Object.keys(node.labels ?? {}).length > 0 && (
                  <Text size="xs" c="dimmed" className="breaks">
                    {labelTexts(node.labels).join(", ")}
                  </Text>
                )}
                {Object.entries(node.gpus).map(([name, size]) => (
                  <Gpu key={name} node={node} name={name} size={size} put={putDevice} ask={ask} />
                ))}
              </Table.Th>
              <Table.Td>
                {STATES[node.state]}
                {node.drained && ", drained"}
                <Group gap="xs" mt={4}>
                  {node.drained ? (
                    <Button size="xs" variant="default" onClick={() => resume(node)}>
                      Resume
                    </Button>
                  ) : (
                    <Button
                      size="xs"
                      variant="default"
                      onClick={() =>
                        ask({
                          title: `Drain ${node.name}?`,
                          text: "Nothing starts there until you resume it. Its instances finish their requests and start on other machines; those that may run nowhere else stop.",
                          action: "Drain",
                          run: () => drain(node),
                        })
                      }
                    >
                      Drain
                    </Button>
                  )}
                  {node.state === "away" && (
                    <Button
                      size="xs"
                      variant="default"
                      onClick={() =>
                        ask({
                          title: `Give up ${node.name}?`,
                          text: "Its instances count as stopped, and can start elsewhere. If the machine comes back, what still runs there is ended.",
                          action: "Give up",
                          run: () => giveUp(node),
                        })
                      }
                    >
                      Give up
                    </Button>
                  )}
                </Group>
              </Table.Td>
              <Table.Td className="breaks">{node.instances.join(", ") || "–"}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Card>
  );
}
