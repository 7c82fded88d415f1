import { Alert, Anchor, Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { IconArrowLeft } from "@tabler/icons-react";
import { useRef, useState } from "react";
import { api, type Schemas, said } from "../api/client";
import { count, day } from "../ui/format";
import { useWork } from "../ui/work";
import { Repository } from "./Repository";
import { Starters } from "./Starters";

interface Props {
  close: () => void;
  /** What is done with the file that was chosen, instead of fetching it now. */
  choose?: (repo: string, file: string) => void;
}

/** From the hub: a first model, or a search; then one of a repository's quantisations. */
export function GetModel({ close, choose }: Props) {
  const [text, setText] = useState("");
  const [found, setFound] = useState<Schemas["FoundBody"][]>();
  const [repo, setRepo] = useState("");
  const [seen, setSeen] = useState<Schemas["RepositoryBody"]>();
  const { busy, fault, run } = useWork();
  const field = useRef<HTMLInputElement>(null);

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
      setFound(undefined);
      setFound(await said(api.GET("/api/v1/models/search", { params: { query: { q: words } } })));
    });
  const fetchIt = (model: string) =>
    run(async () => {
      await said(api.POST("/api/v1/models/download", { body: { model } }));
      close();
    });
  const take = (name: string, file: string) => {
    if (!choose) return fetchIt(`${name}/${file}`);
    choose(name, file);
    close();
  };
  const back = () => {
    setSeen(undefined);
    field.current?.focus();
  };

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
              ref={field}
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
          <Alert color="red" role="alert" title="Request failed" className="breaks">
            {fault}
          </Alert>
        )}
        {seen ? (
          <>
            <div>
              <Button
                size="xs"
                variant="subtle"
                leftSection={<IconArrowLeft size={14} aria-hidden="true" />}
                onClick={back}
              >
                {found ? "Back to results" : "Back"}
              </Button>
            </div>
            <Repository
              repo={repo}
              seen={seen}
              found={found?.find((one) => one.repo === repo)}
              action={action}
              take={(file) => take(repo, file)}
            />
          </>
        ) : found ? (
          <Results found={found} look={look} />
        ) : (
          !busy &&
          !fault && (
            <Starters
              action={action}
              take={({ repo: of, model }) => take(of, model.slice(of.length + 1))}
            />
          )
        )}
      </Stack>
    </Modal>
  );
}

interface ResultsProps {
  found: Schemas["FoundBody"][];
  look: (repo: string) => unknown;
}

function Results({ found, look }: ResultsProps) {
  return (
    <Stack gap="xs">
      {found.length === 0 && <Text>No matching models with GGUF files on the hub.</Text>}
      {found.map((one) => (
        <div key={one.repo}>
          <Anchor
            component="button"
            type="button"
            className="breaks"
            ta="left"
            onClick={() => look(one.repo)}
          >
            {one.repo}
          </Anchor>
          <Text size="xs" c="dimmed">
            {[
              `${count(one.downloads)} downloads`,
              one.license,
              one.modified ? `changed ${day(one.modified)}` : "",
              one.gated ? "gated: its terms must be accepted on the hub" : "",
            ]
              .filter(Boolean)
              .join(" · ")}
          </Text>
        </div>
      ))}
    </Stack>
  );
}
