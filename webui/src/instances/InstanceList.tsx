import {
  Button,
  Center,
  Checkbox,
  Group,
  Loader,
  Menu,
  Progress,
  SegmentedControl,
  Select,
  Text,
  TextInput,
  useMantineTheme,
} from "@mantine/core";
import { useDebouncedValue, useMediaQuery } from "@mantine/hooks";
import { IconDownload, IconPlus, IconSearch, IconUpload } from "@tabler/icons-react";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { lazy, memo, Suspense, useCallback, useDeferredValue, useRef, useState } from "react";
import { api, said } from "../api/client";
import { useConnection, useView } from "../live/stream";
import { download } from "../ui/download";
import { Empty } from "../ui/Empty";
import { bytes, plural } from "../ui/format";
import { ButtonLink } from "../ui/links";
import { Page } from "../ui/Page";
import { attempt } from "../ui/tell";
import { BulkActions } from "./BulkActions";
import { groups, matching, onSeveral } from "./filter";
import classes from "./InstanceList.module.css";
import { InstanceRow } from "./InstanceRow";

const ImportDialog = lazy(() => import("./ImportDialog"));
const COLUMNS = [
  "Name",
  "State",
  "Memory",
  "Requests",
  "Tokens/s",
  "First token",
  "Stops in",
  "Actions",
];

export function InstanceList() {
  const connection = useConnection();
  const rows = useView((view) => view.rows);
  const order = useView((view) => view.order);
  const [text, setText] = useState("");
  const [wanted] = useDebouncedValue(text, 120);
  const [state, setState] = useState("all");
  const [group, setGroup] = useState("");
  const [importing, setImporting] = useState(false);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const found = useSame(matching(rows, order, { text: wanted, state, group }));
  const ids = useDeferredValue(found); // new rows are drawn between what a person types
  const known = useSame(groups(rows));
  const select = useCallback((id: string, on: boolean) => {
    setSelected((before) => {
      const next = new Set(before);
      if (on) next.add(id);
      else next.delete(id);
      return next;
    });
  }, []);
  const selectAll = useCallback((on: boolean) => setSelected(new Set(on ? ids : [])), [ids]);
  const chosen = ids.filter((id) => selected.has(id));

  return (
    <Page
      title="Instances"
      lead={<Summary />}
      actions={
        <>
          <Menu position="bottom-end">
            <Menu.Target>
              <Button variant="default">Definitions</Button>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item leftSection={<IconDownload size={16} />} onClick={exportAll}>
                Export all
              </Menu.Item>
              <Menu.Item leftSection={<IconUpload size={16} />} onClick={() => setImporting(true)}>
                Import
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
          <ButtonLink to="/new" leftSection={<IconPlus size={16} />}>
            New instance
          </ButtonLink>
        </>
      }
    >
      {importing && (
        <Suspense>
          <ImportDialog close={() => setImporting(false)} />
        </Suspense>
      )}
      {connection === "connecting" ? (
        <Center mih={200}>
          <Loader aria-label="Loading" />
        </Center>
      ) : order.length === 0 ? (
        <Empty title="No instances yet">
          <Text>
            An instance is a model that llamactl runs for you. Create one from a model on this
            machine, or download a model first.
          </Text>
          <Group>
            <ButtonLink to="/new">Create an instance</ButtonLink>
            <ButtonLink to="/models" variant="default">
              Download a model
            </ButtonLink>
          </Group>
        </Empty>
      ) : (
        <>
          <Filters {...{ text, setText, state, setState, group, setGroup, known }} />
          <BulkActions ids={chosen} clear={() => setSelected(new Set())} />
          {ids.length === 0 ? (
            <Empty title="No matches">
              <Text>No instance has that name, model or state.</Text>
            </Empty>
          ) : (
            <Table
              ids={ids}
              selected={selected}
              withNodes={onSeveral(rows)}
              select={select}
              selectAll={selectAll}
            />
          )}
        </>
      )}
    </Page>
  );
}

/** The list before, as long as a new one holds the same: what is drawn of it stays as it is. */
function useSame(list: string[]): string[] {
  const kept = useRef(list);
  const same =
    list.length === kept.current.length && list.every((one, at) => one === kept.current[at]);
  if (!same) kept.current = list;
  return kept.current;
}

interface FiltersProps {
  text: string;
  setText: (text: string) => void;
  state: string;
  setState: (state: string) => void;
  group: string;
  setGroup: (group: string) => void;
  /** Groups. */
  known: string[];
}

const Filters = memo(function Filters(props: FiltersProps) {
  const { text, setText, state, setState, group, setGroup, known } = props;
  return (
    <Group gap="sm">
      <TextInput
        aria-label="Search instances"
        placeholder="Name, model or reason"
        leftSection={<IconSearch size={16} aria-hidden="true" />}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        flex="1 1 200px"
      />
      {known.length > 0 && (
        <Select
          aria-label="Group"
          placeholder="All groups"
          data={known}
          value={group || null}
          onChange={(value) => setGroup(value ?? "")}
          clearable
          w={160}
        />
      )}
      <SegmentedControl aria-label="State" value={state} onChange={setState} data={STATES} />
    </Group>
  );
});

const STATES = [
  { value: "all", label: "All" },
  { value: "up", label: "Up" },
  { value: "down", label: "Down" },
  { value: "failed", label: "Failed" },
];

interface TableProps {
  ids: string[];
  selected: ReadonlySet<string>;
  withNodes: boolean;
  select: (id: string, on: boolean) => void;
  selectAll: (on: boolean) => void;
}

/** Only the rows in sight are drawn. */
const Table = memo(function Table(props: TableProps) {
  const { ids, selected, withNodes, select, selectAll } = props;
  const body = useRef<HTMLDivElement>(null);
  const theme = useMantineTheme();
  const narrow = useMediaQuery(`(max-width: ${theme.breakpoints.sm})`);
  const height = narrow ? 132 : 60;
  const virtual = useWindowVirtualizer({
    count: ids.length,
    estimateSize: () => height,
    overscan: 8,
    useFlushSync: false, // a frame later, but never in a task of its own
    scrollMargin: body.current?.offsetTop ?? 0,
    getItemKey: (index) => ids[index] ?? index,
  });
  const all = ids.every((id) => selected.has(id));
  return (
    <div
      className={classes.table}
      role="table"
      aria-label="Instances"
      aria-rowcount={ids.length + 1}
    >
      <div role="rowgroup">
        <div className={classes.head} role="row" aria-rowindex={1}>
          <div role="columnheader">
            <Checkbox
              size="xs"
              checked={all}
              indeterminate={!all && ids.some((id) => selected.has(id))}
              onChange={(event) => selectAll(event.currentTarget.checked)}
              aria-label="Select all"
            />
          </div>
          {COLUMNS.map((name, index) => (
            <div key={name} role="columnheader" className={HEADS[index]}>
              {name}
            </div>
          ))}
        </div>
      </div>
      <div
        ref={body}
        role="rowgroup"
        style={{ position: "relative", height: virtual.getTotalSize() }}
      >
        {virtual.getVirtualItems().map((item) => (
          <div
            key={item.key}
            role="presentation"
            style={{
              position: "absolute",
              insetInline: 0,
              top: 0,
              transform: `translateY(${item.start - virtual.options.scrollMargin}px)`,
            }}
          >
            <InstanceRow
              id={ids[item.index] ?? ""}
              index={item.index}
              selected={selected.has(ids[item.index] ?? "")}
              withNode={withNodes}
              onSelect={select}
            />
          </div>
        ))}
      </div>
    </div>
  );
});

const HEADS = [
  classes.name,
  classes.state,
  classes.memory,
  classes.busy,
  classes.speed,
  classes.first,
  classes.idle,
  classes.actions,
];

/** How the machine stands, in a line. */
function Summary() {
  const machine = useView((view) => view.machine.at(-1));
  if (!machine) return null;
  const { ram_taken: taken, ram_budget: budget } = machine;
  return (
    <Group gap="md" component="span">
      <span>
        {machine.running} running, {plural(machine.leases, "request")} active
      </span>
      <Group gap={8} component="span" wrap="nowrap">
        {budget ? (
          <>
            <Progress
              value={Math.min(100, (100 * taken) / budget)}
              w={90}
              size="sm"
              aria-label="Memory used by instances"
            />
            <span>
              {bytes(taken)} of {bytes(budget)} memory
            </span>
          </>
        ) : (
          <span>{bytes(taken)} memory</span>
        )}
      </Group>
    </Group>
  );
}

function exportAll() {
  return attempt("The export failed", async () => {
    const set = await said(api.GET("/api/v1/config/instances"));
    download("llamactl-instances.json", `${JSON.stringify(set, null, 2)}\n`);
  });
}
