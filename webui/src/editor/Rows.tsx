import { ActionIcon, Button, Group, Input, Stack, Tooltip } from "@mantine/core";
import { IconPlus, IconX } from "@tabler/icons-react";
import { type ReactNode, useEffect, useRef, useState } from "react";

interface Props<Row, Value> {
  label: string;
  description: string;
  error: string | undefined;
  /** What one of them is called: `mount`. */
  one: string;
  value: Value;
  change: (value: Value) => void;
  read: (value: Value) => Row[];
  write: (rows: Row[]) => Value;
  blank: Row;
  fields: (row: Row, set: (row: Row) => void, position: string, isNew: boolean) => ReactNode;
}

/** A list of which each entry has several fields. Blank rows are kept here, and are no entries. */
export function Rows<Row, Value>(props: Props<Row, Value>) {
  const { label, description, error, one, value, change, read, write, blank, fields } = props;
  const [rows, setRows] = useState(() => read(value));
  const [added, setAdded] = useState(-1);
  const adds = useRef<HTMLButtonElement>(null);
  const says = (some: Row[]) => JSON.stringify(write(some));
  useEffect(() => {
    setRows((now) => (says(now) === says(read(value)) ? now : read(value)));
  }, [value]);
  const put = (next: Row[]) => {
    setRows(next);
    change(write(next));
  };
  return (
    <Input.Wrapper
      labelElement="div"
      label={label}
      description={description}
      error={error}
      role="group"
      aria-label={label}
    >
      <Stack gap="xs" mt={4}>
        {rows.map((row, at) => (
          <Group key={at} gap="xs" wrap="nowrap" align="flex-start">
            <Group gap="xs" style={{ flex: 1 }}>
              {fields(
                row,
                (next) => put(rows.map((old, index) => (index === at ? next : old))),
                `${one} ${at + 1}`,
                at === added,
              )}
            </Group>
            <Tooltip label={`Remove this ${one}`}>
              <ActionIcon
                variant="subtle"
                color="gray"
                size="input-sm"
                aria-label={`Remove ${one} ${at + 1}`}
                onClick={() => {
                  put(rows.filter((_, index) => index !== at));
                  adds.current?.focus();
                }}
              >
                <IconX size={16} />
              </ActionIcon>
            </Tooltip>
          </Group>
        ))}
        <div>
          <Button
            ref={adds}
            size="xs"
            variant="default"
            leftSection={<IconPlus size={14} aria-hidden="true" />}
            onClick={() => {
              setAdded(rows.length);
              setRows([...rows, blank]);
            }}
          >
            Add a {one}
          </Button>
        </div>
      </Stack>
    </Input.Wrapper>
  );
}
