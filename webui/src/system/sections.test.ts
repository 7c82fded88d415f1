import { expect, test } from "vitest";
import { bySection, isShown } from "./sections";

const setting = (key: string, section: string, source = "default") => ({
  key,
  section,
  source,
  value: 1,
  description: `what ${key} is`,
  unit: "",
  live: true,
});

test("what has its default is left out until it is asked for", () => {
  const own = setting("a", "", "flag");
  const other = setting("b", "");

  expect([own, other].filter((one) => isShown(one, "", false))).toEqual([own]);
  expect([own, other].filter((one) => isShown(one, "", true))).toEqual([own, other]);
  expect([own, other].filter((one) => isShown(one, " What B ", false))).toEqual([other]);
});

test("settings are shown by section, in the server's order", () => {
  const [a, b, c] = [setting("a", "x"), setting("b", ""), setting("c", "x")];

  expect(bySection([a, b, c])).toEqual([
    ["x", [a, c]],
    ["", [b]],
  ]);
});
