/**
 * Models write formulas as $…$, $$…$$, \(…\) and \[…\]. The parser is given one form, $$…$$: a
 * single $ is as often a price or a variable of a shell. Code stays as it is.
 */
export function withMarkedMath(text: string): string {
  return outsideFences(text, (prose) =>
    prose
      .split(/(`+[^`]*`+)/)
      .map((part, index) => (index % 2 ? part : marked(part)))
      .join(""),
  );
}

/** Is there anything to draw? */
export function hasMath(text: string): boolean {
  return text.includes("$$") || withMarkedMath(text) !== text;
}

const LONGEST = 2000; // characters of a formula between brackets
const BLOCK = new RegExp(`^([ \\t]*)\\\\\\[([^]{1,${LONGEST}}?)\\\\\\][ \\t]*$`, "gm");
const IN_LINE = new RegExp(`\\\\([([])([^]{1,${LONGEST}}?)\\\\([)\\]])`, "g");
const OWN_LINE = /^([ \t]*)\$\$(?!\$)(.+?)\$\$[ \t]*$/gm;
// As Pandoc has it: no space inside of the dollars, no digit or word around them.
const DOLLARS = /(?<![\\$\w])\$(?![\s$])([^$\n]*?[^$\s\\])\$(?![$\w])/g;

function marked(prose: string): string {
  return prose
    .replace(BLOCK, (_, indent: string, tex: string) => block(indent, tex))
    .replace(IN_LINE, (found, open: string, tex: string, close: string) =>
      (open === "(") === (close === ")") ? `$$${tex.replaceAll("\n", " ")}$$` : found,
    )
    .replace(OWN_LINE, (_, indent: string, tex: string) => block(indent, tex))
    .replace(DOLLARS, (_, tex: string) => `$$${tex}$$`);
}

function block(indent: string, tex: string): string {
  const lines = ["$$", ...tex.trim().split("\n"), "$$"];
  return lines.map((line) => indent + line.trim()).join("\n");
}

function outsideFences(text: string, change: (prose: string) => string): string {
  const out: string[] = [];
  let prose: string[] = [];
  let fence = "";
  const flush = () => {
    if (prose.length) out.push(change(prose.join("\n")));
    prose = [];
  };
  for (const line of text.split("\n")) {
    const found = /^\s*(?:[-*+>]\s+|\d+[.)]\s+)*(`{3,}|~{3,})(.*)/.exec(line);
    const mark = found?.[1] ?? "";
    const closes = fence && mark.startsWith(fence) && !found?.[2]?.trim();
    if (fence || mark) {
      flush();
      out.push(line);
      fence = closes ? "" : fence || mark;
    } else prose.push(line);
  }
  flush();
  return out.join("\n");
}
