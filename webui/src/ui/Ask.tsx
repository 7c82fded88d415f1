import { Button, Group, Modal, Text } from "@mantine/core";
import { type ReactNode, useState } from "react";

interface Question {
  title: string;
  text: ReactNode;
  action: string;
  run: () => unknown;
}

/** Asks before what can't be taken back. Returns how to ask, and the question to show. */
export function useQuestion(): [(question: Question) => void, ReactNode] {
  const [question, setQuestion] = useState<Question>();
  const [opened, setOpened] = useState(false);
  const ask = (asked: Question) => {
    setQuestion(asked);
    setOpened(true);
  };
  const shown = (
    <Modal opened={opened} onClose={() => setOpened(false)} title={question?.title ?? ""} centered>
      <Text component="div">{question?.text}</Text>
      <Group justify="flex-end" mt="lg">
        <Button variant="default" onClick={() => setOpened(false)} data-autofocus>
          Cancel
        </Button>
        <Button
          color="red"
          onClick={() => {
            setOpened(false);
            question?.run();
          }}
        >
          {question?.action}
        </Button>
      </Group>
    </Modal>
  );
  return [ask, shown];
}
