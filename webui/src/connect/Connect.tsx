import { Box, Button, Card, Code, Group, SimpleGrid, Tabs, Text } from "@mantine/core";
import { useState } from "react";
import { base, type Instance } from "../api/client";
import { servedAs } from "../instances/actions";
import { MadeKey } from "../keys/MadeKey";
import { NewKey } from "../keys/NewKey";
import { Copy } from "../ui/Copy";
import { snippets } from "./snippets";

const NO_KEY = "YOUR_KEY";
const HERE = /^(localhost|.*\.localhost|127\.[\d.]+|\[::1\])$/;

const id = (label: string) => label.replaceAll(" ", "-");

/** What other programs need to use the instance. */
export function Connect({ instance }: { instance: Instance }) {
  const [making, setMaking] = useState(false);
  const [key, setKey] = useState("");
  const model = servedAs(instance);
  const url = `${base}v1`;
  const shown = snippets({ url, model, key: key || NO_KEY });
  return (
    <>
      {making && (
        <NewKey
          only={model}
          close={() => setMaking(false)}
          made={(one) => {
            setMaking(false);
            setKey(one.key);
          }}
        />
      )}
      <SimpleGrid cols={{ base: 1, sm: 2 }} mb="md">
        <Given label="Base URL" value={url}>
          {HERE.test(location.hostname) && "This address works on this machine only."}
        </Given>
        <Given label="Model" value={model} />
      </SimpleGrid>
      {key ? (
        <Box mb="md">
          <MadeKey name={model} value={key} />
        </Box>
      ) : (
        <Card withBorder padding="sm" mb="md">
          <Text size="xs" c="dimmed" fw={600} mb={4}>
            Key
          </Text>
          <Group gap="sm">
            <Button size="xs" onClick={() => setMaking(true)}>
              Make a key here
            </Button>
            <Text size="sm">
              Or use a key that you have, instead of <Code>{NO_KEY}</Code>.
            </Text>
          </Group>
        </Card>
      )}
      <Tabs defaultValue="curl" keepMounted={false} variant="pills">
        <Tabs.List mb="sm" aria-label="Clients">
          {shown.map(({ label }) => (
            <Tabs.Tab key={label} value={id(label)}>
              {label}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {shown.map(({ label, hint, code }) => (
          <Tabs.Panel key={label} value={id(label)}>
            <Group justify="space-between" wrap="nowrap" align="flex-end" mb={4}>
              <Text size="sm">{hint}</Text>
              <Copy value={code} label={`Copy for ${label}`} />
            </Group>
            <Code block className="breaks">
              {code}
            </Code>
          </Tabs.Panel>
        ))}
      </Tabs>
    </>
  );
}

function Given({
  label,
  value,
  children,
}: {
  label: string;
  value: string;
  children?: React.ReactNode;
}) {
  return (
    <Card withBorder padding="sm">
      <Text size="xs" c="dimmed" fw={600}>
        {label}
      </Text>
      <Group gap="xs" wrap="nowrap" justify="space-between">
        <Code className="breaks">{value}</Code>
        <Copy value={value} label={`Copy the ${label === "Model" ? "model" : label}`} />
      </Group>
      {children && (
        <Text size="xs" c="dimmed" mt={4}>
          {children}
        </Text>
      )}
    </Card>
  );
}
