import { Group, SegmentedControl, Select, Switch, Text } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { api, said } from "../api/client";
import { useView } from "../live/stream";
import { Empty } from "../ui/Empty";
import { plural } from "../ui/format";
import { Page } from "../ui/Page";
import { bySlowest, type Search } from "./log";
import { RequestTable } from "./RequestTable";

const SHOWN = 200;
const ALL = 2000;
const EVERY_MS = 2000;
const route = getRouteApi("/requests");

/** The request log: what runs, and what has ended. */
export function RequestsPage() {
  const { instance, failed = false, sort = "newest" } = route.useSearch();
  const navigate = route.useNavigate();
  const rows = useView((view) => view.rows);
  const names = [...rows.values()].map((row) => row.instance.name).sort();
  const slowest = sort === "slowest";
  const log = useQuery({
    queryKey: ["requests", instance, failed, slowest],
    queryFn: () => {
      const query = { limit: slowest ? ALL : SHOWN, failed, ...(instance ? { instance } : {}) };
      return said(api.GET("/api/v1/requests", { params: { query } }));
    },
    refetchInterval: slowest ? 5 * EVERY_MS : EVERY_MS,
    placeholderData: keepPreviousData,
    staleTime: 0,
  });
  const choose = (more: Search) => navigate({ search: (now: Search) => ({ ...now, ...more }) });
  const running = log.data?.running ?? [];
  const ended = log.data?.ended ?? [];
  const sorted = slowest ? bySlowest(ended).slice(0, SHOWN) : ended.toReversed();
  return (
    <Page
      title="Requests"
      lead="What runs now, and the last requests that ended. Their content is never kept."
    >
      <Group>
        <Select
          aria-label="Instance"
          placeholder="All instances"
          data={instance && !names.includes(instance) ? [...names, instance] : names}
          value={instance ?? null}
          onChange={(name) => choose({ instance: name ?? undefined })}
          searchable
          clearable
        />
        <SegmentedControl
          aria-label="Order"
          data={[
            { value: "newest", label: "Newest" },
            { value: "slowest", label: "Slowest" },
          ]}
          value={sort}
          onChange={(value) => choose({ sort: value === "slowest" ? "slowest" : undefined })}
        />
        <Switch
          label="Failed only"
          checked={failed}
          onChange={(event) => choose({ failed: event.currentTarget.checked || undefined })}
        />
      </Group>
      {running.length > 0 && (
        <RequestTable caption={`${plural(running.length, "request")} running`} rows={running} />
      )}
      {sorted.length > 0 && <RequestTable caption="Ended" rows={sorted} />}
      {log.isSuccess && running.length + sorted.length === 0 && (
        <Empty title={instance || failed ? "No such requests" : "No requests yet"}>
          <Text>
            {instance || failed
              ? "None of the requests that are kept matches."
              : "Each request to a model appears here, with how long it took and why it failed."}
          </Text>
        </Empty>
      )}
      {log.isError && <Text c="red">{log.error.message}</Text>}
    </Page>
  );
}
