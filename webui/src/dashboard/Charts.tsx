import {
  Alert,
  Code,
  SegmentedControl,
  SimpleGrid,
  Stack,
  Text,
  useComputedColorScheme,
  VisuallyHidden,
} from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { api, messageOf, said } from "../api/client";
import { Empty } from "../ui/Empty";
import { count, seconds } from "../ui/format";
import { Chart } from "./Chart";
import { lineColours } from "./colours";
import {
  type History,
  hasRequests,
  perSecond,
  reused,
  startsOf,
  WINDOWS,
  type Window,
} from "./series";

const AGAIN_MS = 15_000;

/** What one instance served, or all. */
export function Charts({ instance }: { instance?: string }) {
  const [window, setWindow] = useState<Window>("1h");
  const { words } = WINDOWS.find((one) => one.value === window) ?? { words: "" };
  const query = { window, ...(instance ? { instance } : {}) };
  const history = useQuery({
    queryKey: ["history", window, instance ?? ""],
    queryFn: () => said(api.GET("/api/v1/history", { params: { query } })),
    placeholderData: keepPreviousData,
    refetchInterval: AGAIN_MS,
  });
  return (
    <Stack gap="sm" component="section" aria-label="What was served">
      <VisuallyHidden component="h2">What was served</VisuallyHidden>
      <div>
        <SegmentedControl
          aria-label="Time shown"
          data={WINDOWS.map(({ value, label }) => ({ value, label }))}
          value={window}
          onChange={(next) => setWindow(next as Window)}
        />
      </div>
      {history.error && (
        <Alert color="red" title="The charts could not be loaded" role="alert">
          {messageOf(history.error)}
        </Alert>
      )}
      {history.data && <Drawn history={history.data} words={words} />}
    </Stack>
  );
}

function Drawn({ history, words }: { history: History; words: string }) {
  const scheme = useComputedColorScheme("light");
  const drawn = useMemo(() => linesOf(history, scheme), [history, scheme]);
  if (history.retention_days === 0) {
    return (
      <Empty title="No history is kept">
        <Text>
          The setting <Code>instances.history_retention</Code> is 0.
        </Text>
      </Empty>
    );
  }
  if (!hasRequests(history)) return <Empty title={`No requests ${words}`} />;
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }}>
      <Chart
        title="Requests"
        at={drawn.at}
        lines={drawn.requests}
        format={(value) => `${number(value)}/s`}
      />
      <Chart
        title="Generated tokens"
        at={drawn.at}
        lines={drawn.tokens}
        format={(value) => `${number(value)}/s`}
      />
      <Chart
        title="Time in the queue"
        at={drawn.at}
        lines={drawn.queue}
        format={(value) => (value ? seconds(value) : "0 s")}
        pointed
      />
      <Chart
        title="Time to the first token"
        at={drawn.at}
        lines={drawn.first}
        format={(value) => (value ? seconds(value) : "0 s")}
        pointed
      />
      <Chart
        title="Prompt tokens"
        at={drawn.at}
        lines={drawn.prompts}
        format={(value) => `${number(value)}/s`}
      />
      <Chart
        title="Context reused"
        at={drawn.at}
        lines={drawn.reused}
        format={(value) => `${value.toFixed(0)} %`}
        most={100}
        pointed
      />
    </SimpleGrid>
  );
}

function linesOf(history: History, scheme: string) {
  const { blue, green, purple, red } = lineColours(scheme);
  const failed = history.failed.map((count, index) => count + (history.refused[index] ?? 0));
  return {
    at: startsOf(history),
    requests: [
      { label: "answered", values: perSecond(history, history.requests), colour: blue },
      { label: "failed or refused", values: perSecond(history, failed), colour: red },
    ],
    tokens: [
      { label: "tokens", values: perSecond(history, history.generated_tokens), colour: green },
    ],
    prompts: [
      { label: "all", values: perSecond(history, history.prompt_tokens), colour: green },
      { label: "reused", values: perSecond(history, history.cached_tokens), colour: purple },
    ],
    queue: [{ label: "mean", values: history.queue_s, colour: red }],
    first: [{ label: "mean", values: history.first_token_s, colour: purple }],
    reused: [{ label: "of prompt tokens", values: reused(history), colour: blue }],
  };
}

/** As short as an axis needs it. */
function number(value: number): string {
  return value < 1000 ? String(Number(value.toPrecision(value < 10 ? 2 : 3))) : count(value);
}
