import {
  Alert,
  Button,
  Center,
  Code,
  Paper,
  PasswordInput,
  Stack,
  Text,
  Title,
} from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import { api, said } from "../api/client";
import icon from "../ui/icon.svg";
import { useWork } from "../ui/work";
import { sessionQuery, useLinkFault } from "./session";

export function SignIn() {
  const client = useQueryClient();
  const [key, setKey] = useState("");
  const { busy, fault, run } = useWork();
  const linkFault = useLinkFault();
  useEffect(() => {
    document.title = "Sign in · llamactl";
  }, []);

  function signIn(event: FormEvent) {
    event.preventDefault();
    void run(async () => {
      const session = await said(api.POST("/api/v1/session", { body: { key: key.trim() } }));
      client.setQueryData(sessionQuery.queryKey, session);
    });
  }

  return (
    <Center mih="100dvh" p="md" component="main">
      <Paper withBorder p="xl" w="100%" maw={420} shadow="sm">
        <form onSubmit={signIn}>
          <Stack>
            <img src={icon} width={48} height={48} alt="" />
            <div>
              <Title order={1} size="h2">
                Sign in to llamactl
              </Title>
              <Text c="dimmed" size="sm" mt={4}>
                A management key gives full access; an inference key gives access to the chat.
              </Text>
            </div>
            <PasswordInput
              label="Key"
              value={key}
              onChange={(event) => setKey(event.currentTarget.value)}
              autoComplete="current-password"
              autoFocus
              required
              withAsterisk={false}
            />
            {(fault || linkFault) && (
              <Alert color="red" title="Could not sign in" role="alert">
                {fault || linkFault}
              </Alert>
            )}
            <Button type="submit" loading={busy} disabled={!key.trim()}>
              Sign in
            </Button>
            <Text c="dimmed" size="sm">
              The management key is stored in the file <Code>management_key</Code> in the data
              directory; llamactl prints its path when it starts. On that machine,{" "}
              <Code>llamactl open</Code> signs you in.
            </Text>
          </Stack>
        </form>
      </Paper>
    </Center>
  );
}
