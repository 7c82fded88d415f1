import { Anchor, Code, Text } from "@mantine/core";
import { type ComponentProps, memo, useEffect, useMemo, useState } from "react";
import ReactMarkdown, { type Components, type ExtraProps } from "react-markdown";
import rehypeHighlight from "rehype-highlight";
import remarkGfm from "remark-gfm";
import { Copy } from "../../ui/Copy";
import { hasMath, withMarkedMath } from "./delimiters";
import classes from "./Markdown.module.css";

// Raw HTML is shown as text. An image would tell another host that it was looked at, so its
// address is shown instead.
// What scrolls has a tabIndex: the keyboard must reach it.
const PARTS: Components = {
  a: ({ href, children }) => (
    <Anchor href={href ?? ""} target="_blank" rel="noopener noreferrer nofollow" underline="always">
      {children}
    </Anchor>
  ),
  img: ({ src, alt }) => (
    <Text span c="dimmed">
      [image: {alt || "no description"}, {String(src ?? "")}]
    </Text>
  ),
  table: ({ children }) => (
    <div className={classes.table} tabIndex={0}>
      <table>{children}</table>
    </div>
  ),
  pre: CodeBlock,
  code: InlineCode,
};

type Part<Name extends "pre" | "code"> = ComponentProps<Name> & ExtraProps;

function CodeBlock({ children, node }: Part<"pre">) {
  return (
    <div className={classes.code}>
      <div className={classes.copy}>
        <Copy value={textOf(node)} label="Copy the code" />
      </div>
      <pre tabIndex={0}>{children}</pre>
    </div>
  );
}

function InlineCode({ className, children }: Part<"code">) {
  return className ? <code className={className}>{children}</code> : <Code>{children}</Code>;
}

type Math = typeof import("./math");
let loaded: Math | undefined;

export const Markdown = memo(function Markdown({ text }: { text: string }) {
  const wanted = useMemo(() => hasMath(text), [text]);
  const [, setArrived] = useState(false);
  useEffect(() => {
    if (!wanted || loaded) return;
    const arrive = (math: Math) => {
      loaded = math;
      setArrived(true);
    };
    void import("./math").then(arrive, () => undefined); // without it, formulas are shown as TeX
  }, [wanted]);
  const math = wanted ? loaded : undefined;
  const parts = useMemo(() => (math ? withFormulas(math) : PARTS), [math]);
  return (
    <div className={classes.text}>
      <ReactMarkdown
        components={parts}
        remarkPlugins={math ? [remarkGfm, math.plugin] : [remarkGfm]}
        rehypePlugins={[[rehypeHighlight, { ignoreMissing: true }]]}
      >
        {math ? withMarkedMath(text) : text}
      </ReactMarkdown>
    </div>
  );
});

/** The plugin makes code of them, with classes that say what they are. */
function withFormulas({ Formula }: Math): Components {
  return {
    ...PARTS,
    pre: (props) => {
      const first = props.node?.children[0];
      if (first?.type !== "element" || !classesOf(first).includes("math-display")) {
        return <CodeBlock {...props} />;
      }
      return (
        <div className={classes.formula} tabIndex={0}>
          <Formula tex={textOf(first)} block />
        </div>
      );
    },
    code: (props) =>
      props.className?.includes("math-inline") ? (
        <Formula tex={textOf(props.node)} block={false} />
      ) : (
        <InlineCode {...props} />
      ),
  };
}

function classesOf(node: { properties?: { className?: unknown } }): string[] {
  const { className } = node.properties ?? {};
  return Array.isArray(className) ? className.map(String) : [];
}

interface Node {
  value?: string;
  children?: Node[];
}

function textOf(node: unknown): string {
  const { value, children } = (node ?? {}) as Node;
  return value ?? (children ?? []).map(textOf).join("");
}
