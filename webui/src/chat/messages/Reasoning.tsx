import { Box, Text } from "@mantine/core";

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
