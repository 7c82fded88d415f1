import { Button, Card, Group, Progress, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { api, type Job, type Model, said } from "../api/client";
import { useView } from "../live/stream";
import { useQuestion } from "../ui/Ask";
import { Empty } from "../ui/Empty";
import { ago, bytes, count, span } from "../ui/format";
import { ButtonLink } from "../ui/links";
import { useNow } from "../ui/now";
import { Page } from "../ui/Page";
import { attempt } from "../ui/tell";
import { GetModel } from "./GetModel";
import { Starters } from "./Starters";

export function ModelsPage() {
  const client = useQueryClient();
  const [getting, setGetting] = useState(false);
  const jobs = useView((view) => view.jobs);
  const machine = useView((view) => view.machine.at(-1));
  const models = useQuery({ queryKey: ["models"], queryFn: () => said(api.GET("/api/v1/models")) });
  const finished = jobs.filter((job) => job.state === "done").length;
  useEffect(() => {
    void client.invalidateQueries({ queryKey: ["models"] });
  }, [client, finished]);
  const total = (models.data ?? []).reduce((sum, model) => sum + model.size, 0);
  return (
    <Page
      title="Models"
      lead={
        models.data &&
        `${models.data.length} on this machine, ${bytes(total)}; ${bytes(machine?.disk_free)} of disk space free`
      }
      actions={<Button onClick={() => setGetting(true)}>Download a model</Button>}
    >
      {getting && <GetModel close={() => setGetting(false)} />}
      {jobs.length > 0 && (
        <Card withBorder>
          <Title order={2} size="h4" mb="xs">
            Downloads
          </Title>
          <Stack gap="md">
            {[...jobs].reverse().map((job) => (
              <Download key={job.id} job={job} />
            ))}
          </Stack>
        </Card>
      )}
      {models.data?.length === 0 ? (
        <>
          <Empty title="No models yet">
            <Text>
              Download one of these, search the hub, or add a folder of GGUF files to
              models.folders.
            </Text>
            <Button variant="default" onClick={() => setGetting(true)}>
              Search the hub
            </Button>
          </Empty>
          <Card withBorder>
            <Starters
              action="Download"
              take={({ model }) =>
                attempt("Could not download the model", () =>
                  said(api.POST("/api/v1/models/download", { body: { model } })),
                )
              }
            />
          </Card>
        </>
      ) : (
        <Stack gap="sm">
          {models.data?.map((model) => (
            <ModelCard key={model.path} model={model} />
          ))}
        </Stack>
      )}
    </Page>
  );
}

function ModelCard({ model }: { model: Model }) {
  const client = useQueryClient();
  const now = useNow();
  const [ask, question] = useQuestion();
  const [opened, setOpened] = useState(false);
  const remove = () =>
    attempt("Could not delete the model", async () => {
      await said(api.DELETE("/api/v1/models", { params: { query: { model: model.name } } }));
      await client.invalidateQueries({ queryKey: ["models"] });
    });
  return (
    <Card withBorder component="article" aria-label={model.name}>
      {question}
      <Group justify="space-between" align="flex-start">
        <div style={{ minWidth: 0, flex: "1 1 260px" }}>
          <Text fw={600} className="breaks">
            {model.name}
          </Text>
          <Text size="sm" c="dimmed">
            {bytes(model.size)} · {ago(model.modified, now)}
            {model.used_by.length > 0 && ` · used by ${model.used_by.join(", ")}`}
          </Text>
        </div>
        <Group gap="xs">
          <ButtonLink size="xs" to="/new" search={{ model: model.path }}>
            Create instance
          </ButtonLink>
          <Button size="xs" variant="default" onClick={() => setOpened(!opened)}>
            {opened ? "Hide details" : "Show details"}
          </Button>
          <Button
            size="xs"
            variant="default"
            onClick={() =>
              ask({
                title: `Delete ${model.name}?`,
                text: model.used_by.length
                  ? `It is used by ${model.used_by.join(", ")}; delete them first.`
                  : `This frees ${bytes(model.size)}. To use the model again, you must download it again.`,
                action: "Delete",
                run: remove,
              })
            }
          >
            Delete
          </Button>
        </Group>
      </Group>
      {opened && <Facts path={model.path} />}
    </Card>
  );
}

function Facts({ path }: { path: string }) {
  const { data, error } = useQuery({
    queryKey: ["inspect", path],
    queryFn: () => said(api.GET("/api/v1/models/inspect", { params: { query: { model: path } } })),
    retry: false,
  });
  if (error) return <Text mt="sm">{error.message}</Text>;
  if (!data) return null;
  const memory = data.memory.ram + data.memory.shared;
  const rows: [string, string][] = [
    ["Name", data.name],
    ["Architecture", data.architecture],
    ["Parameters", count(data.parameters)],
    ["Quantisation", data.quantization],
    ["Context", `${data.context_length} tokens`],
    ["Layers", `${data.layers}`],
    ["Tokenizer", `${data.tokenizer}, ${data.vocabulary} tokens`],
    ["Chat template", data.chat_template ? "yes" : "no"],
    ["Licence", data.license || "unknown"],
    ["Memory", `${bytes(memory)} with a context of ${data.memory.ctx_size}`],
    ["Fits in memory", data.memory.fits === null ? "unknown" : data.memory.fits ? "yes" : "no"],
    ["File", data.path],
  ];
  return (
    <Table mt="sm" layout="fixed">
      <Table.Tbody>
        {rows.map(([label, value]) => (
          <Table.Tr key={label}>
            <Table.Th w={140} scope="row">
              {label}
            </Table.Th>
            <Table.Td className="breaks">{value}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

function Download({ job }: { job: Job }) {
  const params = { params: { path: { job_id: job.id } } };
  const act = (title: string, work: () => Promise<unknown>) => () => attempt(title, work);
  const active = job.state === "running" || job.state === "queued";
  const share = job.total ? (100 * job.done) / job.total : 0;
  const name = job.name || job.model;
  return (
    <div>
      <Group justify="space-between">
        <Text fw={500} className="breaks">
          {name}
        </Text>
        <Group gap="xs">
          {active && job.kind === "model" && (
            <Button
              size="xs"
              variant="default"
              aria-label={`Pause ${name}`}
              onClick={act("Could not pause the download", () =>
                said(api.POST("/api/v1/models/jobs/{job_id}/pause", params)),
              )}
            >
              Pause
            </Button>
          )}
          {job.state === "paused" && (
            <Button
              size="xs"
              aria-label={`Resume ${name}`}
              onClick={act("Could not resume the download", () =>
                said(api.POST("/api/v1/models/jobs/{job_id}/resume", params)),
              )}
            >
              Resume
            </Button>
          )}
          <Button
            size="xs"
            variant="default"
            aria-label={`${active || job.state === "paused" ? "Cancel" : "Remove"} ${name}`}
            onClick={act("Could not cancel the download", () =>
              said(api.DELETE("/api/v1/models/jobs/{job_id}", params)),
            )}
          >
            {active || job.state === "paused" ? "Cancel" : "Remove"}
          </Button>
        </Group>
      </Group>
      {job.total > 0 && job.state !== "done" && (
        <Progress value={share} my={4} aria-label={`Progress of ${name}`} />
      )}
      <Text size="sm" c="dimmed">
        {job.kind === "image" && "image · "}
        {job.state}
        {job.total > 0 && ` · ${bytes(job.done)} of ${bytes(job.total)}`}
        {active && job.rate > 0 && ` · ${bytes(job.rate)}/s`}
        {active && job.left_s !== null && ` · ${span(job.left_s)} left`}
      </Text>
      {job.warning && <Text size="sm">{job.warning}</Text>}
      {job.error && job.state === "failed" && (
        <Text size="sm" c="var(--mantine-color-error)">
          {job.error}
          {job.choices.length > 0 && ` Available: ${job.choices.join(", ")}.`}
        </Text>
      )}
    </div>
  );
}
