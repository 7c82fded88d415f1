import { Alert, Button, Group, Switch, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconDownload, IconSearch } from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { base } from "../api/client";
import { attempt } from "../ui/tell";
import classes from "./LogView.module.css";
import { crashAt, levelOf } from "./level";
import { pathOf, useLog } from "./useLog";

const NEAR = 40; // pixels from the end that still count as the end
const LINE = 20; // pixels; of one that is wrapped, more

export function LogView({ name, failed }: { name: string; failed: boolean }) {
  const [text, setText] = useState("");
  const [search] = useDebouncedValue(text, 300);
  const [wrap, setWrap] = useState(false);
  const [atEnd, setAtEnd] = useState(true);
  const log = useLog(name, search);
  const { lines, first } = log;
  const box = useRef<HTMLDivElement>(null);
  const was = useRef({ first, top: 0 });
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => LINE,
    getItemKey: (index) => first + index,
    overscan: 30,
  });

  useEffect(() => {
    if (atEnd && lines.length) virtual.scrollToIndex(lines.length - 1, { align: "end" });
  }, [atEnd, lines, virtual]);

  // who reads keeps the place while lines come or go before it
  useLayoutEffect(() => {
    const moved = was.current.first - first;
    was.current.first = first;
    if (!atEnd && moved) box.current?.scrollBy(0, moved * LINE);
  }, [first, atEnd]);

  const crash = crashAt(lines, failed);
  return (
    <>
      <Group gap="sm" mb="xs">
        <TextInput
          aria-label="Search the log"
          placeholder="Filter lines"
          leftSection={<IconSearch size={16} aria-hidden="true" />}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          flex="1 1 200px"
        />
        <Switch
          label="Wrap lines"
          checked={wrap}
          onChange={(event) => setWrap(event.currentTarget.checked)}
        />
        <Switch
          label="Follow"
          checked={atEnd}
          onChange={(event) => setAtEnd(event.currentTarget.checked)}
        />
        <Button
          variant="default"
          disabled={crash < 0}
          onClick={() => {
            setAtEnd(false);
            virtual.scrollToIndex(crash, { align: "center" });
          }}
        >
          Jump to the crash
        </Button>
        <Button
          component="a"
          href={base + pathOf(name)}
          download={`${name}.log`}
          variant="default"
          leftSection={<IconDownload size={16} aria-hidden="true" />}
        >
          Download
        </Button>
      </Group>
      {log.fault && (
        <Alert color="orange" mb="xs" role="status">
          {log.fault}
        </Alert>
      )}
      <section
        ref={box}
        className={classes.box}
        tabIndex={0}
        aria-label={`Log of ${name}`}
        onScroll={(event) => {
          const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
          const end = scrollHeight - scrollTop - clientHeight < NEAR;
          // only a person scrolls up; the end may have moved on since we scrolled to it
          if (!end && scrollTop < was.current.top) setAtEnd(false);
          was.current.top = scrollTop;
        }}
      >
        {log.more && (
          <Button
            size="compact-sm"
            variant="subtle"
            onClick={() =>
              attempt("Could not read the log", async () => {
                setAtEnd(false);
                await log.older();
              })
            }
          >
            Show earlier lines
          </Button>
        )}
        <div
          className={wrap ? classes.wrapped : classes.lines}
          style={{ height: virtual.getTotalSize() }}
        >
          {virtual.getVirtualItems().map((item) => (
            <div
              key={item.key}
              ref={virtual.measureElement}
              data-index={item.index}
              data-level={levelOf(lines[item.index] ?? "")}
              className={classes.line}
              style={{ transform: `translateY(${item.start}px)` }}
            >
              {lines[item.index] || " "}
            </div>
          ))}
        </div>
        {lines.length === 0 && (
          <Text size="sm" p="xs">
            {search ? "No matching lines." : "The log is empty."}
          </Text>
        )}
      </section>
    </>
  );
}
