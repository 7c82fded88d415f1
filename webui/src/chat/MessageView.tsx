import {
  ActionIcon,
  Alert,
  Box,
  Button,
  Group,
  Paper,
  Text,
  Textarea,
  Tooltip,
} from "@mantine/core";
import { IconPencil, IconRefresh } from "@tabler/icons-react";
import { useState } from "react";
import { Copy } from "../ui/Copy";
import { plural, rate, seconds } from "../ui/format";
import type { Message } from "./conversation";
import { Markdown } from "./Markdown";

interface Props {
  message: Message;
  who: string;
  again?: (() => void) | undefined;
  edit?: ((text: string) => void) | undefined;
}

export function MessageView({ message, who, again, edit }: Props) {
  const [draft, setDraft] = useState<string>();
  const mine = message.role === "user";
  return (
    <Box component="article" aria-label={`${mine ? "You" : who} said`}>
      <Text size="sm" fw={600} mb={4}>
        {mine ? "You" : who}
      </Text>
      {message.reasoning && <Reasoning text={message.reasoning} />}
      {draft !== undefined ? (
        <>
          <Textarea
            aria-label="Edit prompt"
            autosize
            value={draft}
            onChange={(event) => setDraft(event.currentTarget.value)}
          />
          <Group mt="xs" gap="xs">
            <Button
              size="xs"
              onClick={() => {
                edit?.(draft);
                setDraft(undefined);
              }}
            >
              Save and send
            </Button>
            <Button size="xs" variant="default" onClick={() => setDraft(undefined)}>
              Cancel
            </Button>
          </Group>
        </>
      ) : mine ? (
        <Paper withBorder p="sm">
          <Text className="breaks" style={{ whiteSpace: "pre-wrap" }}>
            {message.text}
          </Text>
          {message.images?.map((url) => (
            <img key={url} src={url} alt="Attached" height={120} />
          ))}
        </Paper>
      ) : (
        <Markdown text={message.text} />
      )}
      {message.fault && (
        <Alert color="red" mt="xs" role="alert" title="No response">
          {message.fault}
        </Alert>
      )}
      <Group gap={4} mt={2}>
        {message.text && <Copy value={message.text} label="Copy the text" />}
        {edit && draft === undefined && (
          <Tooltip label="Edit">
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label="Edit prompt"
              onClick={() => setDraft(message.text)}
            >
              <IconPencil size={16} />
            </ActionIcon>
          </Tooltip>
        )}
        {again && (
          <Tooltip label="Regenerate">
            <ActionIcon variant="subtle" color="gray" aria-label="Regenerate" onClick={again}>
              <IconRefresh size={16} />
            </ActionIcon>
          </Tooltip>
        )}
        {message.stats && (
          <Text size="xs" c="dimmed">
            {plural(message.stats.tokens, "token")}, {rate(message.stats.tokens_s)} per second,
            first after {seconds(message.stats.first_s)}
          </Text>
        )}
      </Group>
    </Box>
  );
}

export function Reasoning({ text }: { text: string }) {
  return (
    <Box component="details" mb="xs">
      <summary>
        <Text span size="sm" c="dimmed">
          Reasoning
        </Text>
      </summary>
      <Text size="sm" c="dimmed" className="breaks" style={{ whiteSpace: "pre-wrap" }}>
        {text}
      </Text>
    </Box>
  );
}
