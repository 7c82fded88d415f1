import {
  ActionIcon,
  Box,
  Button,
  Drawer,
  FileButton,
  Group,
  Loader,
  Menu,
  Select,
  Stack,
  Text,
  Textarea,
  Tooltip,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconAdjustments,
  IconHistory,
  IconPhoto,
  IconPlayerStop,
  IconPlus,
  IconSend,
  IconShare,
  IconTrash,
} from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { base, open } from "../api/client";
import { copyText } from "../ui/clipboard";
import { download } from "../ui/download";
import { span } from "../ui/format";
import { NumberField } from "../ui/NumberField";
import { useNow } from "../ui/now";
import { Page } from "../ui/Page";
import { attempt, tell } from "../ui/tell";
import type { Progress } from "./ask";
import { asCurl, asMarkdown, asPython, type Params, unfold } from "./conversation";
import { Markdown } from "./Markdown";
import { MessageView, Reasoning } from "./MessageView";
import { useChat } from "./useChat";

interface ChatModel {
  name: string;
  ready: boolean;
  sees_images: boolean;
}

async function chatModels(): Promise<ChatModel[]> {
  const answer = await open("api/v1/chat/models");
  return (await answer.json()) as ChatModel[];
}

export function ChatPage() {
  const { model: wanted } = useSearch({ from: "/chat" });
  const models = useQuery({ queryKey: ["chat-models"], queryFn: chatModels, staleTime: 0 });
  const chat = useChat(wanted ?? "");
  const { talk, progress, change } = chat;
  const [history, historyOpen] = useDisclosure();
  const [params, paramsOpen] = useDisclosure();
  const names = models.data?.map((one) => one.name) ?? [];
  const first = models.data?.find((one) => one.ready)?.name ?? names[0];
  const model = models.data?.find((one) => one.name === talk.model);

  useEffect(() => {
    if (!talk.model && first) change({ ...talk, model: first });
  }, [talk, first, change]);
  useEffect(() => {
    if (talk.messages.length) window.scrollTo({ top: document.documentElement.scrollHeight });
  }, [talk.messages.length]);
  useEffect(() => {
    if (progress?.text && nearEnd()) {
      window.scrollTo({ top: document.documentElement.scrollHeight });
    }
  }, [progress?.text]);

  const copy = (text: string, what: string) =>
    attempt("Copying failed", async () => {
      await copyText(text);
      tell(`${what} copied. It reads the key from LLAMACTL_API_KEY.`);
    });
  return (
    <Page
      title="Chat"
      fills
      actions={
        <>
          <Select
            aria-label="Instance"
            placeholder={models.isPending ? "Loading…" : "No instances yet"}
            data={(models.data ?? []).map((one) => ({
              value: one.name,
              label: one.ready ? one.name : `${one.name} (starts on demand)`,
            }))}
            value={talk.model || null}
            onChange={(name) => name && change({ ...talk, model: name })}
            allowDeselect={false}
            searchable
            w={{ base: 150, sm: 280 }}
          />
          <IconAction label="New chat" run={chat.begin} Icon={IconPlus} />
          <IconAction label="Earlier chats" run={historyOpen.open} Icon={IconHistory} />
          <IconAction label="Chat settings" run={paramsOpen.open} Icon={IconAdjustments} />
          <Menu position="bottom-end">
            <Menu.Target>
              <ActionIcon
                variant="default"
                size="input-sm"
                aria-label="Share this chat"
                disabled={talk.messages.length === 0}
              >
                <IconShare size={18} />
              </ActionIcon>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item onClick={() => copy(asCurl(talk, base), "curl command")}>
                Copy as curl
              </Menu.Item>
              <Menu.Item onClick={() => copy(asPython(talk, base), "Python code")}>
                Copy as Python
              </Menu.Item>
              <Menu.Item
                onClick={() => download(`${talk.title}.md`, asMarkdown(talk), "text/markdown")}
              >
                Export as Markdown
              </Menu.Item>
              <Menu.Item
                onClick={() => download(`${talk.title}.json`, JSON.stringify(talk, null, 2))}
              >
                Export as JSON
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </>
      }
    >
      <Stack maw={860} w="100%" mx="auto" flex={1} gap="lg">
        {talk.messages.length === 0 && !progress && (
          <Text c="dimmed" ta="center" mt="15vh">
            Send a message to {talk.model || "a model"}. Your messages stay on this machine.
          </Text>
        )}
        {talk.messages.map((message, index) => (
          <MessageView
            key={index}
            message={message}
            who={talk.model}
            again={
              message.role === "assistant" && !progress ? () => void chat.again(index) : undefined
            }
            edit={
              message.role === "user" && !progress
                ? (text) =>
                    void chat.answer({
                      ...talk,
                      messages: [...talk.messages.slice(0, index), { ...message, text }],
                    })
                : undefined
            }
          />
        ))}
        {progress && <Coming progress={progress} who={talk.model} />}
      </Stack>
      <Composer
        busy={progress !== undefined}
        images={model?.sees_images ?? false}
        disabled={!talk.model}
        say={(text, images) => void chat.say(text, images)}
        stop={chat.stop}
      />
      <Drawer opened={history} onClose={historyOpen.close} title="Earlier chats" position="right">
        <Stack gap={4}>
          {chat.talks.length === 0 && <Text c="dimmed">No chats in this browser.</Text>}
          {chat.talks.map((one) => (
            <Group key={one.id} wrap="nowrap" gap={4}>
              <Button
                variant={one.id === talk.id ? "light" : "subtle"}
                justify="flex-start"
                fullWidth
                onClick={() => {
                  chat.open(one);
                  historyOpen.close();
                }}
              >
                {one.title}
              </Button>
              <ActionIcon
                variant="subtle"
                color="gray"
                aria-label={`Delete ${one.title}`}
                onClick={() => chat.remove(one.id)}
              >
                <IconTrash size={16} />
              </ActionIcon>
            </Group>
          ))}
        </Stack>
      </Drawer>
      <Drawer opened={params} onClose={paramsOpen.close} title="Chat settings" position="right">
        <ParamFields params={talk.params} change={(next) => change({ ...talk, params: next })} />
      </Drawer>
    </Page>
  );
}

/** Whoever scrolled up to read is left there. */
function nearEnd(): boolean {
  const { scrollHeight } = document.documentElement;
  return scrollHeight - window.innerHeight - window.scrollY < 160;
}

function Coming({ progress, who }: { progress: Progress; who: string }) {
  const { reasoning, answer } = unfold(progress.text);
  const thought = [progress.reasoning, reasoning].filter(Boolean).join("\n");
  const waits = !answer && !thought;
  return (
    <Box component="article" aria-label={`${who} is responding`}>
      <Text size="sm" fw={600} mb={4}>
        {who}
      </Text>
      {thought && <Reasoning text={thought} />}
      {waits ? (
        <Group gap="xs" role="status">
          <Loader size="xs" type="dots" />
          <Text size="sm" c="dimmed">
            {progress.ahead
              ? `${who} is waiting to start: ${progress.ahead} ahead of it`
              : progress.loading
                ? `${who} is starting`
                : "Reading your message"}
          </Text>
          {progress.loading && <Elapsed />}
        </Group>
      ) : (
        <Markdown text={answer} />
      )}
    </Box>
  );
}

function Elapsed() {
  const [began] = useState(() => Date.now());
  return (
    <Text size="sm" c="dimmed">
      {span(useNow() - began / 1000)}
    </Text>
  );
}

interface ComposerProps {
  busy: boolean;
  images: boolean;
  disabled: boolean;
  say: (text: string, images: string[]) => void;
  stop: () => void;
}

function Composer({ busy, images, disabled, say, stop }: ComposerProps) {
  const [text, setText] = useState("");
  const [attached, setAttached] = useState<string[]>([]);
  const send = () => {
    if (busy || disabled || !(text.trim() || attached.length)) return;
    say(text.trim(), attached);
    setText("");
    setAttached([]);
  };
  return (
    <Box
      pos="sticky"
      bottom={0}
      bg="var(--mantine-color-body)"
      py="sm"
      w="100%"
      maw={860}
      mx="auto"
    >
      {attached.length > 0 && (
        <Group mb="xs">
          {attached.map((url) => (
            <img key={url} src={url} alt="Attached" height={64} />
          ))}
          <Button size="xs" variant="subtle" onClick={() => setAttached([])}>
            Remove images
          </Button>
        </Group>
      )}
      <Group align="flex-end" gap="xs" wrap="nowrap">
        {images && (
          <FileButton
            accept="image/*"
            multiple
            onChange={async (files) => setAttached(await Promise.all(files.map(dataUrl)))}
          >
            {(props) => (
              <ActionIcon {...props} variant="default" size="input-sm" aria-label="Attach images">
                <IconPhoto size={18} />
              </ActionIcon>
            )}
          </FileButton>
        )}
        <Textarea
          aria-label="Message"
          placeholder="Write a message; Shift+Enter for a new line"
          autosize
          minRows={1}
          maxRows={10}
          flex={1}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
              event.preventDefault();
              send();
            }
          }}
        />
        {busy ? (
          <Button variant="default" leftSection={<IconPlayerStop size={16} />} onClick={stop}>
            Stop
          </Button>
        ) : (
          <Button leftSection={<IconSend size={16} />} onClick={send} disabled={disabled}>
            Send
          </Button>
        )}
      </Group>
    </Box>
  );
}

function dataUrl(file: File): Promise<string> {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result));
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(file);
  });
}

function ParamFields({ params, change }: { params: Params; change: (next: Params) => void }) {
  const number = (value: string | number | undefined): number | "" =>
    typeof value === "number" ? value : "";
  return (
    <Stack>
      <Textarea
        label="System prompt"
        autosize
        minRows={3}
        value={params.system}
        onChange={(event) => change({ ...params, system: event.currentTarget.value })}
      />
      <NumberField
        label="Temperature"
        description="Higher values give more varied responses"
        min={0}
        max={5}
        step={0.1}
        value={params.temperature}
        change={(value) => change({ ...params, temperature: number(value) })}
      />
      <NumberField
        label="Top p"
        min={0}
        max={1}
        step={0.05}
        value={params.top_p}
        change={(value) => change({ ...params, top_p: number(value) })}
      />
      <NumberField
        label="Max tokens"
        whole
        min={1}
        value={params.max_tokens}
        change={(value) => change({ ...params, max_tokens: number(value) })}
      />
    </Stack>
  );
}

interface IconActionProps {
  label: string;
  run: () => void;
  Icon: typeof IconPlus;
}

function IconAction({ label, run, Icon }: IconActionProps) {
  return (
    <Tooltip label={label}>
      <ActionIcon variant="default" size="input-sm" aria-label={label} onClick={run}>
        <Icon size={18} />
      </ActionIcon>
    </Tooltip>
  );
}
