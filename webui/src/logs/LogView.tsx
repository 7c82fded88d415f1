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

const UP = ["ArrowUp", "PageUp", "Home"];
const LINE = 20; // pixels; of one that is wrapped, more

export function LogView({ name, failed }: { name: string; failed: boolean }) {
  const [text, setText] = useState("");
  const [search] = useDebouncedValue(text, 300);
  const [wrap, setWrap] = useState(false);
  const [atEnd, setAtEnd] = useState(true);
  const log = useLog(name, search);
  const { lines, first } = log;
  const box = useRef<HTMLDivElement>(null);
  const shown = useRef(first);
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
    const moved = shown.current - first;
    shown.current = first;
    if (!atEnd && moved) box.current?.scrollBy(0, moved * LINE);
  }, [first, atEnd]);

  // Positions don't tell who scrolled: the browser moves them too, when lines go.
  const leaveEnd = () => {
    const { scrollHeight = 0, clientHeight = 0 } = box.current ?? {};
    if (scrollHeight > clientHeight) setAtEnd(false);
  };

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
        onWheel={(event) => event.deltaY < 0 && leaveEnd()}
        onTouchMove={leaveEnd}
        onKeyDown={(event) => UP.includes(event.key) && leaveEnd()}
        onPointerDown={(event) => {
          const onScrollBar = event.nativeEvent.offsetX >= event.currentTarget.clientWidth;
          if (onScrollBar && event.target === event.currentTarget) leaveEnd();
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
