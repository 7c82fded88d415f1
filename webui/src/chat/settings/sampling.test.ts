import { expect, it } from "vitest";
import { explained } from "./sampling";

it("says what applies where nothing is entered, and who says so", () => {
  const sampling = {
    temperature: { value: 0.8, by: "engine" },
    top_p: { value: 0.9, by: "default" },
    top_k: { value: 1, by: "set" },
    max_tokens: { value: -1, by: "engine" },
  } as const;
  expect(
    ["temperature", "top_p", "top_k", "max_tokens", "min_p"].map((name) =>
      explained(name, sampling),
    ),
  ).toEqual([
    "Empty: 0.8, as the engine runs",
    "Empty: 0.9, the instance's default",
    "The instance sets 1, whatever is entered here",
    "Empty: no limit, as the engine runs",
    "Empty: the engine's default",
  ]);
  expect(explained("top_p", undefined)).toBe("Empty: the engine's default");
});
