import { Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import type { ApiError } from "../api/client";
import { describe } from "./describe";
import { nearest } from "./near";
import { firstValue, type Option, OptionField } from "./OptionField";
import { optionFault } from "./refusal";

/** Shown with the model, above. */
export const QUICK = new Set(["model", "hf_repo", "hf_file", "ctx_size", "gpu_layers"]);
const FOUND = 8;
const NAME = /^[a-z][a-z0-9_.]*$/;

interface Props {
  /** What the engine is called. */
  title: string;
  options: Option[];
  given: Record<string, unknown>;
  /** Changes several at once; undefined takes one away. */
  put: (values: Record<string, unknown>) => void;
  refusal: ApiError | undefined;
}

/** Those that are set, and a search for more. */
export function EngineOptions({ title, options, given, put, refusal }: Props) {
  const known = new Map(options.map((option) => [option.name, option]));
  const names = Object.keys(given).filter((name) => !QUICK.has(name));
  return (
    <Stack gap="sm">
      {names.map((name) => {
        const fault = optionFault(refusal, name);
        const near = fault?.near && !(fault.near in given) ? fault.near : "";
        return (
          <div key={name}>
            <OptionField
              title={title}
              option={known.get(name) ?? unknown(name, given[name], known.size > 0)}
              value={given[name]}
              change={(value) => put({ [name]: known.has(name) ? value : asSwitch(value) })}
              error={fault && `${fault.message}${near ? ` Did you mean ${near}?` : ""}`}
            />
            {near && (
              <Button
                size="xs"
                variant="default"
                mt={4}
                onClick={() => put({ [name]: undefined, [near]: given[name] })}
              >
                Use {near}
              </Button>
            )}
          </div>
        );
      })}
      <Search options={options} given={given} put={put} />
    </Stack>
  );
}

function Search({ options, given, put }: Pick<Props, "options" | "given" | "put">) {
  const [text, setText] = useState("");
  const wanted = text.trim().toLowerCase();
  const name = wanted.replace(/^-+/, "").replaceAll("-", "_");
  const free = options.filter((option) => !(option.name in given) && !QUICK.has(option.name));
  const all = wanted ? free.filter((option) => mentions(option, wanted, name)) : [];
  const found = all
    .sort((a, b) => Number(b.name.includes(name)) - Number(a.name.includes(name)))
    .slice(0, FOUND);
  const near =
    wanted && !all.length
      ? nearest(
          name,
          free.map((option) => option.name),
        )
      : [];
  const set = (one: string, value: unknown) => {
    put({ [one]: value });
    setText("");
  };
  return (
    <>
      <TextInput
        label="Find an option"
        description={`Search names, flags and help texts of ${options.length} options`}
        placeholder="threads, flash, cache…"
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      {found.map((option) => (
        <Found key={option.name} option={option} set={set} />
      ))}
      {all.length > found.length && (
        <Text size="xs" c="dimmed">
          {all.length - found.length} more; type another word or a part of the name.
        </Text>
      )}
      {wanted && all.length === 0 && (
        <Group justify="space-between">
          <Text size="sm">
            No matching option.{near.length > 0 && " Did you mean one of these?"}
          </Text>
          {NAME.test(name) && !(name in given) && (
            <Button size="xs" variant="default" onClick={() => set(name, "")}>
              Set {name} anyway
            </Button>
          )}
        </Group>
      )}
      {free
        .filter((option) => near.includes(option.name))
        .sort((a, b) => near.indexOf(a.name) - near.indexOf(b.name))
        .map((option) => (
          <Found key={option.name} option={option} set={set} />
        ))}
    </>
  );
}

interface FoundProps {
  option: Option;
  set: (name: string, value: unknown) => void;
}

function Found({ option, set }: FoundProps) {
  return (
    <Group justify="space-between" wrap="nowrap" align="flex-start">
      <div style={{ minWidth: 0 }}>
        <Text size="sm" fw={600} className="breaks">
          {option.name}
        </Text>
        <Text size="xs" c="dimmed">
          {describe(option)}
        </Text>
      </div>
      <Button
        size="xs"
        variant="default"
        style={{ flex: "none" }}
        aria-label={`Set ${option.name}`}
        onClick={() => set(option.name, firstValue(option))}
      >
        Set
      </Button>
    </Group>
  );
}

function mentions(option: Option, wanted: string, name: string): boolean {
  const text = `${option.name} ${option.flags.join(" ")} ${option.help} ${option.section}`;
  return text.toLowerCase().includes(wanted) || option.name.includes(name);
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
