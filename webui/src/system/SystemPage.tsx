import { Alert, Anchor, Button, Card, SimpleGrid, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { api, base, type Schemas, said } from "../api/client";
import { useView } from "../live/stream";
import { bytes, exact, release, span } from "../ui/format";
import { useNow } from "../ui/now";
import { Page } from "../ui/Page";
import { Sparkline } from "../ui/Sparkline";
import { Contexts } from "./Contexts";
import { Nodes } from "./Nodes";
import { Settings } from "./Settings";

export function SystemPage() {
  const system = useQuery({ queryKey: ["system"], queryFn: () => said(api.GET("/api/v1/system")) });
  return (
    <Page title="System" lead="The server and its machine.">
      {system.data?.degraded.map((part) => (
        <Alert key={part} color="orange" title={`The ${part} is not working`} role="alert">
          Running instances are still served.
        </Alert>
      ))}
      <Machine />
      <Nodes />
      <Engines />
      <Contexts />
      {system.data && <About system={system.data} />}
      <Doctor />
      <Settings />
    </Page>
  );
}

function Machine() {
  const samples = useView((view) => view.machine);
  const last = samples.at(-1);
  if (!last) return null;
  const gpus = Object.entries(last.gpus_taken);
  return (
    <SimpleGrid cols={{ base: 1, sm: 3 }}>
      <Trend
        label="Memory used by instances"
        value={`${bytes(last.ram_taken)}${last.ram_budget ? ` of ${bytes(last.ram_budget)}` : ""}`}
        values={samples.map((one) => one.ram_taken)}
      />
      <Trend
        label="Free memory"
        value={`${bytes(last.ram_free)} of ${bytes(last.ram_total)}`}
        values={samples.map((one) => one.ram_free ?? 0)}
      />
      <Trend
        label="Free disk space"
        value={bytes(last.disk_free)}
        values={samples.map((one) => one.disk_free ?? 0)}
      />
      {gpus.map(([name, taken]) => (
        <Trend
          key={name}
          label={`Memory of ${name}`}
          value={`${bytes(taken)} of ${bytes(last.gpus_budget[name])}`}
          values={samples.map((one) => one.gpus_taken[name] ?? 0)}
        />
      ))}
    </SimpleGrid>
  );
}

function Trend({ label, value, values }: { label: string; value: string; values: number[] }) {
  return (
    <Card withBorder>
      <Text size="sm" c="dimmed" fw={600}>
        {label}
      </Text>
      <Text fw={600}>{value}</Text>
      <Sparkline fill values={values} />
      <Text size="xs" c="dimmed">
        the last {span(values.length * 2)}
      </Text>
    </Card>
  );
}

function Engines() {
  const engines = useQuery({
    queryKey: ["engines"],
    queryFn: () => said(api.GET("/api/v1/backends")),
  });
  return (
    <Card withBorder component="section" aria-label="Engines">
      <Title order={2} size="h4">
        Engines
      </Title>
      <Table layout="fixed">
        <Table.Thead>
          <Table.Tr>
            <Table.Th w={150}>Engine</Table.Th>
            <Table.Th>Program</Table.Th>
            <Table.Th>GPU</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {engines.data?.map((one) => (
            <Table.Tr key={one.name}>
              <Table.Th scope="row">
                {one.title}
                <Text size="xs" c="dimmed">
                  {one.version}
                </Text>
              </Table.Th>
              <Table.Td className="breaks">{one.program || "not installed"}</Table.Td>
              <Table.Td className="breaks">
                {one.gpu}
                <Text size="xs" c="dimmed">
                  {one.advice}
                </Text>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Card>
  );
}

function About({ system }: { system: Schemas["SystemBody"] }) {
  const now = useNow();
  const rows: [string, string][] = [
    ["Version", release(system)],
    ["Running since", `${exact(system.began)}, ${span(now - system.began)}`],
    ["Engine", system.engine],
    ["Machine", `${system.system}, ${system.cpus} processors`],
    ["Python", system.python],
    ["Data directory", system.data_dir],
    ["Process", String(system.pid)],
    ["Sign-in", system.auth ? "required" : "off: anyone who can reach this page has full access"],
  ];
  return (
    <Card withBorder component="section" aria-label="About">
      <Title order={2} size="h4">
        About
      </Title>
      <Table layout="fixed">
        <Table.Tbody>
          {rows.map(([label, value]) => (
            <Table.Tr key={label}>
              <Table.Th w={150} scope="row">
                {label}
              </Table.Th>
              <Table.Td className="breaks" style={{ whiteSpace: "pre-wrap" }}>
                {value}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      {system.api_docs && (
        <Anchor href={`${base}swagger/`} target="_blank" size="sm" mt="xs" underline="always">
          API documentation (OpenAPI)
        </Anchor>
      )}
    </Card>
  );
}

const MARKS = { ok: "OK", warning: "Warning", failure: "Error" } as const;

function Doctor() {
  const found = useQuery({
    queryKey: ["doctor"],
    queryFn: () => said(api.GET("/api/v1/doctor")),
    enabled: false,
  });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="xs">
        Doctor
      </Title>
      <div>
        <Button variant="default" onClick={() => found.refetch()} loading={found.isFetching}>
          Check the installation
        </Button>
      </div>
      <Stack gap="xs" mt="sm">
        {found.data?.map((one) => (
          <div key={`${one.about} ${one.said}`}>
            <Text size="sm">
              <Text span fw={600}>
                {MARKS[one.level]}
              </Text>{" "}
              · {one.about}: {one.said}
            </Text>
            {one.advice && (
              <Text size="sm" c="dimmed">
                {one.advice}
              </Text>
            )}
          </div>
        ))}
      </Stack>
    </Card>
  );
}
