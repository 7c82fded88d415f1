import { Button, Text } from "@mantine/core";
import { messageOf } from "../api/client";
import { Empty } from "../ui/Empty";
import { ButtonLink } from "../ui/links";
import { Page } from "../ui/Page";

/** What did not come, mostly since another version is served by now. */
export function Broken({ error }: { error: unknown }) {
  return (
    <Page title="This page could not be loaded">
      <Empty title="llamactl may have been upgraded since you opened it">
        <Text className="breaks">{messageOf(error)}</Text>
        <Button onClick={() => window.location.reload()}>Reload the page</Button>
      </Empty>
    </Page>
  );
}

export function Unknown() {
  return (
    <Page title="Page not found">
      <Empty title="This address does not exist">
        <ButtonLink to="/instances">All instances</ButtonLink>
      </Empty>
    </Page>
  );
}
