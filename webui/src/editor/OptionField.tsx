import { ActionIcon, Group, Select, Switch, TagsInput, TextInput, Tooltip } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import type { Schemas } from "../api/client";
import { NumberField } from "../ui/NumberField";
import { describe } from "./describe";

export type Option = Schemas["OptionBody"];

interface Props {
  option: Option;
  value: unknown;
  change: (value: unknown) => void;
}

/** One option of an engine, by its type. */
export function OptionField({ option, value, change }: Props) {
  return (
    <Group align="flex-end" gap={4} wrap="nowrap">
      <div style={{ flex: 1 }}>
        <Field option={option} value={value} change={change} />
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

function Field({ option, value, change }: Props) {
  const about = { label: option.name, description: describe(option) };
  if (option.type === "switch") {
    return (
      <Switch
        {...about}
        checked={value === true}
        onChange={(event) => change(event.currentTarget.checked)}
      />
    );
  }
  if (option.type === "integer" || option.type === "number") {
    return (
      <NumberField
        {...about}
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
      <TagsInput {...about} data={option.choices} value={list} onChange={change} allowDuplicates />
    );
  }
  return (
    <TextInput
      {...about}
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
