import { Anchor, Code, Text } from "@mantine/core";
import { memo } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import rehypeHighlight from "rehype-highlight";
import remarkGfm from "remark-gfm";
import { Copy } from "../ui/Copy";
import classes from "./Markdown.module.css";

// Raw HTML is shown as text. An image would tell another host that it was looked at, so its
// address is shown instead.
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
  pre: ({ children, node }) => (
    <div className={classes.code}>
      <div className={classes.copy}>
        <Copy value={textOf(node)} label="Copy the code" />
      </div>
      {/* It scrolls, so the keyboard must reach it. */}
      <pre tabIndex={0}>{children}</pre>
    </div>
  ),
  code: ({ className, children }) =>
    className ? <code className={className}>{children}</code> : <Code>{children}</Code>,
};

export const Markdown = memo(function Markdown({ text }: { text: string }) {
  return (
    <div className={classes.text}>
      <ReactMarkdown
        components={PARTS}
        remarkPlugins={[remarkGfm]}
        rehypePlugins={[[rehypeHighlight, { ignoreMissing: true }]]}
      >
        {text}
      </ReactMarkdown>
    </div>
  );
});

interface Node {
  value?: string;
  children?: Node[];
}

function textOf(node: unknown): string {
  const { value, children } = (node ?? {}) as Node;
  return value ?? (children ?? []).map(textOf).join("");
}
