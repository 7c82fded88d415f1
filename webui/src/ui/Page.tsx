import { Group, Stack, Text, Title } from "@mantine/core";
import { type ReactNode, useEffect } from "react";

interface Props {
  title: string;
  lead?: ReactNode;
  actions?: ReactNode;
  /** At least as high as the window. */
  fills?: boolean;
  /** Its heading and actions stay in sight. */
  sticky?: boolean;
  children: ReactNode;
}

/** Each page's heading and what can be done there. */
export function Page({ title, lead, actions, fills, sticky, children }: Props) {
  useEffect(() => {
    document.title = `${title} · llamactl`;
  }, [title]);
  return (
    <Stack gap="md" mih={fills ? "calc(100dvh - 52px - 2 * var(--mantine-spacing-md))" : undefined}>
      <Group
        justify="space-between"
        align="flex-end"
        gap="sm"
        {...(sticky && { className: "head" })}
      >
        <div>
          <Title order={1} size="h2">
            {title}
          </Title>
          {lead && (
            <Text c="dimmed" size="sm" component="div">
              {lead}
            </Text>
          )}
        </div>
        {actions && <Group gap="xs">{actions}</Group>}
      </Group>
      {children}
    </Stack>
  );
}
