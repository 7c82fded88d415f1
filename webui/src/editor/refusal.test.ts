import { expect, it } from "vitest";
import { faultAt, hasFault, optionFault } from "./refusal";

const refused = (...fields: string[]) => ({ message: "no", details: { fields } });

it("a refusal belongs to the fields that it names", () => {
  expect(faultAt(refused("container.gpus"), "container.gpus")).toBe("no");
  expect(faultAt(refused("container.gpus"), "container.image")).toBeUndefined();
  expect(faultAt(refused("container.env.A", "container.args"), "container.env")).toBe("no");
  expect(faultAt(refused("group"), "groups")).toBeUndefined();
  expect(faultAt({ message: "no", details: {} }, "group")).toBeUndefined();
  expect(faultAt(undefined, "group")).toBeUndefined();
});

it("one of several fields is refused", () => {
  expect(hasFault(refused("warm_up"), ["group", "warm_up"])).toBe(true);
  expect(hasFault(refused("model"), ["group", "warm_up"])).toBe(false);
});

it("a refusal belongs to the options that it names", () => {
  const unknown = { message: "unknown", details: { unknown: { ctx_sise: "ctx_size", zzz: "" } } };
  expect(optionFault(unknown, "ctx_sise")?.near).toBe("ctx_size");
  expect(optionFault(unknown, "zzz")).toEqual({
    message: "The engine does not have this option.",
    near: "",
  });
  expect(optionFault(unknown, "ctx_size")).toBeUndefined();
  expect(optionFault(refused("backend_options.model"), "model")?.message).toBe("no");
  expect(optionFault(refused("model"), "model")?.message).toBe("no");
  expect(optionFault({ message: "none", details: { missing: "model" } }, "model")?.message).toBe(
    "none",
  );
  expect(optionFault(undefined, "model")).toBeUndefined();
});
