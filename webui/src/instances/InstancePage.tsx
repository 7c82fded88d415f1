import {
  Alert,
  Card,
  Code,
  Divider,
  Group,
  Loader,
  Paper,
  SimpleGrid,
  Tabs,
  Text,
} from "@mantine/core";
import { IconMessage, IconPencil } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useMemo } from "react";
import { EventLine } from "../activity/EventLine";
import { PlanCard } from "../activity/PlanCard";
import { api, type Instance, said } from "../api/client";
import { containerOf, ENGINES } from "../editor/container";
import { read } from "../editor/definition";
import { useConnection, useRowNamed, useView } from "../live/stream";
import { type Row, withEvents } from "../live/view";
import { LogView } from "../logs/LogView";
import { Copy } from "../ui/Copy";
import { Empty } from "../ui/Empty";
import { bytes, rate, seconds, span } from "../ui/format";
import { AnchorLink, ButtonLink } from "../ui/links";
import { useNow } from "../ui/now";
import { Page } from "../ui/Page";
import { Sparkline } from "../ui/Sparkline";
import { StateLabel } from "../ui/StateLabel";
import { servedAs } from "./actions";
import { KeptContext } from "./KeptContext";
import { RowActions } from "./RowActions";
import { memoryOf } from "./words";

const Connect = lazy(() =>
  import("../connect/Connect").then((module) => ({ default: module.Connect })),
);

const Charts = lazy(() =>
  import("../dashboard/Charts").then((module) => ({ default: module.Charts })),
);

export function InstancePage() {
  const { name } = useParams({ from: "/instances/$name" });
  const { tab } = useSearch({ from: "/instances/$name" });
  const navigate = useNavigate();
  const row = useRowNamed(name);
  const connection = useConnection();
  if (!row) {
    return (
      <Page title={name}>
        {connection !== "connecting" && (
          <Empty title="This instance does not exist">
            <Text>It may have been deleted.</Text>
            <ButtonLink to="/instances">All instances</ButtonLink>
          </Empty>
        )}
      </Page>
    );
  }
  const { instance } = row;
  return (
    <Page
      title={instance.name}
      lead={<StateLabel instance={instance} />}
      actions={
        <>
          <ButtonLink
            to="/chat"
            search={{ model: servedAs(instance) }}
            leftSection={<IconMessage size={16} aria-hidden="true" />}
          >
            Chat
          </ButtonLink>
          <ButtonLink
            to="/instances/$name/edit"
            params={{ name: servedAs(instance) }}
            variant="default"
            leftSection={<IconPencil size={16} aria-hidden="true" />}
          >
            Edit
          </ButtonLink>
          <RowActions instance={instance} gone={() => navigate({ to: "/instances" })} />
        </>
      }
    >
      <Tabs
        value={tab ?? "overview"}
        onChange={(next) =>
          navigate({
            to: "/instances/$name",
            params: { name },
            search: { tab: next ?? "overview" },
            replace: true,
          })
        }
        keepMounted={false}
      >
        <Tabs.List mb="md">
          <Tabs.Tab value="overview">Overview</Tabs.Tab>
          <Tabs.Tab value="charts">Charts</Tabs.Tab>
          <Tabs.Tab value="connect">Connect</Tabs.Tab>
          <Tabs.Tab value="log">Log</Tabs.Tab>
          <Tabs.Tab value="events">Events</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="overview">
          <Overview row={row} />
        </Tabs.Panel>
        <Tabs.Panel value="charts">
          <Suspense fallback={<Loader aria-label="Loading" />}>
            <Charts instance={instance.name} />
          </Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="connect">
          <Suspense fallback={<Loader aria-label="Loading" />}>
            <Connect instance={instance} />
          </Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="log">
          <LogView name={instance.name} failed={instance.state === "failed"} />
        </Tabs.Panel>
        <Tabs.Panel value="events">
          <Events instance={instance} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function Overview({ row }: { row: Row }) {
  const { instance, rates } = row;
  const now = useNow();
  const last = rates.at(-1);
  const command = instance.command.join(" ");
  return (
    <>
      <Failure instance={instance} />
      <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }} mb="md">
        <Fact label="State">
          {span(now - instance.since)}
          <Text size="xs" c="dimmed">
            wanted: {instance.desired}
          </Text>
        </Fact>
        <Fact label="Memory">
          {bytes(memoryOf(instance))}
          <Text size="xs" c="dimmed">
            {bytes(instance.memory.shared)} of it mapped from files
          </Text>
        </Fact>
        <Fact label="Requests">
          {row.leases} active
          <Text size="xs" c="dimmed">
            {row.waiting} waiting,{" "}
            <AnchorLink to="/requests" search={{ instance: instance.name }} size="xs">
              the last ones
            </AnchorLink>
          </Text>
        </Fact>
        <Fact label="Idle timeout">
          {row.idleEnds === null ? "none" : `in ${span(row.idleEnds - now)}`}
          <Text size="xs" c="dimmed">
            {instance.restarts} restarts, port {instance.port ?? "none yet"}, pid{" "}
            {instance.pid ?? "none"}
          </Text>
        </Fact>
      </SimpleGrid>
      <SimpleGrid cols={{ base: 1, sm: 2 }} mb="md">
        <Fact label="Tokens/s per response">
          {last ? rate(last.tokens_s) : "no response yet"}
          <Sparkline fill values={rates.map((one) => one.tokens_s)} />
        </Fact>
        <Fact label="Time to the first token">
          {last ? seconds(last.first_byte_s) : "no response yet"}
          <Sparkline fill values={rates.map((one) => one.first_byte_s)} />
        </Fact>
      </SimpleGrid>
      <InContainer instance={instance} />
      {instance.sleep_obstacle && (
        <Text size="sm" c="dimmed" mb="md" className="breaks">
          It stops rather than sleeps when it is idle: {instance.sleep_obstacle}.
        </Text>
      )}
      <KeptContext instance={instance} />
      <OtherNames instance={instance} />
      <PlanCard name={instance.name} />
      {command && (
        <Card withBorder mt="md">
          <Group justify="space-between" wrap="nowrap">
            <Text fw={600} size="sm">
              Command
            </Text>
            <Copy value={command} label="Copy the command" />
          </Group>
          <Code block className="breaks">
            {command}
          </Code>
          <Text size="xs" c="dimmed" mt={4}>
            {instance.engine}
          </Text>
        </Card>
      )}
    </>
  );
}

/** The image that it runs, where it is no process of this machine. */
function InContainer({ instance }: { instance: Instance }) {
  if (!instance.image) return null;
  const { engine, gpus } = containerOf(read(instance.options));
  return (
    <Card withBorder mb="md">
      <Text fw={600} size="sm">
        Container
      </Text>
      <Text size="sm" className="breaks">
        Runs the image <Code>{instance.image}</Code>, by {ENGINES[engine ?? "auto"]}
        {gpus && `, with GPUs: ${gpus}`}
      </Text>
    </Card>
  );
}

/** Its aliases, and its variants with what they set in requests. */
function OtherNames({ instance }: { instance: Instance }) {
  const aliases = (instance.options.aliases ?? []) as string[];
  const variants = Object.entries(
    (instance.options.variants ?? {}) as Record<string, { set_params?: object }>,
  );
  if (!aliases.length && !variants.length) return null;
  return (
    <Card withBorder mb="md">
      <Text fw={600} size="sm">
        Other names
      </Text>
      {aliases.map((alias) => (
        <Text size="sm" key={alias}>
          <Code>{alias}</Code>
        </Text>
      ))}
      {variants.map(([id, variant]) => (
        <Text size="sm" key={id}>
          <Code>{id}</Code> sets <Code>{JSON.stringify(variant.set_params ?? {})}</Code>
        </Text>
      ))}
    </Card>
  );
}

function Failure({ instance }: { instance: Instance }) {
  const { failure } = instance;
  const shown = instance.state === "failed" || instance.state === "backoff";
  if (!failure || !shown) return null;
  return (
    <Alert color="red" variant="light" mb="md" title={instance.message} role="alert">
      {failure.advice && !instance.message.includes(failure.advice) && (
        <Text size="sm">{failure.advice}</Text>
      )}
      {failure.log_tail.length > 0 && (
        <Code block mt="xs" className="breaks">
          {failure.log_tail.join("\n")}
        </Code>
      )}
      <Group mt="xs">
        <ButtonLink
          size="xs"
          variant="default"
          to="/instances/$name"
          params={{ name: instance.name }}
          search={{ tab: "log" }}
        >
          View log
        </ButtonLink>
      </Group>
    </Alert>
  );
}

function Fact({ label, children }: { label: string; children: React.ReactNode }) {
  return (
    <Card withBorder padding="sm">
      <Text size="xs" c="dimmed" fw={600}>
        {label}
      </Text>
      <Text component="div" fw={600}>
        {children}
      </Text>
    </Card>
  );
}

function Events({ instance }: { instance: Instance }) {
  const live = useView((view) => view.events);
  const { name } = instance;
  const kept = useQuery({
    queryKey: ["events", instance.id],
    queryFn: () =>
      said(
        api.GET("/api/v1/instances/{name}/events", {
          params: { path: { name }, query: { limit: 200 } },
        }),
      ),
  });
  const events = useMemo(() => {
    const own = live.filter((event) => event.instance === name);
    return [...withEvents(kept.data ?? [], own)].reverse();
  }, [live, kept.data, name]);
  if (events.length === 0) return <Text c="dimmed">No events yet.</Text>;
  return (
    <Paper withBorder px="md" py="xs">
      {events.map((event, index) => (
        <div key={event.id}>
          {index > 0 && <Divider />}
          <EventLine event={event} named={false} />
        </div>
      ))}
    </Paper>
  );
}
