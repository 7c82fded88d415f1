import { ActionIcon, Group, Menu, Tooltip } from "@mantine/core";
import {
  IconDots,
  IconExternalLink,
  IconMessage,
  IconPencil,
  IconPlayerPlay,
  IconPlayerStop,
  IconRefresh,
  IconTrash,
} from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import type { Instance } from "../api/client";
import { useQuestion } from "../ui/Ask";
import { allows, openEnginePage, perform, startEvicting } from "./actions";

/** What can be done now, and nothing else. */
export function RowActions({ instance, gone }: { instance: Instance; gone?: () => void }) {
  const navigate = useNavigate();
  const [ask, question] = useQuestion();
  const { name } = instance;
  const starts = allows(instance, "start");
  const stops = allows(instance, "stop");
  return (
    <Group gap={2} wrap="nowrap" justify="flex-end">
      {question}
      {starts ? (
        <Quick label={`Start ${name}`} run={() => perform("start", name)}>
          <IconPlayerPlay size={18} />
        </Quick>
      ) : (
        <Quick label={`Stop ${name}`} run={() => perform("stop", name)} disabled={!stops}>
          <IconPlayerStop size={18} />
        </Quick>
      )}
      <Menu position="bottom-end" withinPortal>
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" aria-label={`More for ${name}`}>
            <IconDots size={18} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item
            leftSection={<IconMessage size={16} />}
            onClick={() => navigate({ to: "/chat", search: { model: name } })}
          >
            Chat
          </Menu.Item>
          <Menu.Item
            leftSection={<IconPencil size={16} />}
            onClick={() => navigate({ to: "/instances/$name/edit", params: { name } })}
          >
            Edit
          </Menu.Item>
          {instance.state === "ready" && (
            <Menu.Item
              leftSection={<IconExternalLink size={16} />}
              onClick={() => openEnginePage(name)}
            >
              Open the engine's page
            </Menu.Item>
          )}
          <Menu.Divider />
          {starts && (
            <Menu.Item
              leftSection={<IconPlayerPlay size={16} />}
              onClick={() => startEvicting(name)}
            >
              Start, and make room
            </Menu.Item>
          )}
          {allows(instance, "restart") && (
            <Menu.Item
              leftSection={<IconRefresh size={16} />}
              onClick={() => perform("restart", name)}
            >
              Restart
            </Menu.Item>
          )}
          {stops && (
            <Menu.Item
              leftSection={<IconPlayerStop size={16} />}
              onClick={() =>
                ask({
                  title: `Stop ${name} now?`,
                  text: "Requests that it is answering are cut.",
                  action: "Stop now",
                  run: () => perform("stop", name, true),
                })
              }
            >
              Stop now
            </Menu.Item>
          )}
          <Menu.Item
            color="red"
            leftSection={<IconTrash size={16} />}
            onClick={() =>
              ask({
                title: `Delete ${name}?`,
                text: "Its definition and its log are removed. The model's file stays.",
                action: "Delete",
                run: async () => {
                  await perform("delete", name);
                  gone?.();
                },
              })
            }
          >
            Delete
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </Group>
  );
}

interface QuickProps {
  label: string;
  run: () => unknown;
  disabled?: boolean;
  children: React.ReactNode;
}

function Quick({ label, run, disabled, children }: QuickProps) {
  return (
    <Tooltip label={label}>
      <ActionIcon
        variant="subtle"
        color="gray"
        onClick={run}
        disabled={disabled ?? false}
        aria-label={label}
      >
        {children}
      </ActionIcon>
    </Tooltip>
  );
}
