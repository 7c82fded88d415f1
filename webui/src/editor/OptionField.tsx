import { ActionIcon, Group, Select, Switch, TagsInput, TextInput, Tooltip } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import type { Schemas } from "../api/client";
import { NumberField } from "../ui/NumberField";
import { engineDefault } from "./defaults";
import { describe } from "./describe";

export type Option = Schemas["OptionBody"];

interface Props {
  /** What the engine is called. */
  title: string;
  option: Option;
  value: unknown;
  change: (value: unknown) => void;
  /** Why the server refuses it. */
  error?: string | undefined;
}

/** One option of an engine, by its type. */
export function OptionField(props: Props) {
  const { option, change } = props;
  return (
    <Group align="flex-end" gap={4} wrap="nowrap">
      <div style={{ flex: 1 }}>
        <Field {...props} />
      </div>
      <Tooltip label="Use the engine's default">
        <ActionIcon
          variant="subtle"
          color="gray"
          size="input-sm"
          aria-label={`Use the default of ${option.name}`}
          onClick={() => change(undefined)}
        >
          <IconX size={16} />
        </ActionIcon>
      </Tooltip>
    </Group>
  );
}

function Field({ title, option, value, change, error }: Props) {
  const about = { label: option.name, description: describe(option) };
  const placeholder = engineDefault(title, option);
  if (option.type === "switch") {
    return (
      <Switch
        {...about}
        error={error}
        checked={value === true}
        onChange={(event) => change(event.currentTarget.checked)}
      />
    );
  }
  if (option.type === "integer" || option.type === "number") {
    return (
      <NumberField
        {...about}
        placeholder={placeholder}
        refused={error}
        whole={option.type === "integer"}
        min={option.minimum ?? undefined}
        max={option.maximum ?? undefined}
        words={!/^-?[\d.]*$/.test(option.default)}
        value={typeof value === "number" || typeof value === "string" ? value : undefined}
        change={(next) => change(next ?? "")}
      />
    );
  }
  if (option.type === "choice") {
    const given = typeof value === "string" ? value : "";
    const known = option.choices.includes(given) || !given;
    return (
      <Select
        {...about}
        placeholder={placeholder}
        error={error}
        data={known ? option.choices : [...option.choices, given]}
        value={given || null}
        onChange={(next) => change(next ?? "")}
        searchable
      />
    );
  }
  if (option.type === "list") {
    const list = Array.isArray(value) ? value.map(String) : value ? [String(value)] : [];
    return (
      <TagsInput
        {...about}
        placeholder={list.length ? "" : placeholder}
        error={error}
        data={option.choices}
        value={list}
        onChange={change}
        allowDuplicates
      />
    );
  }
  return (
    <TextInput
      {...about}
      placeholder={placeholder}
      error={error}
      value={String(value ?? "")}
      onChange={(event) => change(event.currentTarget.value)}
    />
  );
}

/** What a field begins with. */
export function firstValue(option: Option): unknown {
  if (option.type === "switch") return true;
  return option.type === "list" ? [] : "";
}
