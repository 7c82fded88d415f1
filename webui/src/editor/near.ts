/** How many of a name's pairs of neighbouring letters another one has too: 0 to 1. */
function likeness(one: string, other: string): number {
  const pairs = (text: string) => {
    const padded = ` ${text.replace(/[^a-z0-9]/g, "")} `;
    return Array.from({ length: padded.length - 1 }, (_, at) => padded.slice(at, at + 2));
  };
  const left = pairs(other);
  const all = pairs(one);
  const total = all.length + left.length;
  let shared = 0;
  for (const pair of all) {
    const at = left.indexOf(pair);
    if (at < 0) continue;
    left.splice(at, 1);
    shared += 1;
  }
  return (2 * shared) / total;
}

const LEAST = 0.5;
const MOST = 3;

/** The names that a misspelt one may be meant for, the nearest first. */
export function nearest(name: string, names: readonly string[]): string[] {
  return names
    .map((one) => ({ one, how: likeness(name, one) }))
    .filter(({ how }) => how >= LEAST)
    .sort((a, b) => b.how - a.how)
    .slice(0, MOST)
    .map(({ one }) => one);
}
