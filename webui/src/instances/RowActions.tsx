import { ActionIcon, type ActionIconProps, Group, Menu } from "@mantine/core";
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
import { type ComponentPropsWithRef, useEffect, useState } from "react";
import type { Instance } from "../api/client";
import { useQuestion } from "../ui/Ask";
import { allows, openEnginePage, perform, servedAs, startEvicting } from "./actions";

interface Props {
  instance: Instance;
  gone?: (() => void) | undefined;
}

/** What can be done now, and nothing else. */
export function RowActions({ instance, gone }: Props) {
  const [used, setUsed] = useState(false);
  const { name } = instance;
  return (
    <Group gap={2} wrap="nowrap" justify="flex-end">
      {allows(instance, "start") ? (
        <Quick label={`Start ${name}`} run={() => perform("start", name)}>
          <IconPlayerPlay size={18} />
        </Quick>
      ) : (
        <Quick
          label={`Stop ${name}`}
          run={() => perform("stop", name)}
          disabled={!allows(instance, "stop")}
        >
          <IconPlayerStop size={18} />
        </Quick>
      )}
      {used ? (
        <More instance={instance} gone={gone} />
      ) : (
        <MoreButton
          name={name}
          aria-haspopup="menu"
          aria-expanded={false}
          onClick={() => setUsed(true)}
        />
      )}
    </Group>
  );
}

/** Made when it is first asked for, as a list has many and its rows come and go quickly. */
function More({ instance, gone }: Props) {
  const navigate = useNavigate();
  const [ask, question] = useQuestion();
  const [opened, setOpened] = useState(false);
  useEffect(() => setOpened(true), []); // only now, so that it returns the focus to its button
  const { name } = instance;
  const starts = allows(instance, "start");
  return (
    <>
      {question}
      <Menu position="bottom-end" withinPortal opened={opened} onChange={setOpened}>
        <Menu.Target>
          <MoreButton name={name} autoFocus />
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item
            leftSection={<IconMessage size={16} />}
            onClick={() => navigate({ to: "/chat", search: { model: servedAs(instance) } })}
          >
            Chat
          </Menu.Item>
          <Menu.Item
            leftSection={<IconPencil size={16} />}
            onClick={() =>
              navigate({ to: "/instances/$name/edit", params: { name: servedAs(instance) } })
            }
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
              Start and make room
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
          {allows(instance, "stop") && (
            <Menu.Item
              leftSection={<IconPlayerStop size={16} />}
              onClick={() =>
                ask({
                  title: `Stop ${name} now?`,
                  text: "Running requests are aborted.",
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
                text: "Its definition and log are deleted. The model file is kept.",
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
    </>
  );
}

function MoreButton({
  name,
  ...rest
}: { name: string } & ActionIconProps & ComponentPropsWithRef<"button">) {
  return (
    <ActionIcon variant="subtle" color="gray" aria-label={`More actions for ${name}`} {...rest}>
      <IconDots size={18} />
    </ActionIcon>
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
    <ActionIcon
      variant="subtle"
      color="gray"
      onClick={run}
      disabled={disabled ?? false}
      aria-label={label}
      title={label}
    >
      {children}
    </ActionIcon>
  );
}
