import { Button, Divider, Group, Paper, Select, Text, TextInput } from "@mantine/core";
import { useEffect, useMemo, useState } from "react";
import { api, type InstanceEvent, said } from "../api/client";
import { useConnection, useView } from "../live/stream";
import { withEvents } from "../live/view";
import { Empty } from "../ui/Empty";
import { Page } from "../ui/Page";
import { attempt } from "../ui/tell";
import { EventLine, words } from "./EventLine";
import { PlanCard } from "./PlanCard";

const BATCH = 100;

export function ActivityPage() {
  const isLive = useConnection() === "live";
  const live = useView((view) => view.events);
  const rows = useView((view) => view.rows);
  const [older, setOlder] = useState<readonly InstanceEvent[]>([]);
  const [more, setMore] = useState(true);
  const [most, setMost] = useState(BATCH);
  const [text, setText] = useState("");
  const [name, setName] = useState<string | null>(null);
  const events = useMemo(() => withEvents(older, live), [older, live]);
  const names = [...rows.values()].map((row) => row.instance.name).sort();

  async function load(before?: number) {
    await attempt("Could not load the events", async () => {
      const query = { limit: BATCH, ...(before === undefined ? {} : { before }) };
      const found = await said(api.GET("/api/v1/activity", { params: { query } }));
      setOlder((known) => withEvents(found, known));
      setMore(found.length === BATCH);
      if (before !== undefined) setMost((shown) => shown + BATCH);
    });
  }
  useEffect(() => {
    if (isLive) void load();
  }, [isLive]);

  const wanted = text.toLowerCase();
  const shown = events
    .filter((event) => !name || event.instance === name)
    .filter((event) =>
      `${event.instance} ${words(event.event)} ${event.cause}`.toLowerCase().includes(wanted),
    )
    .slice(-most)
    .reverse();
  return (
    <Page title="Activity" lead="What happened, what was decided, and why. Newest first.">
      <Group align="flex-start">
        <Select
          aria-label="Instance"
          placeholder="All instances"
          data={names}
          value={name}
          onChange={setName}
          searchable
          clearable
        />
        <TextInput
          aria-label="Search events"
          placeholder="Filter by text"
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          flex="1 1 200px"
        />
      </Group>
      {name && (
        <div>
          <PlanCard key={name} name={name} />
        </div>
      )}
      {shown.length === 0 ? (
        <Empty title="No events yet">
          <Text>Starts, stops, evictions and failures appear here.</Text>
        </Empty>
      ) : (
        <Paper withBorder px="md" py="xs">
          {shown.map((event, index) => (
            <div key={event.id}>
              {index > 0 && <Divider />}
              <EventLine event={event} named />
            </div>
          ))}
        </Paper>
      )}
      {more && events.length > 0 && (
        <Button variant="default" onClick={() => load(events[0]?.id)}>
          Show earlier events
        </Button>
      )}
    </Page>
  );
}
