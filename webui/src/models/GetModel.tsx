import { Alert, Anchor, Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { api, type Schemas, said } from "../api/client";
import { bytes, count } from "../ui/format";
import { useWork } from "../ui/work";

interface Props {
  close: () => void;
  /** What is done with the file that was chosen, instead of fetching it now. */
  choose?: (repo: string, file: string) => void;
}

/** From the hub: search, or name a repository; then one of its quantisations. */
export function GetModel({ close, choose }: Props) {
  const [text, setText] = useState("");
  const [found, setFound] = useState<Schemas["FoundBody"][]>();
  const [repo, setRepo] = useState("");
  const [seen, setSeen] = useState<Schemas["RepositoryBody"]>();
  const { busy, fault, run } = useWork();

  const look = (name: string) =>
    run(async () => {
      setSeen(
        await said(api.GET("/api/v1/models/repository", { params: { query: { repo: name } } })),
      );
      setRepo(name);
    });
  const search = () =>
    run(async () => {
      setSeen(undefined);
      const words = text.trim();
      if (/^[^\s/:]+\/[^\s/:]+$/.test(words)) {
        await look(words);
        return;
      }
      if (words.includes("/") && !choose) {
        await fetchIt(words);
        return;
      }
      setFound(await said(api.GET("/api/v1/models/search", { params: { query: { q: words } } })));
    });
  const fetchIt = (model: string) =>
    run(async () => {
      await said(api.POST("/api/v1/models/download", { body: { model } }));
      close();
    });

  const action = choose ? "Choose" : "Download";
  return (
    <Modal opened onClose={close} title={choose ? "Choose a model" : "Download a model"} size="lg">
      <Stack>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void search();
          }}
        >
          <Group align="flex-end" wrap="nowrap">
            <TextInput
              label="Search the hub"
              description={
                choose
                  ? "Words, or org/repo"
                  : "Words, org/repo, or org/repo:QUANT to download directly"
              }
              value={text}
              onChange={(event) => setText(event.currentTarget.value)}
              flex={1}
              data-autofocus
            />
            <Button type="submit" loading={busy} disabled={!text.trim()}>
              Search
            </Button>
          </Group>
        </form>
        {fault && (
          <Alert color="red" role="alert" title="Request failed">
            {fault}
          </Alert>
        )}
        {seen ? (
          <Stack gap="xs">
            <Text fw={600}>{repo}</Text>
            {seen.mmproj && <Text size="sm">Supports images.</Text>}
            {seen.choices.length === 0 && <Text>No GGUF files.</Text>}
            {seen.choices.map((choice) => (
              <Group key={choice.file} justify="space-between" wrap="nowrap">
                <div>
                  <Text size="sm" fw={500}>
                    {choice.quant || choice.file}
                  </Text>
                  <Text size="xs" c="dimmed">
                    {bytes(choice.size)}
                    {choice.fits === false && " · does not fit in memory"}
                  </Text>
                </div>
                <Button
                  size="xs"
                  aria-label={`${action} ${choice.quant || choice.file}`}
                  onClick={() => {
                    if (!choose) return fetchIt(`${repo}/${choice.file}`);
                    choose(repo, choice.file);
                    close();
                  }}
                >
                  {action}
                </Button>
              </Group>
            ))}
          </Stack>
        ) : (
          found && (
            <Stack gap="xs">
              {found.length === 0 && <Text>No matching models with GGUF files on the hub.</Text>}
              {found.map((one) => (
                <Group key={one.repo} justify="space-between" wrap="nowrap">
                  <Anchor component="button" type="button" onClick={() => look(one.repo)}>
                    {one.repo}
                  </Anchor>
                  <Text size="sm" c="dimmed">
                    {count(one.downloads)} downloads{one.gated && " · gated"}
                  </Text>
                </Group>
              ))}
            </Stack>
          )
        )}
      </Stack>
    </Modal>
  );
}
