/** What a client needs to know, and how the best-known ones are given it. */

export interface Target {
  /** Of the OpenAI-compatible API. */
  url: string;
  model: string;
  key: string;
}

export interface Snippet {
  label: string;
  hint: string;
  code: string;
}

const ASK = { role: "user", content: "Say hello." };

export function snippets(target: Target): Snippet[] {
  return [
    { label: "curl", hint: "In a shell:", code: curl(target) },
    { label: "Python", hint: "With the package openai:", code: python(target) },
    {
      label: "JavaScript",
      hint: "With the package openai, as a module:",
      code: javascript(target),
    },
    {
      label: "Open WebUI",
      hint: "Under Admin Panel › Settings › Connections, add an OpenAI connection with this base URL and key. A new Open WebUI reads them at its first start, too:",
      code: openWebUi(target),
    },
    {
      label: "Continue",
      hint: "In ~/.continue/config.yaml; if that file exists, add only the entry below models:",
      code: continued(target),
    },
  ];
}

function curl({ url, model, key }: Target): string {
  return [
    `curl ${shell(`${url}/chat/completions`)}`,
    `  -H ${shell(`Authorization: Bearer ${key}`)}`,
    "  -H 'Content-Type: application/json'",
    `  -d ${shell(JSON.stringify({ model, messages: [ASK] }))}`,
  ].join(" \\\n");
}

// What JSON writes as a string, Python, JavaScript and YAML read as the same string.
const quoted = (text: string) => JSON.stringify(text);

function python({ url, model, key }: Target): string {
  return `from openai import OpenAI

client = OpenAI(base_url=${quoted(url)}, api_key=${quoted(key)})
answer = client.chat.completions.create(
    model=${quoted(model)},
    messages=[{"role": "user", "content": ${quoted(ASK.content)}}],
)
print(answer.choices[0].message.content)`;
}

function javascript({ url, model, key }: Target): string {
  return `import OpenAI from "openai";

const client = new OpenAI({
  baseURL: ${quoted(url)},
  apiKey: ${quoted(key)},
});
const answer = await client.chat.completions.create({
  model: ${quoted(model)},
  messages: [{ role: "user", content: ${quoted(ASK.content)} }],
});
console.log(answer.choices[0].message.content);`;
}

function openWebUi({ url, key }: Target): string {
  return [
    `OPENAI_API_BASE_URL=${shell(url)}`,
    `OPENAI_API_KEY=${shell(key)}`,
    "open-webui serve --port 3000",
  ].join(" \\\n  ");
}

function continued({ url, model, key }: Target): string {
  return `name: llamactl
version: 1.0.0
schema: v1
models:
  - name: ${quoted(model)}
    provider: openai
    model: ${quoted(model)}
    apiBase: ${quoted(url)}
    apiKey: ${quoted(key)}
    roles: [chat, edit]`;
}

/** As one word of a POSIX shell. */
export function shell(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
