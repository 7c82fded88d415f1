import { Fieldset, TagsInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ApiError, api, said } from "../api/client";
import { type Definition, withOwn } from "./definition";
import { labelsIn, labelTexts } from "./labels";
import { faultAt } from "./refusal";

interface Props {
  definition: Definition;
  change: (definition: Definition) => void;
  refusal: ApiError | undefined;
}

/** On which machines it may run; nothing where there is only one, without labels. */
export function PlacementFields({ definition, change, refusal }: Props) {
  const nodes = useQuery({
    queryKey: ["nodes"],
    queryFn: () => said(api.GET("/api/v1/nodes")),
  });
  const given = labelTexts(definition.own.node_labels);
  const known = [...new Set(nodes.data?.flatMap((node) => labelTexts(node.labels)))].sort();
  if (!given.length && !known.length && (nodes.data?.length ?? 0) < 2) return null;
  return (
    <Fieldset legend="Placement">
      <TagsInput
        label="Node labels"
        error={faultAt(refusal, "node_labels")}
        description="It only runs on machines that have all of these labels"
        placeholder={given.length ? undefined : "gpu=h200"}
        data={known}
        value={given}
        onChange={(texts) => change(withOwn(definition, "node_labels", labelsIn(texts)))}
      />
    </Fieldset>
  );
}
