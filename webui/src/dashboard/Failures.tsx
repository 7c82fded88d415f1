import { Card, Divider, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { EventLine } from "../activity/EventLine";
import { api, said } from "../api/client";
import { useView } from "../live/stream";
import { withEvents } from "../live/view";
import { AnchorLink } from "../ui/links";
import { failuresIn } from "./failures";

const SHOWN = 5;

export function Failures() {
  const live = useView((view) => view.events);
  const kept = useQuery({
    queryKey: ["activity"],
    queryFn: () => said(api.GET("/api/v1/activity", { params: { query: { limit: 300 } } })),
  });
  const failures = useMemo(
    () => failuresIn(withEvents(kept.data ?? [], live), SHOWN),
    [kept.data, live],
  );
  return (
    <Card withBorder padding="sm" component="section" aria-label="Last failures">
      <Title order={2} size="h5">
        Last failures
      </Title>
      {failures.length === 0 && (
        <Text size="sm" c="dimmed">
          None among the last events.
        </Text>
      )}
      {failures.map((event, index) => (
        <div key={event.id}>
          {index > 0 && <Divider />}
          <EventLine event={event} named />
        </div>
      ))}
      <AnchorLink to="/activity" size="sm" mt={4}>
        All activity
      </AnchorLink>
    </Card>
  );
}
