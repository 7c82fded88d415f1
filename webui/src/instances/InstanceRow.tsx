import { Checkbox, Text } from "@mantine/core";
import { memo } from "react";
import { useRow } from "../live/stream";
import { bytes, rate, seconds, span } from "../ui/format";
import { AnchorLink } from "../ui/links";
import { useNow } from "../ui/now";
import { Sparkline } from "../ui/Sparkline";
import { StateLabel } from "../ui/StateLabel";
import classes from "./InstanceList.module.css";
import { RowActions } from "./RowActions";
import { groupOf, memoryOf, modelOf, reasonOf } from "./words";

interface Props {
  id: string;
  index: number;
  selected: boolean;
  /** Say on which machine it is. */
  withNode: boolean;
  onSelect: (id: string, selected: boolean) => void;
}

export const InstanceRow = memo(function InstanceRow(props: Props) {
  const { id, index, selected, withNode, onSelect } = props;
  const row = useRow(id);
  if (!row) return null;
  const { instance, rates } = row;
  const last = rates.at(-1);
  const reason = reasonOf(instance);
  const runs = instance.pid !== null;
  return (
    <div className={classes.row} role="row" aria-rowindex={index + 2}>
      <div role="cell" className={classes.pick}>
        <Checkbox
          size="xs"
          checked={selected}
          onChange={(event) => onSelect(id, event.currentTarget.checked)}
          aria-label={`Select ${instance.name}`}
        />
      </div>
      <div role="cell" className={classes.name}>
        <AnchorLink
          to="/instances/$name"
          params={{ name: instance.name }}
          fw={600}
          c="inherit"
          truncate
          display="block"
        >
          {instance.name}
        </AnchorLink>
        <Text size="xs" c="dimmed" truncate>
          {[withNode && `on ${instance.node}`, groupOf(instance), modelOf(instance)]
            .filter(Boolean)
            .join(" · ") || "no model"}
        </Text>
      </div>
      <div role="cell" className={classes.state}>
        <StateLabel instance={instance} />
        <Text size="xs" c="dimmed" truncate title={reason}>
          <Since at={instance.since} />
          {reason && ` · ${reason}`}
        </Text>
      </div>
      <div role="cell" className={classes.memory}>
        <Value label="Memory">{memoryOf(instance) ? bytes(memoryOf(instance)) : "–"}</Value>
      </div>
      <div role="cell" className={classes.busy}>
        <Value label="Requests">
          {row.leases || "–"}
          {row.waiting > 0 && <span className={classes.waiting}> +{row.waiting} waiting</span>}
        </Value>
      </div>
      <div role="cell" className={classes.speed}>
        <Sparkline values={rates.map((one) => one.tokens_s)} />
        <Value label="Tokens/s">{last ? rate(last.tokens_s) : "–"}</Value>
      </div>
      <div role="cell" className={classes.first}>
        <Sparkline values={rates.map((one) => one.first_byte_s)} />
        <Value label="Time to the first token">{last ? seconds(last.first_byte_s) : "–"}</Value>
      </div>
      <div role="cell" className={classes.idle}>
        <Value label="Stops in">
          {runs && row.idleEnds !== null ? <Left until={row.idleEnds} /> : "–"}
        </Value>
      </div>
      <div role="cell" className={classes.actions}>
        <RowActions instance={instance} />
      </div>
    </div>
  );
});

function Value({ label, children }: { label: string; children: React.ReactNode }) {
  return (
    <span className={classes.value}>
      <span className={classes.label}>{label} </span>
      {children}
    </span>
  );
}

function Since({ at }: { at: number }) {
  return `for ${span(useNow() - at, 1)}`;
}

function Left({ until }: { until: number }) {
  return span(until - useNow(), 1);
}
