import { Box, CloseButton, Group } from "@mantine/core";

interface Props {
  urls: string[];
  remove: (index: number) => void;
}

/** Those that go with the next message. */
export function Images({ urls, remove }: Props) {
  if (!urls.length) return null;
  return (
    <Group mb="xs" gap="xs">
      {urls.map((url, index) => (
        <Box key={index} pos="relative">
          <img src={url} alt="Attached" height={64} />
          <CloseButton
            size="sm"
            variant="default"
            pos="absolute"
            top={2}
            right={2}
            aria-label={`Remove image ${index + 1}`}
            onClick={() => remove(index)}
          />
        </Box>
      ))}
    </Group>
  );
}
