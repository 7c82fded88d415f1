import { Card, Code, Group, Switch, Table, Text, TextInput, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, said } from "../api/client";
import { bySection, isShown } from "./sections";

type Setting = Schemas["SettingBody"];

/** The effective settings, by section; defaults only when asked for. */
export function Settings() {
  const [text, setText] = useState("");
  const [defaults, setDefaults] = useState(false);
  const settings = useQuery({
    queryKey: ["settings"],
    queryFn: () => said(api.GET("/api/v1/config/settings")),
  });
  const shown = settings.data?.filter((one) => isShown(one, text, defaults)) ?? [];
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="xs">
        Effective settings
      </Title>
      <Group align="center">
        <TextInput
          aria-label="Search settings"
          placeholder="Part of a name or description, or where it comes from"
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          style={{ flexGrow: 1 }}
        />
        <Switch
          label="Show defaults"
          checked={defaults}
          onChange={(event) => setDefaults(event.currentTarget.checked)}
        />
      </Group>
      <Table.ScrollContainer
        minWidth={620}
        type="native"
        tabIndex={0}
        role="region"
        aria-label="Settings"
      >
        {bySection(shown).map(([section, rows]) => (
          <Section key={section} name={section} rows={rows} />
        ))}
      </Table.ScrollContainer>
      {settings.data && shown.length === 0 && (
        <Text c="dimmed" mt="md">
          {text ? "No setting matches." : "Every setting has its default."}
        </Text>
      )}
    </Card>
  );
}

function Section({ name, rows }: { name: string; rows: Setting[] }) {
  return (
    <section>
      <Title order={3} size="h5" mt="md">
        {name || "General"}
      </Title>
      <Table layout="fixed">
        <Table.Thead>
          <Table.Tr>
            <Table.Th w="45%">Setting</Table.Th>
            <Table.Th>Value</Table.Th>
            <Table.Th>From</Table.Th>
            <Table.Th w={130}>Changes with</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((one) => (
            <Table.Tr key={one.key}>
              <Table.Td className="breaks">
                {one.key}
                <Text size="xs" c="dimmed">
                  {one.description.replaceAll("`", "")}
                </Text>
              </Table.Td>
              <Table.Td>
                <Code className="breaks">{JSON.stringify(one.value)}</Code>{" "}
                {typeof one.value === "number" && one.unit}
              </Table.Td>
              <Table.Td className="breaks">{one.source}</Table.Td>
              <Table.Td>{one.live ? "a reload" : "a restart"}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </section>
  );
}
