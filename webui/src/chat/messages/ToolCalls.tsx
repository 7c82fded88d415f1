import { Box, Group, Paper, Stack, Text } from "@mantine/core";
import { IconTool } from "@tabler/icons-react";
import type { ToolCall } from "../talk/conversation";

export function ToolCalls({ calls }: { calls: ToolCall[] }) {
  return (
    <Stack gap="xs" my="xs">
      {calls.map((call, index) => (
        <Paper
          key={index}
          withBorder
          p="sm"
          component="section"
          aria-label={`Tool call: ${call.name}`}
        >
          <Group gap={6} wrap="nowrap">
            <IconTool size={16} aria-hidden="true" />
            <Text size="sm" fw={600} className="breaks">
              {call.name}
            </Text>
          </Group>
          <Box component="pre" className="mono breaks" m={0} mt={4}>
            {pretty(call.arguments)}
          </Box>
        </Paper>
      ))}
    </Stack>
  );
}

/** As it came, where it is not JSON, or not yet. */
function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
