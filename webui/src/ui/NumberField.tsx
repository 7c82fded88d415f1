import { Stack, TextInput, type TextInputProps, UnstyledButton } from "@mantine/core";
import { IconChevronDown, IconChevronUp } from "@tabler/icons-react";
import { type KeyboardEvent, useEffect, useState } from "react";
import { faultIn, numberIn, type Rule, stepped, valueIn } from "./number";

type Base = Omit<TextInputProps, "value" | "onChange" | "error" | "step" | keyof Rule>;

interface Props extends Base, Rule {
  value: number | string | undefined;
  change: (value: number | string | undefined) => void;
  step?: number;
  /** Why the server refuses it. */
  refused?: string | undefined;
}

/** For the mouse; the arrow keys do the same. */
function Steps({ go }: { go: (sign: number) => void }) {
  const step = (sign: number, Icon: typeof IconChevronUp) => (
    <UnstyledButton tabIndex={-1} aria-hidden onClick={() => go(sign)} lh={0}>
      <Icon size={12} />
    </UnstyledButton>
  );
  return (
    <Stack gap={2}>
      {step(1, IconChevronUp)}
      {step(-1, IconChevronDown)}
    </Stack>
  );
}

/** Is this text what made the value? "0." is 0, and "1e" nothing yet. */
function isOf(text: string, value: number | string | undefined): boolean {
  const empty = value === undefined || value === "";
  return empty ? numberIn(text) === undefined : valueIn(text) === value;
}

/**
 * A number. What is typed is never altered: what is no number, or not one of these, is said beside
 * the field, and is for the server to judge.
 */
export function NumberField(props: Props) {
  const { value, change, whole, min, max, step = 1, words, refused, ...rest } = props;
  const [text, setText] = useState(String(value ?? ""));
  useEffect(() => {
    setText((now) => (isOf(now, value) ? now : String(value ?? "")));
  }, [value]);
  const put = (next: string) => {
    setText(next);
    change(valueIn(next));
  };
  const go = (sign: number) => put(stepped(text, sign * step, { min, max }));
  const onKeyDown = (event: KeyboardEvent) => {
    const sign = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!sign) return;
    event.preventDefault();
    go(sign);
  };
  return (
    <TextInput
      {...rest}
      inputMode="decimal"
      value={text}
      error={faultIn(text, { whole, min, max, words }) || refused}
      onChange={(event) => put(event.currentTarget.value)}
      onKeyDown={onKeyDown}
      rightSection={<Steps go={go} />}
    />
  );
}
