/** What is said in a chat; kept in this browser alone. */
export interface Message {
  role: "user" | "assistant";
  text: string;
  /** What the model thought before it answered. */
  reasoning?: string;
  /** data: URLs */
  images?: string[];
  stats?: Stats;
  fault?: string;
}

export interface Stats {
  tokens: number;
  tokens_s: number;
  first_s: number;
}

export interface Params {
  system: string;
  temperature: number | "";
  top_p: number | "";
  max_tokens: number | "";
}

export interface Conversation {
  id: string;
  title: string;
  model: string;
  at: number;
  params: Params;
  messages: Message[];
}

export const NO_PARAMS: Params = { system: "", temperature: "", top_p: "", max_tokens: "" };

export function begun(model: string): Conversation {
  return {
    id: `${Date.now()}-${Math.random().toString(36).slice(2)}`,
    title: "New chat",
    model,
    at: Date.now(),
    params: NO_PARAMS,
    messages: [],
  };
}

/** As OpenAI's API has it. */
export function requestOf(talk: Conversation): Record<string, unknown> {
  const { params } = talk;
  const messages = talk.messages
    .filter((message) => !message.fault)
    .map(({ role, text, images }) => ({
      role,
      content: images?.length
        ? [
            ...(text ? [{ type: "text", text }] : []),
            ...images.map((url) => ({ type: "image_url", image_url: { url } })),
          ]
        : text,
    }));
  const given = Object.entries({
    temperature: params.temperature,
    top_p: params.top_p,
    max_tokens: params.max_tokens,
  }).filter(([, value]) => value !== "");
  return {
    model: talk.model,
    messages: params.system ? [{ role: "system", content: params.system }, ...messages] : messages,
    ...Object.fromEntries(given),
  };
}

/** "<think>…</think>answer" in two; some models write so what others send apart. */
export function unfold(text: string): { reasoning: string; answer: string } {
  const opened = /^\s*<think>/.exec(text);
  if (!opened) return { reasoning: "", answer: text };
  const rest = text.slice(opened[0].length);
  const end = rest.indexOf("</think>");
  return end < 0
    ? { reasoning: rest.trim(), answer: "" }
    : { reasoning: rest.slice(0, end).trim(), answer: rest.slice(end + 8).trimStart() };
}

export function titleOf(text: string): string {
  const line = text.trim().split("\n")[0] ?? "";
  return line.length > 48 ? `${line.slice(0, 47)}…` : line || "New chat";
}

export function asMarkdown(talk: Conversation): string {
  const said = talk.messages.map(
    ({ role, text }) => `## ${role === "user" ? "You" : talk.model}\n\n${text}\n`,
  );
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

export function asPython(talk: Conversation, url: string): string {
  const { model, messages, ...rest } = requestOf(talk);
  const given = Object.entries(rest).map(
    ([key, value]) => `    ${key}=${JSON.stringify(value)},\n`,
  );
  return `import os

from openai import OpenAI

client = OpenAI(base_url="${url}v1", api_key=os.environ["LLAMACTL_API_KEY"])
answer = client.chat.completions.create(
    model=${JSON.stringify(model)},
    messages=${JSON.stringify(messages, null, 4).replaceAll("\n", "\n    ")},
${given.join("")})
print(answer.choices[0].message.content)
`;
}
