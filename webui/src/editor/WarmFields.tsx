import { Switch, Textarea } from "@mantine/core";
import type { ApiError } from "../api/client";
import { type Definition, withOwn } from "./definition";
import { faultAt } from "./refusal";
import { requestIn, requestText } from "./warmUp";

interface Props {
  definition: Definition;
  change: (definition: Definition) => void;
  refusal: ApiError | undefined;
}

/** What makes an instance ready before its first request. */
export function WarmFields({ definition, change, refusal }: Props) {
  const { own } = definition;
  const set = (name: string, value: unknown) => change(withOwn(definition, name, value));
  return (
    <>
      <Switch
        label="Preload: start it with llamactl, if there is room"
        checked={own.preload === true}
        onChange={(event) => set("preload", event.currentTarget.checked || undefined)}
      />
      <Textarea
        label="Warm-up"
        error={faultAt(refusal, "warm_up")}
        description="Sent to its engine before the first request. JSON with a body, and a path if the body does not show it"
        placeholder='{"body": {"prompt": "Hello", "max_tokens": 1}}'
        autosize
        minRows={1}
        maxRows={12}
        defaultValue={requestText(own.warm_up)}
        onChange={(event) => set("warm_up", requestIn(event.currentTarget.value))}
      />
    </>
  );
}
