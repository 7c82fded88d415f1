import { Select, SimpleGrid, Stack, Switch, TagsInput, Textarea, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ApiError, api, said } from "../api/client";
import { NumberField } from "../ui/NumberField";
import { settingDefault } from "./defaults";
import { type Definition, withOwn } from "./definition";
import { Fold } from "./Fold";
import { faultAt, hasFault } from "./refusal";
import { WarmFields } from "./WarmFields";

/** Of an instance, and folded: few people need them. */
const MORE = [
  "priority",
  "keep_context",
  "group",
  "aliases",
  "preload",
  "warm_up",
  "command_override",
  "environment",
];

interface Choice {
  value: string;
  label: string;
}

interface Props {
  definition: Definition;
  change: (next: Definition) => void;
  refusal: ApiError | undefined;
  /** How often it was refused on being sent. */
  refused: number;
  /** Does it run in a container? */
  isBoxed: boolean;
}

/** When an instance starts and stops, and what else is said of it. */
export function Lifecycle({ definition, change, refusal, refused, isBoxed }: Props) {
  const { own } = definition;
  const settings = useQuery({
    queryKey: ["settings"],
    queryFn: () => said(api.GET("/api/v1/config/settings")),
  });
  const usual = (key: string) => settingDefault(settings.data, `instances.default_${key}`);
  const set = (name: string, value: unknown) => change(withOwn(definition, name, value));
  const choice = (name: string, label: string, description: string, data: Choice[]) => (
    <Select
      label={label}
      error={faultAt(refusal, name)}
      description={description}
      data={data}
      value={data.some(({ value }) => value === own[name]) ? String(own[name]) : ""}
      onChange={(value) => set(name, value || undefined)}
      allowDeselect={false}
    />
  );
  const flag = (name: string, label: string) => (
    <Select
      label={label}
      error={faultAt(refusal, name)}
      data={[
        { value: "", label: usual(name) },
        { value: "true", label: "Yes" },
        { value: "false", label: "No" },
      ]}
      value={own[name] === undefined ? "" : String(own[name])}
      onChange={(value) => set(name, value ? value === "true" : undefined)}
      allowDeselect={false}
    />
  );
  const number = (name: string, label: string, description: string, placeholder: string) => (
    <NumberField
      label={label}
      description={description}
      placeholder={placeholder}
      refused={faultAt(refusal, name)}
      value={own[name] as number | string | undefined}
      change={(value) => set(name, value)}
    />
  );
  return (
    <Stack gap="sm">
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        {flag("on_demand_start", "Start on demand")}
        {flag("auto_restart", "Restart after a crash")}
        {number(
          "idle_timeout",
          "Idle after",
          "Minutes without requests; 0 for never",
          usual("idle_timeout"),
        )}
        {choice("idle_action", "When idle", "Asleep, it keeps its process without its model", [
          { value: "", label: "Default: stop" },
          { value: "sleep", label: "Sleep where it can, else stop" },
        ])}
      </SimpleGrid>
      <Switch
        label="Pinned: never stopped to make room"
        checked={own.pinned === true}
        onChange={(event) => set("pinned", event.currentTarget.checked || undefined)}
      />
      <Fold
        title="More settings"
        about="Priority, context, group, aliases, warm-up, custom command, environment"
        count={MORE.filter((name) => isSaid(own[name])).length}
        isRefused={hasFault(refusal, MORE)}
        refused={refused}
      >
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          {number(
            "priority",
            "Priority",
            "Instances with a lower priority are evicted first",
            "Default: 0",
          )}
          {choice("keep_context", "Keep its context", "When it stops, for its next start", [
            { value: "", label: usual("keep_context") },
            { value: "auto", label: "Where it can" },
            { value: "on", label: "Yes; warn if it can't" },
            { value: "off", label: "No" },
          ])}
          <TextInput
            label="Group"
            error={faultAt(refusal, "group")}
            description="The settings can limit each group"
            placeholder="Default: none"
            value={String(own.group ?? "")}
            onChange={(event) => set("group", event.currentTarget.value || undefined)}
          />
          <TagsInput
            label="Aliases"
            error={faultAt(refusal, "aliases")}
            description="Other names that requests can use"
            placeholder={isSaid(own.aliases) ? "" : "Default: none"}
            value={Array.isArray(own.aliases) ? own.aliases.map(String) : []}
            onChange={(value) => set("aliases", value.length ? value : undefined)}
          />
        </SimpleGrid>
        <WarmFields definition={definition} change={change} refusal={refusal} />
        <TextInput
          label="Custom command"
          error={faultAt(refusal, "command_override")}
          description={
            isBoxed
              ? "A program in the image, to run instead of its own"
              : "A program to run instead of the installed engine"
          }
          placeholder={isBoxed ? "Default: the image's own" : "Default: the installed engine"}
          value={String(own.command_override ?? "")}
          onChange={(event) => set("command_override", event.currentTarget.value || undefined)}
        />
        <Environment
          value={own.environment as Record<string, string> | undefined}
          error={faultAt(refusal, "environment")}
          change={(value) => set("environment", value)}
        />
      </Fold>
    </Stack>
  );
}

function isSaid(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === false) return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

interface EnvironmentProps {
  value: Record<string, string> | undefined;
  error: string | undefined;
  change: (value: Record<string, string> | undefined) => void;
}

function Environment({ value, error, change }: EnvironmentProps) {
  return (
    <Textarea
      label="Environment"
      error={error}
      description="One NAME=value per line. Stored values are shown as asterisks."
      placeholder="Default: nothing besides the server's own variables"
      autosize
      minRows={2}
      defaultValue={Object.entries(value ?? {})
        .map(([key, text]) => `${key}=${text}`)
        .join("\n")}
      onChange={(event) => {
        const rows = event.currentTarget.value.split("\n").filter((row) => row.includes("="));
        const table = Object.fromEntries(
          rows.map((row) => [
            row.slice(0, row.indexOf("=")).trim(),
            row.slice(row.indexOf("=") + 1),
          ]),
        );
        change(rows.length ? table : undefined);
      }}
    />
  );
}
