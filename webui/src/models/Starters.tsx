import { Anchor, Button, Group, Loader, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, said } from "../api/client";
import { useView } from "../live/stream";
import { bytes } from "../ui/format";
import { Fits } from "./Fits";

type Starter = Schemas["StarterBody"];
/** How many are shown before one asks for more. */
const FIRST = 4;

interface Props {
  /** What the button does: `Download`. */
  action: string;
  take: (starter: Starter) => unknown;
}

/** Good first models, those that suit this machine best first. */
export function Starters({ action, take }: Props) {
  const [all, setAll] = useState(false);
  const { data, error } = useQuery({
    queryKey: ["starters"],
    queryFn: () => said(api.GET("/api/v1/models/starters")),
  });
  if (error) return <Text size="sm">{error.message}</Text>;
  if (!data) return <Loader size="sm" aria-label="Loading" />;
  const checked = data.map((one) => one.checked).sort()[0];
  return (
    <Stack gap="sm" component="section" aria-label="Good first models">
      <div>
        <Title order={3} size="h5">
          Good first models
        </Title>
        <Text size="xs" c="dimmed">
          Those that suit this machine best come first. List checked on {checked}.
        </Text>
      </div>
      {(all ? data : data.slice(0, FIRST)).map((one) => (
        <Line key={one.model} starter={one} action={action} take={take} />
      ))}
      {data.length > FIRST && (
        <div>
          <Button size="xs" variant="subtle" onClick={() => setAll(!all)} aria-expanded={all}>
            {all ? "Show fewer" : `Show all ${data.length}`}
          </Button>
        </div>
      )}
    </Stack>
  );
}

function Line({ starter, action, take }: Props & { starter: Starter }) {
  const state = useStateOf(starter);
  const facts = [
    starter.size ? bytes(starter.size) : "",
    starter.memory ? `needs ${bytes(starter.memory)} of memory` : "",
    starter.license,
    `released ${starter.released}`,
  ];
  return (
    <Group justify="space-between" wrap="nowrap" align="flex-start">
      <div style={{ minWidth: 0 }}>
        <Group gap="xs">
          <Anchor href={starter.source} target="_blank" rel="noreferrer" size="sm" fw={600}>
            {starter.name}
          </Anchor>
          <Fits fit={starter.fits} />
          {starter.slow && starter.fits !== "no" && (
            <Text span size="xs" c="dimmed">
              Slow without a larger GPU
            </Text>
          )}
        </Group>
        <Text size="sm">{starter.purpose}.</Text>
        <Text size="xs" c="dimmed">
          {facts.filter(Boolean).join(" · ")}
        </Text>
      </div>
      {state ? (
        <Text size="xs" c="dimmed" ta="right" style={{ flex: "none" }}>
          {state}
        </Text>
      ) : (
        <Button
          size="xs"
          variant={starter.fits === "no" ? "default" : "filled"}
          style={{ flex: "none" }}
          aria-label={`${action} ${starter.name}`}
          onClick={() => take(starter)}
        >
          {action}
        </Button>
      )}
    </Group>
  );
}

/** Why it need not be downloaded; "" if it may be. */
function useStateOf(starter: Starter): string {
  const jobs = useView((view) => view.jobs);
  const models = useQuery({ queryKey: ["models"], queryFn: () => said(api.GET("/api/v1/models")) });
  const isHere = models.data?.some(
    (one) =>
      one.repo === starter.repo && one.files.some((file) => starter.model.endsWith(tail(file))),
  );
  if (isHere) return "On this machine";
  const job = jobs.find((one) => one.model === starter.model);
  return job && (job.state === "running" || job.state === "queued") ? "Downloading" : "";
}

function tail(path: string): string {
  return path.slice(path.lastIndexOf("/"));
}
