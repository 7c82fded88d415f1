import { Alert, Center, Loader } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { messageOf } from "../api/client";
import { SignIn } from "../session/SignIn";
import { sessionQuery } from "../session/session";
import { Shell } from "./Shell";

/** The page of somebody who is signed in, or how to sign in. */
export function Root() {
  const { data: session, error } = useQuery(sessionQuery);
  if (session === null) return <SignIn />;
  if (session) return <Shell session={session} />;
  return (
    <Center mih="100dvh" p="md" component="main">
      {error ? (
        <Alert color="red" title="llamactl is not responding" role="alert">
          {messageOf(error)} Is it running? Reload this page to retry.
        </Alert>
      ) : (
        <Loader aria-label="Loading" />
      )}
    </Center>
  );
}
