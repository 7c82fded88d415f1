import { type Conversation, type Params, type Turn, thread } from "./conversation";

/** As OpenAI's API has it. What can't be read as JSON is left out; its field says so. */
export function requestOf(talk: Conversation, turns = thread(talk)): Record<string, unknown> {
  const { params } = talk;
  const messages = turns.filter((turn) => !turn.fault).map(messageOf);
  return {
    model: talk.model,
    messages: params.system ? [{ role: "system", content: params.system }, ...messages] : messages,
    ...given(params),
  };
}

/** A request for more of the last answer. `backend` is that of its model. */
export function continuationOf(talk: Conversation, backend: string): Record<string, unknown> {
  const turns = thread(talk).map(({ fault, ...turn }, index, all) =>
    fault && index < all.length - 1 ? { ...turn, fault } : turn,
  );
  // others continue such a message by themselves:
  // https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
  const more =
    backend === "vllm" ? { continue_final_message: true, add_generation_prompt: false } : {};
  return { ...requestOf(talk, turns), ...more };
}

/** Engines that take a last message of the assistant as the beginning of the answer. */
export function continues(backend: string): boolean {
  return ["", "llama_cpp", "vllm"].includes(backend);
}

function messageOf({ role, text, images, calls }: Turn): Record<string, unknown> {
  const content = images?.length
    ? [
        ...(text ? [{ type: "text", text }] : []),
        ...images.map((url) => ({ type: "image_url", image_url: { url } })),
      ]
    : text;
  const tool_calls = calls?.map((call) => ({
    id: call.id,
    type: "function",
    function: { name: call.name, arguments: call.arguments },
  }));
  return { role, content, ...(tool_calls ? { tool_calls } : {}) };
}

const NUMBERS = ["temperature", "top_p", "top_k", "min_p", "max_tokens"] as const;

function given(params: Params): Record<string, unknown> {
  const numbers = NUMBERS.map((name) => [name, params[name]] as const);
  const schema = objectIn(params.schema);
  const tools = listIn(params.tools);
  return {
    ...Object.fromEntries(numbers.filter(([, value]) => value !== "")),
    ...(schema && {
      response_format: { type: "json_schema", json_schema: { name: "answer", schema } },
    }),
    ...(tools && { tools }),
  };
}

/** What is wrong with the text of a schema; "" for nothing. */
export function schemaFault(text: string): string {
  return text.trim() === "" || objectIn(text) ? "" : `${NOT_JSON} object, such as ${SCHEMA}`;
}

export function toolsFault(text: string): string {
  return text.trim() === "" || listIn(text) ? "" : `${NOT_JSON} list of tools, in OpenAI's format`;
}

const NOT_JSON = "Not sent: this must be a JSON";
const SCHEMA = '{"type": "object", "properties": {…}}';

function objectIn(text: string): object | undefined {
  const value = parsed(text);
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
}

function listIn(text: string): object[] | undefined {
  const value = parsed(text);
  const is = Array.isArray(value) && value.length > 0;
  return is && value.every((one) => typeof one === "object" && one !== null) ? value : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
