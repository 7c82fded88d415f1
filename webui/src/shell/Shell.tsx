import {
  ActionIcon,
  AppShell,
  Burger,
  Group,
  ScrollArea,
  Text,
  Tooltip,
  useComputedColorScheme,
  useMantineColorScheme,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconActivity,
  IconArrowsExchange,
  IconBox,
  IconCpu,
  IconKey,
  IconLayoutDashboard,
  IconMessages,
  IconMoon,
  IconServer2,
  IconSun,
} from "@tabler/icons-react";
import { Navigate, Outlet, useLocation } from "@tanstack/react-router";
import { useEffect } from "react";
import type { Session } from "../api/client";
import { stream } from "../live/stream";
import { SignOut } from "../session/SignOut";
import icon from "../ui/icon.svg";
import { AnchorLink, PlaceLink } from "../ui/links";
import { LostBanner } from "./LostBanner";

const PLACES = [
  { to: "/dashboard", label: "Dashboard", Icon: IconLayoutDashboard, chat: false },
  { to: "/instances", label: "Instances", Icon: IconServer2, chat: false },
  { to: "/chat", label: "Chat", Icon: IconMessages, chat: true },
  { to: "/models", label: "Models", Icon: IconBox, chat: false },
  { to: "/keys", label: "Keys", Icon: IconKey, chat: false },
  { to: "/requests", label: "Requests", Icon: IconArrowsExchange, chat: false },
  { to: "/activity", label: "Activity", Icon: IconActivity, chat: false },
  { to: "/system", label: "System", Icon: IconCpu, chat: false },
] as const;

export function Shell({ session }: { session: Session }) {
  const [opened, { toggle, close }] = useDisclosure();
  const path = useLocation({ select: (location) => location.pathname });
  const manages = session.management;
  useEffect(() => (manages ? stream.open() : undefined), [manages]);

  return (
    <AppShell
      header={{ height: 52 }}
      navbar={{ width: 208, breakpoint: "sm", collapsed: { mobile: !opened } }}
      padding="md"
    >
      <button type="button" className="skip" onClick={focusMain}>
        Skip to content
      </button>
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger
              opened={opened}
              onClick={toggle}
              hiddenFrom="sm"
              size="sm"
              aria-label={opened ? "Close the menu" : "Open the menu"}
            />
            <AnchorLink to="/" underline="never" c="inherit">
              <Group gap={8} wrap="nowrap">
                <img src={icon} width={28} height={28} alt="" />
                <Text fw={700} component="span">
                  llamactl
                </Text>
              </Group>
            </AnchorLink>
          </Group>
          <Group gap={4} wrap="nowrap">
            <SchemeButton />
            {session.expires_at !== null && <SignOut owner={session.key_id} />}
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label="Pages" className={opened ? "" : "closed"}>
        <AppShell.Section grow component={ScrollArea}>
          {PLACES.filter((place) => manages || place.chat).map(({ to, label, Icon }) => (
            <PlaceLink
              key={to}
              to={to}
              label={label}
              leftSection={<Icon size={18} aria-hidden="true" />}
              active={path.startsWith(to) || (to === "/instances" && path === "/new")}
              onClick={close}
              variant="light"
            />
          ))}
        </AppShell.Section>
        <AppShell.Section px="sm" py={4}>
          <Text size="xs" c="dimmed">
            llamactl {session.version}
          </Text>
        </AppShell.Section>
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1}>
        {manages && <LostBanner />}
        {manages || path === "/chat" ? <Outlet /> : <Navigate to="/chat" />}
      </AppShell.Main>
    </AppShell>
  );
}

/** A button, as the fragment is the router's. */
function focusMain() {
  document.getElementById("main")?.focus();
}

function SchemeButton() {
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme("light");
  const other = scheme === "dark" ? "light" : "dark";
  return (
    <Tooltip label={`Use ${other} colours`}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size="lg"
        onClick={() => setColorScheme(other)}
        aria-label={`Use ${other} colours`}
      >
        {scheme === "dark" ? <IconSun size={18} /> : <IconMoon size={18} />}
      </ActionIcon>
    </Tooltip>
  );
}
