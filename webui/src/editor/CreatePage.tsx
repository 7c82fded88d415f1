import { Alert, Button, Grid, Group, Stack, Switch, TextInput } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { api, said } from "../api/client";
import { ButtonLink } from "../ui/links";
import { Page } from "../ui/Page";
import { tell } from "../ui/tell";
import { useWork } from "../ui/work";
import { DefinitionForm } from "./DefinitionForm";
import { bodyOf, type Definition, EMPTY, modelIn } from "./definition";
import { Preview, usePreview } from "./Preview";
import { faultAt } from "./refusal";

export function CreatePage() {
  const { model } = useSearch({ from: "/new" });
  const navigate = useNavigate();
  const [name, setName] = useState(model ? nameOf(model) : "");
  const [start, setStart] = useState(true);
  const [allowUnknown, setAllowUnknown] = useState(false);
  const { busy, fault, failures, run } = useWork();
  const [definition, setDefinition] = useState<Definition>(
    model ? { ...EMPTY, backend_options: { model } } : EMPTY,
  );
  const preview = usePreview({ name, body: bodyOf(definition), allowUnknown, isNew: true });

  // what is missing is a mistake once it was sent
  const refusal = failures ? preview.found : preview.refusal;

  const create = () =>
    run(async () => {
      const fetches = start && (await mustBeFetched(definition));
      await said(
        api.POST("/api/v1/instances/{name}", {
          params: {
            path: { name },
            query: { start: start && !fetches, wait: false, allow_unknown: allowUnknown },
          },
          body: bodyOf(definition),
        }),
      );
      if (fetches) {
        await said(api.POST("/api/v1/models/download", { body: { model: modelIn(definition) } }));
        tell(`${name} was created. The first request starts it, once its model is downloaded.`);
        await navigate({ to: "/models" });
      } else {
        await navigate({ to: "/instances/$name", params: { name } });
      }
    });

  return (
    <Page title="New instance" lead="A model that llamactl runs under a name that you choose.">
      <Grid>
        <Grid.Col span={{ base: 12, md: 7 }}>
          <Stack>
            <TextInput
              label="Name"
              description="The “model” in API requests"
              error={
                preview.exists ? "An instance has this name already" : faultAt(refusal, "name")
              }
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
              required
              withAsterisk={false}
              autoFocus
            />
            <DefinitionForm
              definition={definition}
              change={setDefinition}
              allowUnknown={() => setAllowUnknown(true)}
              refusal={refusal}
              refused={failures}
            />
          </Stack>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 5 }}>
          <Stack pos="sticky" top={68}>
            <Preview
              preview={preview}
              allowUnknown={allowUnknown}
              setAllowUnknown={setAllowUnknown}
            />
            {fault && (
              <Alert color="red" title="Could not create the instance" role="alert">
                {fault}
              </Alert>
            )}
            <Switch
              label="Start it now"
              checked={start}
              onChange={(event) => setStart(event.currentTarget.checked)}
            />
            <Group>
              <Button onClick={create} loading={busy} disabled={!name.trim()}>
                Create
              </Button>
              <ButtonLink to="/instances" variant="default">
                Cancel
              </ButtonLink>
            </Group>
          </Stack>
        </Grid.Col>
      </Grid>
    </Page>
  );
}

/** Is its model one of the hub's that is not on this machine? */
async function mustBeFetched(definition: Definition): Promise<boolean> {
  if (!definition.backend_options.hf_repo) return false;
  const query = { model: modelIn(definition) };
  const { response } = await api.GET("/api/v1/models/inspect", { params: { query } });
  return response.status === 404;
}

/** A name that a model's file suggests. */
function nameOf(path: string): string {
  const file = path.slice(path.lastIndexOf("/") + 1).replace(/\.gguf$/i, "");
  return file
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .toLowerCase()
    .slice(0, 64);
}
