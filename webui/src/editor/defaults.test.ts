import { expect, it } from "vitest";
import { engineDefault, settingDefault } from "./defaults";

const option = (type: string, fallback: string) => ({
  ...{ name: "o", flags: [], choices: [], help: "", section: "", minimum: null, maximum: null },
  ...{ type, default: fallback },
});

it("an empty field of an option says the engine's default", () => {
  expect(engineDefault("llama.cpp", option("integer", "512"))).toBe("llama.cpp's default: 512");
  expect(engineDefault("llama.cpp", option("text", ""))).toBe("llama.cpp's default");
  expect(engineDefault("llama.cpp", option("switch", ""))).toBe("");
  expect(engineDefault("llama.cpp", undefined)).toBe("");
});

it("an empty field says what the settings say", () => {
  const settings = [
    { key: "a", value: 30, unit: "minutes" },
    { key: "b", value: false, unit: "" },
    { key: "c", value: 0, unit: "minutes" },
    { key: "d", value: "", unit: "" },
  ];
  expect(settingDefault(settings, "a")).toBe("From the settings: 30 min");
  expect(settingDefault(settings, "b")).toBe("From the settings: no");
  expect(settingDefault(settings, "c")).toBe("From the settings: never");
  expect(settingDefault(settings, "d")).toBe("From the settings");
  expect(settingDefault(undefined, "a")).toBe("From the settings");
});
