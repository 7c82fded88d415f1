import { Text } from "@mantine/core";
import { useConnection, useView } from "../live/stream";
import type { View } from "../live/view";
import { Empty } from "../ui/Empty";
import { plural } from "../ui/format";
import { ButtonLink } from "../ui/links";
import { Page } from "../ui/Page";
import { Charts } from "./Charts";
import { DeviceBars } from "./DeviceBars";
import { Failures } from "./Failures";

export function DashboardPage() {
  const any = useView((view) => view.order.length > 0);
  const connection = useConnection();
  if (!any) {
    return (
      <Page title="Dashboard">
        {connection !== "connecting" && (
          <Empty title="No instances yet">
            <Text>Their memory and what they serve appear here.</Text>
            <ButtonLink to="/instances">First steps</ButtonLink>
          </Empty>
        )}
      </Page>
    );
  }
  return (
    <Page title="Dashboard" lead={<Now />}>
      <DeviceBars />
      <Charts />
      <Failures />
    </Page>
  );
}

function Now() {
  const running = useView((view) => view.machine.at(-1)?.running ?? 0);
  const active = useView((view) => sum(view, "leases"));
  const waiting = useView((view) => sum(view, "waiting"));
  const all = useView((view) => view.order.length);
  return (
    <>
      {running} of {plural(all, "instance")} running, {plural(active, "request")} active, {waiting}{" "}
      waiting
    </>
  );
}

function sum(view: View, what: "leases" | "waiting"): number {
  let total = 0;
  for (const row of view.rows.values()) total += row[what];
  return total;
}
