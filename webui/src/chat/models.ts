import { useQuery } from "@tanstack/react-query";
import { open } from "../api/client";
import type { Sampling } from "./settings/sampling";

export interface ChatModel {
  name: string;
  ready: boolean;
  sees_images: boolean;
  backend: string;
  sampling: Sampling;
}

async function chatModels(): Promise<ChatModel[]> {
  const answer = await open("api/v1/chat/models");
  return (await answer.json()) as ChatModel[];
}

/** Those that a message can be sent to. */
export function useChatModels() {
  return useQuery({ queryKey: ["chat-models"], queryFn: chatModels, staleTime: 0 });
}
