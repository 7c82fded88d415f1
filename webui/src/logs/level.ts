/** How bad a line is, by the words that engines use; "" for most. */
export function levelOf(line: string): "error" | "warning" | "start" | "" {
  if (line.startsWith("--- ")) return "start";
  if (/\b(error|fatal|failed|abort(ed)?|exception|traceback|panic)\b/i.test(line)) return "error";
  if (/\bwarn(ing)?\b/i.test(line)) return "warning";
  return "";
}

/** The line that the last crash ends at: before the newest start, or the very last. */
export function crashAt(lines: readonly string[], failed: boolean): number {
  if (failed) return lines.length - 1;
  for (let index = lines.length - 1; index > 0; index -= 1) {
    if (lines[index]?.startsWith("--- ")) return index - 1;
  }
  return -1;
}
