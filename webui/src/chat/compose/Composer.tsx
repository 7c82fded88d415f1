import {
  ActionIcon,
  Alert,
  Box,
  Button,
  FileButton,
  Group,
  Textarea,
  useMatches,
} from "@mantine/core";
import { IconPaperclip, IconPlayerStop, IconSend } from "@tabler/icons-react";
import { type ClipboardEvent, type KeyboardEvent, useRef } from "react";
import { Images } from "./Images";
import type { Draft } from "./useDraft";

interface Props {
  draft: Draft;
  busy: boolean;
  disabled: boolean;
  say: (text: string, images: string[]) => void;
  stop: () => void;
}

export function Composer({ draft, busy, disabled, say, stop }: Props) {
  const placeholder = useMatches({
    base: "Write a message",
    sm: "Write a message; Shift+Enter for a new line",
  });
  const reset = useRef<() => void>(null);
  const send = () => {
    const text = draft.text.trim();
    if (busy || disabled || !(text || draft.images.length)) return;
    say(text, draft.images);
    draft.clear();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  const onPaste = (event: ClipboardEvent) => {
    const files = [...event.clipboardData.files];
    if (!files.length) return;
    event.preventDefault();
    void draft.take(files);
  };
  return (
    <Box
      pos="sticky"
      bottom={0}
      bg="var(--mantine-color-body)"
      py="sm"
      maw={860}
      mx="auto"
      w="100%"
    >
      {draft.faults.length > 0 && (
        <Alert
          color="red"
          mb="xs"
          role="alert"
          title="Not attached"
          withCloseButton
          closeButtonLabel="Close"
          onClose={draft.forgive}
        >
          {draft.faults.map((fault, index) => (
            <div key={index}>{fault}</div>
          ))}
        </Alert>
      )}
      <Images urls={draft.images} remove={draft.removeImage} />
      <Group align="flex-end" gap="xs" wrap="nowrap">
        <FileButton
          multiple
          resetRef={reset}
          onChange={(files) => {
            void draft.take(files);
            reset.current?.(); // so that the same file can be chosen again
          }}
        >
          {(props) => (
            <ActionIcon {...props} variant="default" size="input-sm" aria-label="Attach files">
              <IconPaperclip size={18} />
            </ActionIcon>
          )}
        </FileButton>
        <Textarea
          aria-label="Message"
          placeholder={placeholder}
          autosize
          minRows={1}
          maxRows={10}
          flex={1}
          value={draft.text}
          onChange={(event) => draft.setText(event.currentTarget.value)}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
        />
        {busy ? (
          <Button variant="default" leftSection={<IconPlayerStop size={16} />} onClick={stop}>
            Stop
          </Button>
        ) : (
          <Button leftSection={<IconSend size={16} />} onClick={send} disabled={disabled}>
            Send
          </Button>
        )}
      </Group>
    </Box>
  );
}
