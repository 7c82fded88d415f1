import type { Schemas } from "../api/client";

type Option = Schemas["OptionBody"];
type Setting = Pick<Schemas["SettingBody"], "key" | "value" | "unit">;

/** What an empty field of an engine's option means: "llama.cpp's default: 512". */
export function engineDefault(title: string, option: Option | undefined): string {
  if (!option) return "";
  if (option.default) return `${title}'s default: ${option.default}`;
  return option.type === "switch" ? "" : `${title}'s default`;
}

const UNITS: Record<string, string> = { minutes: "min", seconds: "s" };

/** What an empty field means, where the settings say it: "From the settings: 30 min". */
export function settingDefault(settings: readonly Setting[] | undefined, key: string): string {
  const found = settings?.find((one) => one.key === key);
  if (!found || found.value === "" || found.value === null) return "From the settings";
  return `From the settings: ${valueText(found)}`;
}

function valueText({ value, unit }: Setting): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (value === 0 && unit) return "never";
  return [String(value), UNITS[unit] ?? unit].filter(Boolean).join(" ");
}
