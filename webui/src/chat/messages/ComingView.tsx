import { Box, Group, Loader, Text } from "@mantine/core";
import { useState } from "react";
import { span } from "../../ui/format";
import { useNow } from "../../ui/now";
import { Markdown } from "../markdown/Markdown";
import { unfold } from "../talk/heard";
import type { Coming } from "../useAnswer";
import { Reasoning } from "./Reasoning";
import { ToolCalls } from "./ToolCalls";

/** The answer that is being written. */
export function ComingView({ coming: { model, progress, begun } }: { coming: Coming }) {
  const { reasoning, answer } = unfold(progress.text);
  const thought = [begun?.reasoning, progress.reasoning, reasoning].filter(Boolean).join("\n");
  const text = (begun?.text ?? "") + answer;
  const waits = progress.pieces === 0;
  return (
    <Box component="article" aria-label={`${model} is responding`}>
      <Text size="sm" fw={600} mb={4}>
        {model}
      </Text>
      {thought && <Reasoning text={thought} />}
      {text && <Markdown text={text} />}
      {progress.calls.length > 0 && <ToolCalls calls={progress.calls} />}
      {waits && (
        <Group gap="xs" role="status">
          <Loader size="xs" type="dots" />
          <Text size="sm" c="dimmed">
            {progress.ahead
              ? `${model} is waiting to start: ${progress.ahead} ahead of it`
              : progress.loading
                ? `${model} is starting`
                : "Reading your message"}
          </Text>
          {progress.loading && <Elapsed />}
        </Group>
      )}
    </Box>
  );
}

function Elapsed() {
  const [began] = useState(() => Date.now());
  return (
    <Text size="sm" c="dimmed">
      {span(useNow() - began / 1000)}
    </Text>
  );
}
