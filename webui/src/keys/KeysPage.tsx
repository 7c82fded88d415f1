import { Button, Card, Group, Stack, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Key, type Schemas, said } from "../api/client";
import { useQuestion } from "../ui/Ask";
import { Empty } from "../ui/Empty";
import { ago, exact } from "../ui/format";
import { useNow } from "../ui/now";
import { Page } from "../ui/Page";
import { attempt, tell } from "../ui/tell";
import { MadeKey } from "./MadeKey";
import { NewKey } from "./NewKey";

export function KeysPage() {
  const client = useQueryClient();
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<Schemas["NewKeyBody"]>();
  const keys = useQuery({
    queryKey: ["keys"],
    queryFn: () => said(api.GET("/api/v1/auth/keys")),
    staleTime: 0,
  });
  return (
    <Page
      title="Keys"
      lead="Inference keys give access to models, but can't change anything."
      actions={<Button onClick={() => setMaking(true)}>New key</Button>}
    >
      {making && (
        <NewKey
          close={() => setMaking(false)}
          made={(key) => {
            setMaking(false);
            setMade(key);
            void client.invalidateQueries({ queryKey: ["keys"] });
          }}
        />
      )}
      {made && <MadeKey name={made.name} value={made.key} close={() => setMade(undefined)} />}
      {keys.data?.length === 0 ? (
        <Empty title="No keys yet">
          <Text>Create one for each program or person that uses your models.</Text>
        </Empty>
      ) : (
        <Stack gap="sm">
          {keys.data?.map((key) => (
            <KeyCard key={key.id} one={key} />
          ))}
        </Stack>
      )}
    </Page>
  );
}

function KeyCard({ one }: { one: Key }) {
  const client = useQueryClient();
  const now = useNow();
  const [ask, question] = useQuestion();
  const allowed = useQuery({
    queryKey: ["permissions", one.id],
    queryFn: () =>
      said(
        api.GET("/api/v1/auth/keys/{key_id}/permissions", { params: { path: { key_id: one.id } } }),
      ),
    enabled: one.permission_mode === "per_instance",
  });
  const expired = one.expires_at !== null && one.expires_at <= now;
  const revoke = () =>
    attempt("Could not revoke the key", async () => {
      const waits = await said(
        api.DELETE("/api/v1/auth/keys/{key_id}", { params: { path: { key_id: one.id } } }),
      );
      await client.invalidateQueries({ queryKey: ["keys"] });
      if (waits)
        tell(
          waits.survives_restart
            ? "Revoked. The store can't be written now; the revocation is stored as soon as possible."
            : "Revoked until llamactl exits: it can't be stored now. Free some disk space.",
        );
    });
  return (
    <Card withBorder component="article" aria-label={one.name}>
      {question}
      <Group justify="space-between">
        <div style={{ minWidth: 0, flex: 1 }}>
          <Text fw={600} className="breaks">
            {one.name}
          </Text>
          <Text size="sm" c="dimmed" className="breaks">
            {one.permission_mode === "allow_all"
              ? "can use all instances"
              : `can use ${allowed.data?.instances.join(", ") || "none"}`}
            {" · "}
            {one.expires_at === null
              ? "never expires"
              : `${expired ? "expired" : "expires"} ${exact(one.expires_at)}`}
            {" · "}
            {one.last_used_at === null ? "never used" : `last used ${ago(one.last_used_at, now)}`}
          </Text>
        </div>
        <Button
          size="xs"
          variant="default"
          aria-label={`Revoke ${one.name}`}
          onClick={() =>
            ask({
              title: `Revoke ${one.name}?`,
              text: "Requests with this key are refused from now on. This can't be undone.",
              action: "Revoke",
              run: revoke,
            })
          }
        >
          Revoke
        </Button>
      </Group>
    </Card>
  );
}
