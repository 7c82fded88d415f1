import { describe, expect, it } from "vitest";
import { changes, EMPTY, withOwn } from "./definition";
import { labelsIn, labelTexts } from "./labels";

describe("labels of nodes", () => {
  it("are edited as texts and come back as they were", () => {
    const labels = { gpu: "h200", "example.com/room": "2", bare: "" };
    expect(labelTexts(labels)).toEqual(["gpu=h200", "example.com/room=2", "bare="]);
    expect(labelsIn(labelTexts(labels))).toEqual(labels);
  });

  it("are replaced by a new value for the same key", () => {
    expect(labelsIn(["gpu=a100", " gpu = h200 "])).toEqual({ gpu: "h200" });
  });

  it("are all taken away together", () => {
    const before = withOwn(EMPTY, "node_labels", { gpu: "h200" });
    expect(changes(before, withOwn(before, "node_labels", labelsIn([])))).toEqual({
      node_labels: null,
    });
  });
});
