import { describe, expect, it } from "vitest";
import { describe as said } from "../editor/describe";
import { faultIn, numberIn, stepped, valueIn } from "./number";

describe("a number that is typed", () => {
  it("is stored as it is typed, at each key", () => {
    const keys = (text: string) => [...text].map((_, n) => valueIn(text.slice(0, n + 1)));
    expect(keys("0.9")).toEqual([0, 0, 0.9]);
    expect(keys("0.05")).toEqual([0, 0, 0, 0.05]);
    expect(keys("-1")).toEqual(["-", -1]);
    expect(keys("1e-5")).toEqual([1, "1e", "1e-", 1e-5]);
    expect(valueIn("")).toBeUndefined();
  });

  it("may have a comma, as in many countries", () => {
    expect(numberIn("0,9")).toBe(0.9);
    expect(numberIn("1,024,000")).toBeUndefined();
  });

  it("is left as it is where it is none, and that is said", () => {
    expect([valueIn("auto"), valueIn("0.9.1")]).toEqual(["auto", "0.9.1"]);
    expect(faultIn("0.9.1", {})).toBe("Not a number");
    expect(faultIn("auto", {})).toBe("Not a number");
    expect(faultIn("auto", { words: true })).toBe("");
    expect(faultIn("0.9", { whole: true })).toBe("Not a whole number");
    expect(faultIn("7", { min: 0, max: 5 })).toBe("Must be at most 5");
    expect(faultIn("", { whole: true })).toBe("");
  });

  it("goes up and down by steps", () => {
    expect(stepped("0.1", 0.2)).toBe("0.3");
    expect(stepped("", -1, { min: 0 })).toBe("0");
    expect(stepped("4096", 1024)).toBe("5120");
  });
});

describe("an option", () => {
  const option = {
    ...{ name: "poll", flags: ["--poll"], type: "integer", choices: [], section: "" },
    ...{ minimum: 0, maximum: 100 },
  };

  it("without a help text says its type, range and default", () => {
    const told = said({ ...option, help: "(default: 50)", default: "50" });
    expect(told).toBe("Whole number. From 0 to 100. Default: 50");
  });

  it("with one says it, and its default once", () => {
    const told = said({ ...option, help: "how much to poll (default: 50)", default: "50" });
    expect(told).toBe("how much to poll (default: 50) From 0 to 100.");
  });
});
