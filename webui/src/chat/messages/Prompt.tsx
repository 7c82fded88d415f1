import { Button, Group, Paper, Text } from "@mantine/core";
import { useState } from "react";
import type { Turn } from "../talk/conversation";

const SHOWN = 12; // lines of a long one, such as an attached file
const LONG = 1500; // characters

/** What was asked, as it was typed. */
export function Prompt({ turn: { text, images } }: { turn: Turn }) {
  const isLong = text.length > LONG || text.split("\n").length > SHOWN;
  const [all, setAll] = useState(false);
  return (
    <Paper withBorder p="sm">
      {text && (
        <Text
          className="breaks"
          style={{ whiteSpace: "pre-wrap" }}
          {...(isLong && !all && { lineClamp: SHOWN })}
        >
          {text}
        </Text>
      )}
      {isLong && (
        <Button size="compact-xs" variant="subtle" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "Show less" : "Show all"}
        </Button>
      )}
      {images && (
        <Group gap="xs" mt={text ? "xs" : 0}>
          {images.map((url, index) => (
            <img key={index} src={url} alt="Attached" height={120} />
          ))}
        </Group>
      )}
    </Paper>
  );
}
