import { expect, it } from "vitest";
import { faultAt } from "./refusal";

it("a refusal belongs to the fields that it names", () => {
  const refused = (...fields: string[]) => ({ message: "no", details: { fields } });
  expect(faultAt(refused("container.gpus"), "container.gpus")).toBe("no");
  expect(faultAt(refused("container.gpus"), "container.image")).toBeUndefined();
  expect(faultAt(refused("container.env.A", "container.args"), "container.env")).toBe("no");
  expect(faultAt(refused("group"), "groups")).toBeUndefined();
  expect(faultAt({ message: "no", details: {} }, "group")).toBeUndefined();
  expect(faultAt(undefined, "group")).toBeUndefined();
});
