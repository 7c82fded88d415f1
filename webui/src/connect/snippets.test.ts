import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { snippets } from "./snippets";

const URL = "https://models.example.org/here/v1";
const ODD = [
  "tiny",
  "null",
  "1e3",
  "it's",
  'say "hi"',
  "$(id) `id` $HOME",
  "a\\b",
  "日本 😀",
  "a: b # c",
  "a\nb",
];

function code(label: string, model: string, key = "id.secret"): string {
  return snippets({ url: URL, model, key }).find((one) => one.label === label)?.code ?? "";
}

/** What a shell makes of the words of a command that is put in the place of its first one. */
function words(command: string): string[] {
  const script = command.replace(/^curl /, "printf '%s\\0' ");
  return execFileSync("sh", ["-c", script], { encoding: "utf8" }).split("\0").slice(0, -1);
}

describe.each(ODD)("the name %j", (model) => {
  it("is one word of a shell, and the same in JSON", () => {
    const [url, , auth, , , , body = ""] = words(code("curl", model));
    expect(url).toBe(`${URL}/chat/completions`);
    expect(auth).toBe("Authorization: Bearer id.secret");
    expect(JSON.parse(body).model).toBe(model);
  });

  it("is the same in JavaScript", () => {
    const line = /^ {2}model: (.*),$/m.exec(code("JavaScript", model))?.[1] ?? "";
    expect(new Function(`return ${line}`)()).toBe(model);
  });

  it.each(["Python", "JavaScript", "Continue"])("stays on one line of %s", (label) => {
    expect(code(label, model)).toContain(JSON.stringify(model));
    expect(code(label, model).split("\n")).toHaveLength(code(label, "tiny").split("\n").length);
  });
});

it("gives Open WebUI the address and the key", () => {
  const script = code("Open WebUI", "tiny", "it's").replace(
    "open-webui serve --port 3000",
    'sh -c \'printf "%s %s" "$OPENAI_API_BASE_URL" "$OPENAI_API_KEY"\'',
  );
  expect(execFileSync("sh", ["-c", script], { encoding: "utf8" })).toBe(`${URL} it's`);
});

it("has the key in each of them", () => {
  for (const one of snippets({ url: URL, model: "tiny", key: "id.secret" }))
    expect(one.code).toContain("id.secret");
});
