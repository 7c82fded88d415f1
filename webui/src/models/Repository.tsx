import { Badge, Button, Group, Stack, Text } from "@mantine/core";
import type { Schemas } from "../api/client";
import { bytes, count, day } from "../ui/format";
import { Fits } from "./Fits";

interface Props {
  repo: string;
  seen: Schemas["RepositoryBody"];
  /** What the search said of it, if it was found by one. */
  found: Schemas["FoundBody"] | undefined;
  action: string;
  take: (file: string) => unknown;
}

/** The quantisations of one repository, the smallest first. */
export function Repository({ repo, seen, found, action, take }: Props) {
  const facts = [
    seen.license ? `Licence: ${seen.license}` : "Licence: see its page",
    seen.modified ? `changed ${day(seen.modified)}` : "",
    found ? `${count(found.downloads)} downloads` : "",
    seen.mmproj ? "supports images" : "",
  ];
  return (
    <Stack gap="xs">
      <div>
        <Text fw={600} className="breaks">
          {repo}
        </Text>
        <Text size="xs" c="dimmed">
          {facts.filter(Boolean).join(" · ")}
        </Text>
      </div>
      {seen.choices.length === 0 && <Text>No GGUF files.</Text>}
      {seen.choices.map((choice) => (
        <Group key={choice.file} justify="space-between" wrap="nowrap" align="flex-start">
          <div style={{ minWidth: 0 }}>
            <Group gap="xs">
              <Text size="sm" fw={500} className="breaks">
                {choice.quant || choice.file}
              </Text>
              <Text size="xs" c="dimmed">
                {bytes(choice.size)}
              </Text>
              <Fits fit={choice.fit} />
              {choice.recommended && (
                <Badge size="sm" variant="light">
                  Recommended
                </Badge>
              )}
            </Group>
            {choice.reason && (
              <Text size="xs" c="dimmed">
                {choice.reason[0]?.toUpperCase()}
                {choice.reason.slice(1)}.
              </Text>
            )}
          </div>
          <Button
            size="xs"
            style={{ flex: "none" }}
            variant={choice.recommended ? "filled" : "default"}
            aria-label={`${action} ${choice.quant || choice.file}`}
            onClick={() => take(choice.file)}
          >
            {action}
          </Button>
        </Group>
      ))}
    </Stack>
  );
}
