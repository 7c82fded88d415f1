import { ActionIcon, Button, Checkbox, Group, Modal, Stack, Tooltip } from "@mantine/core";
import { IconLogout } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, said } from "../api/client";
import { plural } from "../ui/format";
import { attempt } from "../ui/tell";
import { endSession } from "./session";

/** Signs out; where the key has chats in this browser, it asks what becomes of them. */
export function SignOut({ owner }: { owner: string }) {
  const client = useQueryClient();
  const [chats, setChats] = useState(0);
  const [asks, setAsks] = useState(false);
  const [deletes, setDeletes] = useState(false);

  const signOut = (clears: boolean) =>
    attempt("Signing out failed", async () => {
      setAsks(false);
      // before the session ends: who is asked to sign in again believes that they are gone
      if (clears) await (await import("../chat/history/store")).forgetAll(owner);
      await said(api.DELETE("/api/v1/session"));
      endSession(client);
    });
  const begin = async () => {
    const count = await import("../chat/history/store")
      .then((store) => store.countAll(owner))
      .catch(() => 0); // a browser that stores nothing
    if (!count) return signOut(false);
    setChats(count);
    setDeletes(false);
    setAsks(true);
  };
  return (
    <>
      <Tooltip label="Sign out">
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          onClick={() => void begin()}
          aria-label="Sign out"
        >
          <IconLogout size={18} />
        </ActionIcon>
      </Tooltip>
      <Modal opened={asks} onClose={() => setAsks(false)} title="Sign out" centered>
        <Stack>
          <Checkbox
            label="Also delete this key's chats from this browser"
            description={`${plural(chats, "chat")}. Otherwise they are here when this key signs in again.`}
            checked={deletes}
            onChange={(event) => setDeletes(event.currentTarget.checked)}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={() => setAsks(false)}>
              Cancel
            </Button>
            <Button onClick={() => void signOut(deletes)} data-autofocus>
              Sign out
            </Button>
          </Group>
        </Stack>
      </Modal>
    </>
  );
}
