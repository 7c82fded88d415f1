import katex from "katex";
import { createElement, memo, type ReactNode } from "react";
import remarkMath from "remark-math";

/** Loaded when a message has a formula. */
export const plugin: [typeof remarkMath, { singleDollarTextMath: boolean }] = [
  remarkMath,
  { singleDollarTextMath: false },
];

const LONGEST = 10_000; // characters of a formula

// No command reaches out of the formula, or grows beyond it.
const BOUNDS = { trust: false, maxExpand: 500, maxSize: 20, strict: "ignore" } as const;

/** As MathML, which browsers draw without fonts or styles of ours. */
export const Formula = memo(function Formula({ tex, block }: { tex: string; block: boolean }) {
  return drawn(tex, block) ?? <code>{tex}</code>;
});

function drawn(tex: string, block: boolean): ReactNode | undefined {
  if (tex.length > LONGEST) return undefined;
  let html: string;
  try {
    html = katex.renderToString(tex, { ...BOUNDS, output: "mathml", displayMode: block });
  } catch {
    return undefined; // what isn't TeX, or isn't yet
  }
  // Reading a style is against the page's policy, too. Quotes of the formula itself are escaped.
  const plain = html.replaceAll(/ style="[^"]*"/g, "");
  const math = new DOMParser().parseFromString(plain, "text/html").querySelector("math");
  return math ? element(math, 0) : undefined;
}

// What KaTeX makes, without what links, loads or has styles.
const ELEMENTS = new Set(
  `annotation maction math menclose mfrac mi mn mo mover mpadded mphantom mroot mrow mspace msqrt
  mstyle msub msubsup msup mtable mtd mtext mtr munder munderover semantics`.split(/\s+/),
);
const ATTRIBUTES = new Set(
  `accent accentunder columnalign columnlines columnspacing depth display displaystyle encoding
  fence height linethickness lspace mathbackground mathcolor mathsize mathvariant maxsize minsize
  movablelimits notation rowlines rowspacing rspace scriptlevel separator stretchy symmetric
  voffset width`.split(/\s+/),
);

function element(of: Element, key: number): ReactNode {
  const name = of.localName;
  if (!ELEMENTS.has(name)) return null;
  const attributes = [...of.attributes].filter((one) => ATTRIBUTES.has(one.name));
  const children = [...of.childNodes].map((child, index) =>
    child instanceof Element ? element(child, index) : child.textContent,
  );
  const given = Object.fromEntries(attributes.map((one) => [one.name, one.value]));
  return createElement(name, { ...given, key }, ...children);
}
