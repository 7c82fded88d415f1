// Asks one model after the other with each Node client, and tells what each client's error says.
// `ask.mjs URL CASES`: as ask.py.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, streamText } from "ai";
import OpenAI from "openai";

const [url, text] = process.argv.slice(2);
const messages = [{ role: "user", content: "hi" }];

async function openai(model, apiKey, stream) {
  const client = new OpenAI({ baseURL: url, apiKey, maxRetries: 0 });
  const answer = await client.chat.completions.create({ model, messages, stream });
  if (stream) for await (const _ of answer);
}

async function vercel(model, apiKey, stream) {
  const provider = createOpenAICompatible({ name: "llamactl", baseURL: url, apiKey });
  const asked = { model: provider(model), messages, maxRetries: 0 };
  if (!stream) return generateText(asked);
  let fault;
  const answer = streamText({ ...asked, onError: ({ error }) => (fault = error) });
  await answer.consumeStream();
  if (fault) throw fault;
}

async function langchain(model, apiKey, stream) {
  const chat = new ChatOpenAI({ model, apiKey, maxRetries: 0, configuration: { baseURL: url } });
  if (!stream) return chat.invoke("hi");
  for await (const _ of await chat.stream("hi"));
}

async function faultOf(ask) {
  try {
    await ask();
  } catch (error) {
    const inner = error.data?.error ?? error.error ?? error;
    const message = error.message ?? String(error);
    return { class: error.name ?? typeof error, message, code: error.code ?? inner.code ?? null };
  }
  return { class: "", message: "no exception", code: null };
}

const told = {};
for (const [name, client] of Object.entries({ openai, vercel, langchain })) {
  told[name] = {};
  for (const [what, given] of Object.entries(JSON.parse(text)))
    told[name][what] = await faultOf(() => client(...given));
}
console.log(JSON.stringify(told));
