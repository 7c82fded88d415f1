import {
  Autocomplete,
  Button,
  Fieldset,
  Group,
  Select,
  SimpleGrid,
  Stack,
  Switch,
  TagsInput,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { IconClipboard, IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type ApiError, api, said } from "../api/client";
import { GetModel } from "../models/GetModel";
import { bytes } from "../ui/format";
import { NumberField } from "../ui/NumberField";
import { ContainerFields } from "./ContainerFields";
import { isContained } from "./container";
import {
  type Definition,
  modelIn,
  withBackend,
  withModel,
  withOption,
  withOwn,
} from "./definition";
import { describe } from "./describe";
import { firstValue, type Option, OptionField } from "./OptionField";
import { PasteDialog } from "./PasteDialog";
import { PlacementFields } from "./PlacementFields";
import { faultAt } from "./refusal";
import { WarmFields } from "./WarmFields";

const QUICK = new Set(["model", "hf_repo", "hf_file", "ctx_size", "gpu_layers"]);
const FOUND = 8;
/** Options that are shown all at once; more are searched. */
const FEW = 40;

interface Choice {
  value: string;
  label: string;
}

const KEEP_CONTEXT = [
  { value: "", label: "Default from settings" },
  { value: "auto", label: "Where it can" },
  { value: "on", label: "Yes; warn if it can't" },
  { value: "off", label: "No" },
];
const IDLE_ACTION = [
  { value: "", label: "Stop" },
  { value: "sleep", label: "Sleep where it can, else stop" },
];
const NAME = /^[a-z][a-z0-9_.]*$/;

interface Props {
  definition: Definition;
  change: (next: Definition) => void;
  /** A pasted command has options that the engine does not list, and they are meant. */
  allowUnknown: () => void;
  /** Why the server would refuse it as it is. */
  refusal: ApiError | undefined;
}

export function DefinitionForm({ definition, change, allowUnknown, refusal }: Props) {
  const [pasting, setPasting] = useState(false);
  const [choosing, setChoosing] = useState(false);
  const given = definition.backend_options;
  const models = useQuery({
    queryKey: ["models"],
    queryFn: () => said(api.GET("/api/v1/models")),
  });
  const backends = useQuery({
    queryKey: ["backends"],
    queryFn: async () => (await said(api.GET("/api/v1/system"))).backends,
    staleTime: Number.POSITIVE_INFINITY,
  }).data?.filter((one) => one.available);
  const chosen = definition.own.backend_type;
  const backend = backends?.find((one) => (chosen ? one.backend_type === chosen : one.default));
  const options = useQuery({
    queryKey: ["options", backend?.name],
    queryFn: () =>
      said(
        api.GET("/api/v1/backends/{backend}/options", {
          params: { path: { backend: backend?.name as never } },
        }),
      ),
    enabled: backend !== undefined,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const set = (name: string, value: unknown) => change(withOption(definition, name, value));
  const shown = (value: unknown) =>
    typeof value === "number" || typeof value === "string" ? value : undefined;
  const few = options.data !== undefined && options.data.length <= FEW;
  const many = backend?.serves_files === false && !few;
  const sizes = new Map(models.data?.map((model) => [model.path, model]));
  return (
    <Stack>
      {pasting && backend && (
        <PasteDialog
          backend={backend}
          close={() => setPasting(false)}
          take={(found, passes) => {
            const kept = found.own.backend_type === backend.backend_type ? given : {};
            change({
              backend_options: { ...kept, ...found.backend_options },
              own: { ...definition.own, ...found.own },
            });
            if (passes) allowUnknown();
          }}
        />
      )}
      {choosing && (
        <GetModel
          close={() => setChoosing(false)}
          choose={(repo, file) => change(withModel(definition, `${repo}/${file}`))}
        />
      )}
      {backends && backend && (
        <Select
          label="Engine"
          data={backends.map((one) => ({ value: one.backend_type, label: one.title }))}
          value={backend.backend_type}
          onChange={(type) =>
            type && type !== backend.backend_type && change(withBackend(definition, type))
          }
          allowDeselect={false}
        />
      )}
      {backend?.serves_files === false && few && (
        <Fieldset legend="Program">
          <Program options={options.data ?? []} given={given} set={set} paste={setPasting} />
        </Fieldset>
      )}
      {many && (
        <Fieldset legend="Model">
          <Stack gap="sm">
            <TextInput
              label="Model"
              description="A folder on the server, or the name of a repository on the hub"
              value={String(given.model ?? "")}
              onChange={(event) => set("model", event.currentTarget.value || undefined)}
            />
            <Group>
              <Paste open={() => setPasting(true)} />
            </Group>
          </Stack>
        </Fieldset>
      )}
      {backend?.serves_files !== false && (
        <Fieldset legend="Model">
          <Stack gap="sm">
            <Autocomplete
              label="Model"
              description="A model on this machine, the path of a GGUF file, or org/repo:QUANT on the hub"
              placeholder="Choose or type"
              data={[...sizes.keys()]}
              value={modelIn(definition)}
              onChange={(value) => change(withModel(definition, value))}
              renderOption={({ option }) => {
                const model = sizes.get(option.value);
                return (
                  <div>
                    <Text size="sm">{model?.name ?? option.value}</Text>
                    <Text size="xs" c="dimmed">
                      {bytes(model?.size)}
                    </Text>
                  </div>
                );
              }}
            />
            <SimpleGrid cols={{ base: 1, xs: 2 }}>
              <NumberField
                label="Context size"
                description="In tokens. Empty: the engine's default"
                whole
                min={0}
                step={1024}
                value={shown(given.ctx_size)}
                change={(value) => set("ctx_size", value)}
              />
              <NumberField
                label="Layers on the GPU"
                description="Empty: the engine's default"
                whole
                words
                value={shown(given.gpu_layers)}
                change={(value) => set("gpu_layers", value)}
              />
            </SimpleGrid>
            <Group>
              <Paste open={() => setPasting(true)} />
              <Button
                variant="default"
                leftSection={<IconSearch size={16} aria-hidden="true" />}
                onClick={() => setChoosing(true)}
              >
                Search the hub
              </Button>
            </Group>
          </Stack>
        </Fieldset>
      )}
      <Fieldset legend="Lifecycle">
        <Kept
          definition={definition}
          change={change}
          refusal={refusal}
          isBoxed={isContained(definition, backend)}
        />
      </Fieldset>
      <PlacementFields definition={definition} change={change} refusal={refusal} />
      <ContainerFields
        definition={definition}
        change={change}
        backend={backend}
        refusal={refusal}
      />
      {(backend?.serves_files !== false || many) && (
        <Fieldset legend="Engine options">
          <EngineOptions options={options.data ?? []} given={given} set={set} />
        </Fieldset>
      )}
    </Stack>
  );
}

interface EngineProps {
  options: Option[];
  given: Record<string, unknown>;
  set: (name: string, value: unknown) => void;
}

/** All of them: they are few. */
function Program({ options, given, set, paste }: EngineProps & { paste: (open: boolean) => void }) {
  const isEmpty = (value: unknown) => value === "" || (Array.isArray(value) && value.length === 0);
  return (
    <Stack gap="sm">
      {options.map((option) => (
        <OptionField
          key={option.name}
          option={option}
          value={given[option.name]}
          change={(value) => set(option.name, isEmpty(value) ? undefined : value)}
        />
      ))}
      <Group>
        <Paste open={() => paste(true)} />
      </Group>
    </Stack>
  );
}

function Paste({ open }: { open: () => void }) {
  return (
    <Button
      variant="default"
      leftSection={<IconClipboard size={16} aria-hidden="true" />}
      onClick={open}
    >
      Paste a command line
    </Button>
  );
}

/** Those that are set, and a search for more. */
function EngineOptions({ options, given, set }: EngineProps) {
  const [text, setText] = useState("");
  const known = new Map(options.map((option) => [option.name, option]));
  const names = Object.keys(given).filter((name) => !QUICK.has(name));
  const wanted = text.trim().toLowerCase();
  const name = wanted.replace(/^-+/, "").replaceAll("-", "_");
  const found = wanted
    ? options
        .filter((option) => !(option.name in given) && !QUICK.has(option.name))
        .filter((option) =>
          `${option.name} ${option.flags.join(" ")} ${option.help} ${option.section}`
            .toLowerCase()
            .includes(wanted),
        )
        .sort((a, b) => Number(b.name.includes(wanted)) - Number(a.name.includes(wanted)))
        .slice(0, FOUND)
    : [];
  return (
    <Stack gap="sm">
      {names.map((name) => (
        <OptionField
          key={name}
          option={known.get(name) ?? unknown(name, given[name], known.size > 0)}
          value={given[name]}
          change={(value) => set(name, known.has(name) ? value : asSwitch(value))}
        />
      ))}
      <TextInput
        label="Find an option"
        description={`Search names, flags and help texts of ${options.length} options`}
        placeholder="threads, flash, cache…"
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      {found.map((option) => (
        <Group key={option.name} justify="space-between" wrap="nowrap" align="flex-start">
          <div>
            <Text size="sm" fw={600}>
              {option.name}
            </Text>
            <Text size="xs" c="dimmed">
              {describe(option)}
            </Text>
          </div>
          <Button
            size="xs"
            variant="default"
            aria-label={`Set ${option.name}`}
            onClick={() => {
              set(option.name, firstValue(option));
              setText("");
            }}
          >
            Set
          </Button>
        </Group>
      ))}
      {wanted && found.length === 0 && (
        <Group justify="space-between">
          <Text size="sm">No matching option.</Text>
          {NAME.test(name) && !(name in given) && (
            <Button
              size="xs"
              variant="default"
              onClick={() => {
                set(name, "");
                setText("");
              }}
            >
              Set {name} anyway
            </Button>
          )}
        </Group>
      )}
    </Stack>
  );
}

/** One that the engine's help does not name, or `isListed` false: no help could be read. */
function unknown(name: string, value: unknown, isListed: boolean): Option {
  const type = Array.isArray(value) ? "list" : "text";
  const why = isListed ? "The engine does not list this option. " : "";
  const help = `${why}For a switch, enter true or false.`;
  return {
    ...{ name, type, flags: [], choices: [], default: "", help, section: "" },
    ...{ minimum: null, maximum: null },
  };
}

/** What a text means for an option of which only the name is known. */
function asSwitch(value: unknown): unknown {
  return value === "true" || value === "false" ? value === "true" : value;
}

function Kept({
  definition,
  change,
  refusal,
  isBoxed,
}: Omit<Props, "allowUnknown"> & { isBoxed: boolean }) {
  const { own } = definition;
  const set = (name: string, value: unknown) => change(withOwn(definition, name, value));
  const environment = (own.environment ?? {}) as Record<string, string>;
  const flag = (name: string, label: string) => (
    <Select
      label={label}
      data={[
        { value: "", label: "Default from settings" },
        { value: "true", label: "Yes" },
        { value: "false", label: "No" },
      ]}
      value={own[name] === undefined ? "" : String(own[name])}
      onChange={(value) => set(name, value ? value === "true" : undefined)}
      allowDeselect={false}
    />
  );
  const number = (name: string, label: string, description: string) => (
    <NumberField
      label={label}
      description={description}
      value={own[name] as number | string | undefined}
      change={(value) => set(name, value)}
    />
  );
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
  return (
    <Stack gap="sm">
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        {flag("on_demand_start", "Start on demand")}
        {flag("auto_restart", "Restart after a crash")}
        {number("idle_timeout", "Idle after", "Minutes without requests; 0 for never")}
        {choice(
          "idle_action",
          "When idle",
          "Asleep, it keeps its process without its model",
          IDLE_ACTION,
        )}
        {number("priority", "Priority", "Instances with a lower priority are evicted first")}
        {choice(
          "keep_context",
          "Keep its context",
          "When it stops, for its next start",
          KEEP_CONTEXT,
        )}
        <TextInput
          label="Group"
          error={faultAt(refusal, "group")}
          description="The settings can limit each group"
          value={String(own.group ?? "")}
          onChange={(event) => set("group", event.currentTarget.value || undefined)}
        />
        <TagsInput
          label="Aliases"
          error={faultAt(refusal, "aliases")}
          description="Other names that requests can use"
          value={Array.isArray(own.aliases) ? own.aliases.map(String) : []}
          onChange={(value) => set("aliases", value.length ? value : undefined)}
        />
      </SimpleGrid>
      <Switch
        label="Pinned: never stopped to make room"
        checked={own.pinned === true}
        onChange={(event) => set("pinned", event.currentTarget.checked || undefined)}
      />
      <WarmFields definition={definition} change={change} refusal={refusal} />
      <TextInput
        label="Custom command"
        error={faultAt(refusal, "command_override")}
        description={
          isBoxed
            ? "A program in the image, to run instead of its own"
            : "A program to run instead of the installed engine"
        }
        value={String(own.command_override ?? "")}
        onChange={(event) => set("command_override", event.currentTarget.value || undefined)}
      />
      <Textarea
        label="Environment"
        error={faultAt(refusal, "environment")}
        description="One NAME=value per line. Stored values are shown as asterisks."
        autosize
        minRows={2}
        defaultValue={Object.entries(environment)
          .map(([key, value]) => `${key}=${value}`)
          .join("\n")}
        onChange={(event) => {
          const rows = event.currentTarget.value.split("\n").filter((row) => row.includes("="));
          const table = Object.fromEntries(
            rows.map((row) => [
              row.slice(0, row.indexOf("=")).trim(),
              row.slice(row.indexOf("=") + 1),
            ]),
          );
          set("environment", rows.length ? table : undefined);
        }}
      />
    </Stack>
  );
}
