import { Badge, Collapse, Group, Stack, Text, UnstyledButton } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { type ReactNode, useEffect, useId, useState } from "react";

interface Props {
  title: string;
  /** What is in it, for who looks for it. */
  about: string;
  /** How many of its fields say something. */
  count: number;
  /** One of its fields is refused: it unfolds, so that the error is seen. */
  isRefused: boolean;
  /** How often the form was refused on being sent. */
  refused: number;
  children: ReactNode;
}

/** Fields that few people need: folded, unless one of them is refused. */
export function Fold({ title, about, count, isRefused, refused, children }: Props) {
  const [isOpen, setOpen] = useState(isRefused);
  const id = useId();
  useEffect(() => {
    if (isRefused) setOpen(true);
  }, [isRefused, refused]);
  const Icon = isOpen ? IconChevronDown : IconChevronRight;
  return (
    <div>
      <UnstyledButton
        onClick={() => setOpen(!isOpen)}
        aria-expanded={isOpen}
        aria-controls={id}
        w="100%"
      >
        <Group gap="xs" wrap="nowrap" align="flex-start">
          <Icon size={18} aria-hidden="true" style={{ flex: "none", marginTop: 2 }} />
          <div>
            <Group gap="xs">
              <Text size="sm" fw={600}>
                {title}
              </Text>
              {count > 0 && (
                <Badge size="sm" variant="light">
                  {count} set
                </Badge>
              )}
              {isRefused && (
                <Badge size="sm" color="red" variant="light">
                  Refused
                </Badge>
              )}
            </Group>
            {!isOpen && (
              <Text size="xs" c="dimmed">
                {about}
              </Text>
            )}
          </div>
        </Group>
      </UnstyledButton>
      <Collapse expanded={isOpen} id={id} transitionDuration={0}>
        <Stack gap="sm" pt="sm">
          {children}
        </Stack>
      </Collapse>
    </div>
  );
}
