import { Alert, Button, Grid, Group, Stack, Text } from "@mantine/core";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { api, type Instance, said } from "../api/client";
import { useRowNamed } from "../live/stream";
import { ButtonLink } from "../ui/links";
import { Page } from "../ui/Page";
import { useWork } from "../ui/work";
import { DefinitionForm } from "./DefinitionForm";
import { changes, read } from "./definition";
import { Preview, usePreview } from "./Preview";

export function EditPage() {
  const { name } = useParams({ from: "/instances/$name/edit" });
  const row = useRowNamed(name);
  const known = useRef<Instance>(undefined);
  known.current ??= row?.instance;
  const instance = known.current;
  return (
    <Page title={`Edit ${name}`}>
      {instance && (
        <>
          {!row && (
            <Alert color="orange" role="alert" title="This instance was deleted">
              It can no longer be changed.
            </Alert>
          )}
          {instance.declared && (
            <Alert color="orange" title="This instance is declared in a file">
              Change the file in instances.configs_dir and reload. Changes here are refused.
            </Alert>
          )}
          <Editor instance={instance} />
        </>
      )}
    </Page>
  );
}

function Editor({ instance }: { instance: Instance }) {
  const { name } = instance;
  const navigate = useNavigate();
  const [before] = useState(() => read(instance.options));
  const [definition, setDefinition] = useState(before);
  const [allowUnknown, setAllowUnknown] = useState(false);
  const { busy, fault, failures, run } = useWork();
  const body = changes(before, definition);
  const changed = Object.keys(body).length > 0;
  const preview = usePreview({ name, body, allowUnknown });

  const save = () =>
    run(async () => {
      await said(
        api.PUT("/api/v1/instances/{name}", {
          params: { path: { name }, query: { wait: false, allow_unknown: allowUnknown } },
          body,
        }),
      );
      await navigate({ to: "/instances/$name", params: { name } });
    });

  return (
    <Grid>
      <Grid.Col span={{ base: 12, md: 7 }}>
        <DefinitionForm
          definition={definition}
          change={setDefinition}
          allowUnknown={() => setAllowUnknown(true)}
          refusal={preview.refusal}
          refused={failures}
        />
      </Grid.Col>
      <Grid.Col span={{ base: 12, md: 5 }}>
        <Stack pos="sticky" top={68}>
          <Preview
            preview={preview}
            allowUnknown={allowUnknown}
            setAllowUnknown={setAllowUnknown}
          />
          {fault && (
            <Alert color="red" title="Could not save the changes" role="alert">
              {fault}
            </Alert>
          )}
          <Text size="sm" c="dimmed">
            {changed
              ? `Changes: ${Object.keys({ ...body, ...(body.backend_options as object) })
                  .filter((key) => key !== "backend_options")
                  .join(", ")}`
              : "No changes yet."}
          </Text>
          <Group>
            <Button onClick={save} loading={busy} disabled={!changed}>
              Save
            </Button>
            <ButtonLink to="/instances/$name" params={{ name }} variant="default">
              Cancel
            </ButtonLink>
          </Group>
        </Stack>
      </Grid.Col>
    </Grid>
  );
}
