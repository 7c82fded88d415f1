import { type Conversation, thread } from "./conversation";
import { requestOf } from "./request";

export function asMarkdown(talk: Conversation): string {
  const said = thread(talk).map(({ role, text, model, calls }) => {
    const called = calls?.map((one) => `\`${one.name}(${one.arguments})\`\n`).join("\n") ?? "";
    return `## ${role === "user" ? "You" : (model ?? talk.model)}\n\n${text}\n${called}`;
  });
  return `# ${talk.title}\n\n${said.join("\n")}`;
}

export function asCurl(talk: Conversation, url: string): string {
  const body = JSON.stringify(requestOf(talk), null, 2).replaceAll("'", "'\\''");
  return [
    `curl ${url}v1/chat/completions`,
    `  -H "Authorization: Bearer $LLAMACTL_API_KEY"`,
    `  -H "Content-Type: application/json"`,
    `  -d '${body}'`,
  ].join(" \\\n");
}

// What the client's own methods take; others go into its `extra_body`.
const OPENAI = new Set(["temperature", "top_p", "max_tokens"]);

export function asPython(talk: Conversation, url: string): string {
  const { model, messages, ...rest } = requestOf(talk);
  const own = Object.entries(rest).filter(([key]) => OPENAI.has(key));
  const extra = Object.fromEntries(Object.entries(rest).filter(([key]) => !OPENAI.has(key)));
  const given = own.map(([key, value]) => `    ${key}=${JSON.stringify(value)},\n`);
  if (Object.keys(extra).length) {
    // as a string: JSON's true, false and null are no Python
    given.push(`    extra_body=json.loads(r'''${JSON.stringify(extra)}'''),\n`);
  }
  return `import json
import os

from openai import OpenAI

client = OpenAI(base_url="${url}v1", api_key=os.environ["LLAMACTL_API_KEY"])
answer = client.chat.completions.create(
    model=${JSON.stringify(model)},
    messages=${JSON.stringify(messages, null, 4).replaceAll("\n", "\n    ")},
${given.join("")})
print(answer.choices[0].message.content)
`;
}
