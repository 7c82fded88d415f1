import { ActionIcon, Box, Drawer, Stack, Text, Tooltip } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconAdjustments, IconHistory, IconPlus } from "@tabler/icons-react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect } from "react";
import { useSession } from "../session/session";
import { Page } from "../ui/Page";
import classes from "./ChatPage.module.css";
import { Composer } from "./compose/Composer";
import { useDraft } from "./compose/useDraft";
import { useDrop } from "./compose/useDrop";
import { History } from "./history/History";
import { ModelSelect } from "./ModelSelect";
import { Messages } from "./messages/Messages";
import { useChatModels } from "./models";
import { ShareMenu } from "./ShareMenu";
import { ChatSettings } from "./settings/ChatSettings";
import { asked, type Conversation } from "./talk/conversation";
import { useAnswer } from "./useAnswer";
import { useChats } from "./useChats";
import { useScroll } from "./useScroll";

export function ChatPage() {
  const { model: wanted } = useSearch({ from: "/chat" });
  const navigate = useNavigate({ from: "/chat" });
  const chats = useChats(useSession()?.key_id ?? "", wanted ?? "");
  const { talk, change, switchTo } = chats;
  const answers = useAnswer(change);
  const models = useChatModels();
  const model = models.data?.find((one) => one.name === talk.model);
  const draft = useDraft(talk.model, model?.sees_images ?? false);
  const drop = useDrop((files) => void draft.take(files));
  const [history, historyOpen] = useDisclosure();
  const [settings, settingsOpen] = useDisclosure();
  const coming = answers.coming?.id === talk.id ? answers.coming : undefined;

  const first = models.data?.find((one) => one.ready)?.name ?? models.data?.[0]?.name;
  useEffect(() => {
    if (!talk.model && first) switchTo(first);
  }, [talk.model, first, switchTo]);
  useEffect(() => {
    if (wanted) switchTo(wanted);
  }, [wanted, switchTo]);
  const { refetch } = models;
  const busy = answers.coming !== undefined;
  useEffect(() => {
    if (!busy) void refetch(); // an answer may have started the engine, which then says more
  }, [busy, refetch]);
  useScroll(talk);

  /** The address names the model only until another one, or another chat, is chosen. */
  const leave = () => wanted && void navigate({ search: {}, replace: true, resetScroll: false });
  const choose = (name: string) => {
    leave();
    switchTo(name);
  };
  const open = (other: Conversation) => {
    leave();
    chats.open(other);
    historyOpen.close();
  };
  const list = (
    <History
      talks={chats.talks}
      talk={talk}
      open={open}
      rename={(one, title) => change(one.id, (now) => ({ ...now, title }))}
      remove={chats.remove}
      add={chats.add}
    />
  );
  return (
    <Box className={classes.columns} {...drop.handlers}>
      <Box
        component="section"
        aria-label="Earlier chats"
        className={classes.history}
        visibleFrom="md"
      >
        {list}
      </Box>
      <Box flex={1} miw={0}>
        <Page
          title="Chat"
          fills
          sticky
          actions={
            <>
              <ModelSelect
                models={models.data ?? []}
                isPending={models.isPending}
                model={talk.model}
                choose={choose}
              />
              <IconAction label="New chat" run={chats.begin} Icon={IconPlus} />
              <Box hiddenFrom="md">
                <IconAction label="Earlier chats" run={historyOpen.open} Icon={IconHistory} />
              </Box>
              <IconAction label="Chat settings" run={settingsOpen.open} Icon={IconAdjustments} />
              <ShareMenu talk={talk} />
            </>
          }
        >
          <Stack maw={860} w="100%" mx="auto" flex={1} gap="lg">
            {talk.turns.length === 0 && !coming && (
              <Text c="dimmed" ta="center" mt="15vh">
                Send a message to {talk.model || "a model"}. Your messages stay on this machine.
              </Text>
            )}
            <Messages
              talk={talk}
              backend={model?.backend}
              coming={coming}
              busy={busy}
              answers={answers}
              change={change}
            />
          </Stack>
          <Composer
            draft={draft}
            busy={busy}
            disabled={!talk.model}
            say={(text, images) => {
              const next = asked(talk, text, images);
              change(talk.id, () => next);
              void answers.answer(next);
            }}
            stop={answers.stop}
          />
        </Page>
      </Box>
      {drop.over && (
        <Box className={classes.drop} aria-hidden="true">
          Drop images or text files to attach them
        </Box>
      )}
      <Drawer opened={history} onClose={historyOpen.close} title="Earlier chats" position="left">
        {list}
      </Drawer>
      <Drawer opened={settings} onClose={settingsOpen.close} title="Chat settings" position="right">
        <ChatSettings
          params={talk.params}
          sampling={model?.sampling}
          change={(params) => change(talk.id, (now) => ({ ...now, params }))}
        />
      </Drawer>
    </Box>
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
