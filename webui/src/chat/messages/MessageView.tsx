import { ActionIcon, Alert, Badge, Box, Button, Group, Text, Tooltip } from "@mantine/core";
import { IconPencil, IconPlayerTrackNext, IconRefresh } from "@tabler/icons-react";
import { memo, useState } from "react";
import { Copy } from "../../ui/Copy";
import { plural, rate, seconds } from "../../ui/format";
import { Markdown } from "../markdown/Markdown";
import type { Stats, Turn } from "../talk/conversation";
import { EditPrompt } from "./EditPrompt";
import { Prompt } from "./Prompt";
import { Reasoning } from "./Reasoning";
import { ToolCalls } from "./ToolCalls";
import { Versions } from "./Versions";

export interface Actions {
  again: (turn: Turn) => void;
  edit: (turn: Turn, text: string) => void;
  more: (turn: Turn) => void;
  show: (id: string) => void;
}

interface Props {
  turn: Turn;
  all: Turn[];
  /** Undefined while an answer is coming. */
  actions: Actions | undefined;
  continuable: boolean;
}

/** Drawn again only when it changes: a long chat has many. */
export const MessageView = memo(MessageParts, (before, after) => {
  const same = (key: keyof Props) => before[key] === after[key];
  const versions = before.all.length === after.all.length;
  return same("turn") && same("actions") && same("continuable") && versions;
});

function MessageParts({ turn, all, actions, continuable }: Props) {
  const [edits, setEdits] = useState(false);
  const mine = turn.role === "user";
  const who = mine ? "You" : (turn.model ?? "The model");
  return (
    <Box component="article" aria-label={`${who} said`}>
      <Text size="sm" fw={600} mb={4}>
        {who}
      </Text>
      {turn.reasoning && <Reasoning text={turn.reasoning} />}
      {edits ? (
        <EditPrompt
          text={turn.text}
          cancel={() => setEdits(false)}
          send={(text) => {
            setEdits(false);
            actions?.edit(turn, text);
          }}
        />
      ) : mine ? (
        <Prompt turn={turn} />
      ) : (
        <Markdown text={turn.text} />
      )}
      {turn.calls && <ToolCalls calls={turn.calls} />}
      {turn.fault && (
        <Alert
          color="red"
          mt="xs"
          role="alert"
          title={turn.text ? "The response broke off" : "No response"}
        >
          {turn.fault}
        </Alert>
      )}
      <Group gap={4} mt={2}>
        {all.length > 1 && actions && <Versions all={all} shown={turn} show={actions.show} />}
        {turn.text && <Copy value={turn.text} label="Copy the text" />}
        {mine && actions && !edits && (
          <Action label="Edit prompt" Icon={IconPencil} run={() => setEdits(true)} />
        )}
        {!mine && actions && (
          <Action label="Regenerate" Icon={IconRefresh} run={() => actions.again(turn)} />
        )}
        {turn.cut && (
          <Badge variant="light" color="gray" tt="none">
            {turn.cut === "stopped" ? "Stopped" : "Max tokens reached"}
          </Badge>
        )}
        {continuable && actions && (
          <Button
            size="compact-xs"
            variant="subtle"
            leftSection={<IconPlayerTrackNext size={14} />}
            onClick={() => actions.more(turn)}
          >
            Continue
          </Button>
        )}
        {turn.stats && <Measured stats={turn.stats} />}
      </Group>
    </Box>
  );
}

function Measured({ stats }: { stats: Stats }) {
  return (
    <Text size="xs" c="dimmed">
      {plural(stats.tokens, "token")}, {rate(stats.tokens_s)} per second, first after{" "}
      {seconds(stats.first_s)}
    </Text>
  );
}

interface ActionProps {
  label: string;
  Icon: typeof IconPencil;
  run: () => void;
}

function Action({ label, Icon, run }: ActionProps) {
  return (
    <Tooltip label={label}>
      <ActionIcon variant="subtle" color="gray" aria-label={label} onClick={run}>
        <Icon size={16} />
      </ActionIcon>
    </Tooltip>
  );
}
