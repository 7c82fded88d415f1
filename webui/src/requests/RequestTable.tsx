import { Button, Table, Text, Title } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { api, said } from "../api/client";
import { Dot } from "../ui/Dot";
import { plural, rate, seconds, when } from "../ui/format";
import { AnchorLink } from "../ui/links";
import { useNow } from "../ui/now";
import { attempt, tell } from "../ui/tell";
import { type LoggedRequest, outcome, senderOf, speedOf, timesOf, tokensOf } from "./log";
import classes from "./RequestTable.module.css";

/** Requests of one kind: all run, or all have ended. */
export function RequestTable({
  caption,
  rows,
}: {
  caption: string;
  rows: readonly LoggedRequest[];
}) {
  return (
    <section>
      <Title order={2} size="h4" mb={4}>
        {caption}
      </Title>
      <Table verticalSpacing={6} aria-label={caption} className={classes.table} role="table">
        <Table.Thead role="rowgroup">
          <Table.Tr role="row">
            <Table.Th role="columnheader">Time</Table.Th>
            <Table.Th role="columnheader">Outcome</Table.Th>
            <Table.Th role="columnheader">Instance</Table.Th>
            <Table.Th role="columnheader">From</Table.Th>
            <Table.Th role="columnheader">Took</Table.Th>
            <Table.Th role="columnheader">Tokens</Table.Th>
            <Table.Th role="columnheader">Request</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody role="rowgroup">
          {rows.map((row) => (
            <Row key={row.number || `${row.id} ${row.at}`} row={row} />
          ))}
        </Table.Tbody>
      </Table>
    </section>
  );
}

function Row({ row }: { row: LoggedRequest }) {
  const now = useNow();
  const { text, kind } = outcome(row);
  const speed = speedOf(row);
  return (
    <Table.Tr role="row">
      <Table.Td role="cell">
        <Text size="sm" className={classes.time}>
          {when(row.at, now)}
        </Text>
      </Table.Td>
      <Table.Td role="cell">
        <span className={classes.outcome}>
          <Dot kind={kind} />
          <Text size="sm" component="span">
            {text}
          </Text>
        </span>
      </Table.Td>
      <Table.Td role="cell">
        {row.instance ? <InstanceLink name={row.instance} /> : <Quiet text={row.model || "none"} />}
      </Table.Td>
      <Table.Td role="cell">
        <Text size="sm">{senderOf(row)}</Text>
      </Table.Td>
      <Table.Td role="cell">
        <Text size="sm">{seconds(row.duration_s)}</Text>
        <Quiet text={timesOf(row)} />
      </Table.Td>
      <Table.Td role="cell">
        <Text size="sm">{tokensOf(row)}</Text>
        <Quiet text={speed === undefined ? "" : `${rate(speed)} tokens/s`} />
      </Table.Td>
      <Table.Td maw={360} className={classes.wide} role="cell">
        <Text size="sm" truncate title={`${row.method} ${row.path}`}>
          {row.method} {row.path}
        </Text>
        <Text size="xs" c="dimmed" className={classes.reason}>
          {row.reason || row.id}
        </Text>
        {row.stage !== "over" && <Cancel row={row} />}
      </Table.Td>
    </Table.Tr>
  );
}

function InstanceLink({ name }: { name: string }) {
  return (
    <AnchorLink to="/instances/$name" params={{ name: name.split("@")[0] ?? name }} size="sm">
      {name}
    </AnchorLink>
  );
}

function Quiet({ text }: { text: string }) {
  return text ? (
    <Text size="xs" c="dimmed">
      {text}
    </Text>
  ) : null;
}

function Cancel({ row }: { row: LoggedRequest }) {
  const client = useQueryClient();
  const cancel = () =>
    attempt("The request could not be cancelled", async () => {
      const query = { id: row.id };
      const { cancelled } = await said(api.DELETE("/api/v1/requests", { params: { query } }));
      tell(`${plural(cancelled, "request")} cancelled.`);
      await client.invalidateQueries({ queryKey: ["requests"] });
    });
  return (
    <Button
      size="compact-xs"
      variant="default"
      mt={4}
      onClick={cancel}
      aria-label={`Cancel ${row.id}`}
    >
      Cancel
    </Button>
  );
}
