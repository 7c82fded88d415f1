import { Alert, Code, Group } from "@mantine/core";
import { Copy } from "../ui/Copy";

interface Props {
  name: string;
  value: string;
  close?: () => void;
}

/** A key that was made just now. */
export function MadeKey({ name, value, close }: Props) {
  return (
    <Alert
      color="teal"
      title={`The key for ${name} is shown only once`}
      {...(close && { withCloseButton: true, closeButtonLabel: "Close", onClose: close })}
      role="status"
    >
      <Group gap="xs" wrap="nowrap">
        <Code className="breaks">{value}</Code>
        <Copy value={value} label="Copy the key" />
      </Group>
    </Alert>
  );
}
