import { Center, Paper, Stack, Title } from "@mantine/core";
import type { ReactNode } from "react";

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <Paper withBorder p="xl">
      <Center>
        <Stack gap="xs" align="center" maw={460} ta="center">
          <Title order={2} size="h4">
            {title}
          </Title>
          {children}
        </Stack>
      </Center>
    </Paper>
  );
}
