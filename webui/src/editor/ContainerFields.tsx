import {
  Autocomplete,
  Checkbox,
  Fieldset,
  Radio,
  Select,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useState } from "react";
import type { ApiError, Schemas } from "../api/client";
import {
  asContainer,
  asProcess,
  type Container,
  containerOf,
  ENGINES,
  isContained,
  lineOf,
  mountIn,
  mountText,
  PULLS,
  tableOf,
  type Variable,
  variablesIn,
  withField,
} from "./container";
import type { Definition } from "./definition";
import { Rows } from "./Rows";
import { faultAt } from "./refusal";

interface Props {
  definition: Definition;
  change: (next: Definition) => void;
  backend: Schemas["BackendBody"] | undefined;
  refusal: ApiError | undefined;
}

/** Whether it runs in a container, and in which. */
export function ContainerFields({ definition, change, backend, refusal }: Props) {
  const container = containerOf(definition);
  const [left, setLeft] = useState(container); // for who comes back to it
  const isOne = isContained(definition, backend);
  return (
    <Fieldset legend="Container">
      <Stack gap="sm">
        <Radio.Group
          label="Run as"
          value={isOne ? "container" : "process"}
          error={faultAt(refusal, "docker_enabled")}
          onChange={(next) => {
            if (isOne) setLeft(container);
            change(
              next === "container"
                ? asContainer(definition, left, backend)
                : asProcess(definition, backend),
            );
          }}
        >
          <Stack gap={6} mt={6}>
            <Radio value="process" label="A process: the engine is installed on this machine" />
            <Radio value="container" label="A container: the engine is in an image" />
          </Stack>
        </Radio.Group>
        {isOne && (
          <Fields
            container={container}
            change={(next) => change(asContainer(definition, next, backend))}
            image={backend?.image ?? ""}
            refusal={refusal}
          />
        )}
      </Stack>
    </Fieldset>
  );
}

interface FieldsProps {
  container: Container;
  change: (next: Container) => void;
  /** That of the settings. */
  image: string;
  refusal: ApiError | undefined;
}

function Fields({ container, change, image, refusal }: FieldsProps) {
  const set = (name: keyof Container, value: unknown) => change(withField(container, name, value));
  const error = (name: keyof Container) => faultAt(refusal, `container.${name}`);
  return (
    <>
      <Text size="sm" c="dimmed">
        Docker or Podman must be installed on the server. The model and other files that options
        name are mounted by themselves, read-only; the network, port and key are set by llamactl.
      </Text>
      <TextInput
        label="Image"
        description={
          image
            ? "Leave it empty to use the image from the settings"
            : "An image that starts the engine's server by itself, such as …/llama.cpp:server"
        }
        placeholder={image && `From the settings: ${image}`}
        value={container.image ?? ""}
        onChange={(event) => set("image", event.currentTarget.value)}
        error={error("image")}
      />
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        <Select
          label="Download the image"
          description="With Never, it must be on the server already"
          data={choices(PULLS)}
          value={container.pull ?? "never"}
          onChange={(value) => set("pull", value === "never" ? undefined : value)}
          error={error("pull")}
          allowDeselect={false}
        />
        <Select
          label="Container engine"
          description="What creates and runs the container"
          data={choices(ENGINES)}
          value={container.engine ?? "auto"}
          onChange={(value) => set("engine", value === "auto" ? undefined : value)}
          error={error("engine")}
          allowDeselect={false}
        />
      </SimpleGrid>
      <Autocomplete
        label="GPUs"
        description="NVIDIA GPUs that it may use: all, a number of them, or device=0,1"
        placeholder="Default: none"
        data={["all"]}
        value={container.gpus ?? ""}
        onChange={(value) => set("gpus", value)}
        error={error("gpus")}
      />
      <Mounts
        value={container.mounts}
        change={(value) => set("mounts", value)}
        error={error("mounts")}
      />
      <Variables value={container.env} change={(value) => set("env", value)} error={error("env")} />
      <TextInput
        label="Arguments of the container engine"
        description="Flags for docker create or podman create, such as --ipc=host or --memory 8g"
        placeholder="Default: none"
        value={lineOf(container.args)}
        onChange={(event) => set("args", event.currentTarget.value)}
        error={error("args")}
      />
    </>
  );
}

function choices(labels: Record<string, string>) {
  return Object.entries(labels).map(([value, label]) => ({ value, label }));
}

interface ListProps<Value> {
  value: Value | undefined;
  change: (value: Value | undefined) => void;
  error: string | undefined;
}

const WIDE = { flex: "1 1 180px" };

function Mounts(props: ListProps<string[]>) {
  return (
    <Rows
      {...props}
      label="More files and folders"
      description="What the container needs besides the files in its options; by default read-only, at the same path"
      one="mount"
      read={(value) => (value ?? []).map(mountIn)}
      write={(rows) => rows.map(mountText).filter(Boolean)}
      blank={{ here: "", inside: "", writable: false }}
      fields={(mount, set, position, isNew) => (
        <>
          <TextInput
            style={WIDE}
            aria-label={`Path on this machine, ${position}`}
            placeholder="/path/on/this/machine"
            value={mount.here}
            onChange={(event) => set({ ...mount, here: event.currentTarget.value })}
            autoFocus={isNew}
          />
          <TextInput
            style={WIDE}
            aria-label={`Path in the container, ${position}`}
            placeholder="the same inside"
            value={mount.inside}
            onChange={(event) => set({ ...mount, inside: event.currentTarget.value })}
          />
          <Checkbox
            label="Writable"
            aria-label={`Writable, ${position}`}
            checked={mount.writable}
            onChange={(event) => set({ ...mount, writable: event.currentTarget.checked })}
          />
        </>
      )}
    />
  );
}

function Variables(props: ListProps<Record<string, string>>) {
  const blank: Variable = ["", ""];
  return (
    <Rows
      {...props}
      label="Variables in the container"
      description="Besides those under Environment. Stored values are shown as asterisks"
      one="variable"
      read={variablesIn}
      write={tableOf}
      blank={blank}
      fields={([name, value], set, position, isNew) => (
        <>
          <TextInput
            style={WIDE}
            aria-label={`Name, ${position}`}
            placeholder="NAME"
            value={name}
            onChange={(event) => set([event.currentTarget.value, value])}
            autoFocus={isNew}
          />
          <TextInput
            style={WIDE}
            aria-label={`Value, ${position}`}
            placeholder="value"
            value={value}
            onChange={(event) => set([name, event.currentTarget.value])}
          />
        </>
      )}
    />
  );
}
