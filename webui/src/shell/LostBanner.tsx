import { Alert } from "@mantine/core";
import { IconPlugConnectedX } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { useConnection } from "../live/stream";
import { sessionQuery } from "../session/session";

/** Says that what is shown may be old, and looks whether we are still let in. */
export function LostBanner() {
  const lost = useConnection() === "lost";
  const client = useQueryClient();
  useEffect(() => {
    if (lost) void client.invalidateQueries({ queryKey: sessionQuery.queryKey });
  }, [lost, client]);
  if (!lost) return null;
  return (
    <Alert
      color="orange"
      variant="light"
      mb="md"
      role="status"
      icon={<IconPlugConnectedX aria-hidden="true" />}
      title="Connection to the server lost"
    >
      The data shown may be out of date. The page reconnects automatically as soon as the server
      responds.
    </Alert>
  );
}
