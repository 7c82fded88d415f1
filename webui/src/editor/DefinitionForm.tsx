import {
  Autocomplete,
  Button,
  Fieldset,
  Group,
  Select,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { IconClipboard, IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { type ApiError, api, said } from "../api/client";
import { GetModel } from "../models/GetModel";
import { bytes } from "../ui/format";
import { NumberField } from "../ui/NumberField";
import { ContainerFields } from "./ContainerFields";
import { isContained } from "./container";
import { engineDefault } from "./defaults";
import { type Definition, modelIn, withBackend, withModel, withOption } from "./definition";
import { EngineOptions } from "./EngineOptions";
import { Lifecycle } from "./Lifecycle";
import { type Option, OptionField } from "./OptionField";
import { PasteDialog } from "./PasteDialog";
import { PlacementFields } from "./PlacementFields";
import { optionFault } from "./refusal";

/** Options that are shown all at once; more are searched. */
const FEW = 40;

interface Props {
  definition: Definition;
  change: (next: Definition) => void;
  /** A pasted command has options that the engine does not list, and they are meant. */
  allowUnknown: () => void;
  /** Why the server would refuse it as it is. */
  refusal: ApiError | undefined;
  /** How often it was refused on being sent: each time, the first wrong field gets the focus. */
  refused: number;
}

export function DefinitionForm({ definition, change, allowUnknown, refusal, refused }: Props) {
  const form = useFocusOnFault(refused, refusal);
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
  const put = (values: Record<string, unknown>) =>
    change(Object.entries(values).reduce((next, [k, v]) => withOption(next, k, v), definition));
  const usual = (name: string) =>
    engineDefault(
      backend?.title ?? "",
      options.data?.find((one) => one.name === name),
    );
  const faultOf = (...names: string[]) =>
    names.map((name) => optionFault(refusal, name)?.message).find(Boolean);
  const shown = (value: unknown) =>
    typeof value === "number" || typeof value === "string" ? value : undefined;
  const few = options.data !== undefined && options.data.length <= FEW;
  const many = backend?.serves_files === false && !few;
  const sizes = new Map(models.data?.map((model) => [model.path, model]));
  return (
    <Stack ref={form}>
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
          <Program
            options={options.data ?? []}
            given={given}
            set={set}
            paste={setPasting}
            title={backend.title}
            refusal={refusal}
          />
        </Fieldset>
      )}
      {many && (
        <Fieldset legend="Model">
          <Stack gap="sm">
            <TextInput
              label="Model"
              description="A folder on the server, or the name of a repository on the hub"
              error={faultOf("model")}
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
              error={faultOf("model", "hf_repo", "hf_file")}
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
                description="In tokens; 0 for the trained size"
                placeholder={usual("ctx_size")}
                refused={faultOf("ctx_size")}
                whole
                min={0}
                step={1024}
                value={shown(given.ctx_size)}
                change={(value) => set("ctx_size", value)}
              />
              <NumberField
                label="Layers on the GPU"
                description="A number, or a word such as all"
                placeholder={usual("gpu_layers")}
                refused={faultOf("gpu_layers")}
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
        <Lifecycle
          definition={definition}
          change={change}
          refusal={refusal}
          refused={refused}
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
          <EngineOptions
            title={backend?.title ?? ""}
            options={options.data ?? []}
            given={given}
            put={put}
            refusal={refusal}
          />
        </Fieldset>
      )}
    </Stack>
  );
}

/** When it is refused on being sent, the first wrong field gets the focus. */
function useFocusOnFault(refused: number, refusal: ApiError | undefined) {
  const form = useRef<HTMLDivElement>(null);
  const done = useRef(refused);
  useEffect(() => {
    if (refused === done.current || !refusal) return;
    // a fold with the field opens in the same turn
    const frame = requestAnimationFrame(() => {
      const field = form.current?.querySelector<HTMLElement>('[aria-invalid="true"]');
      if (!field) return;
      done.current = refused;
      field.focus();
    });
    return () => cancelAnimationFrame(frame);
  }, [refused, refusal]);
  return form;
}

interface ProgramProps {
  title: string;
  options: Option[];
  given: Record<string, unknown>;
  set: (name: string, value: unknown) => void;
  paste: (open: boolean) => void;
  refusal: ApiError | undefined;
}

/** All of them: they are few. */
function Program({ title, options, given, set, paste, refusal }: ProgramProps) {
  const isEmpty = (value: unknown) => value === "" || (Array.isArray(value) && value.length === 0);
  return (
    <Stack gap="sm">
      {options.map((option) => (
        <OptionField
          key={option.name}
          title={title}
          option={option}
          error={optionFault(refusal, option.name)?.message}
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
