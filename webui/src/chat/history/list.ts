import type { Conversation } from "../talk/conversation";

/** What is kept of one key in a browser; the oldest go first. */
export const MOST_CHATS = 300;
export const MOST_SIZE = 100_000_000; // characters, those of images included

const MONTH = new Intl.DateTimeFormat("en", { month: "long", year: "numeric" });
const DAY_MS = 86_400_000;

/** By the day of their last change, newest first. */
export function grouped(talks: Conversation[], now: number): [string, Conversation[]][] {
  const groups = new Map<string, Conversation[]>();
  for (const talk of talks.toSorted((a, b) => b.at - a.at)) {
    const label = labelOf(talk.at, now);
    groups.set(label, [...(groups.get(label) ?? []), talk]);
  }
  return [...groups];
}

function labelOf(at: number, now: number): string {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  if (at >= midnight) return "Today";
  // noon of the day before, as days with a change of the clock have 23 or 25 hours
  if (at >= new Date(midnight - DAY_MS / 2).setHours(0, 0, 0, 0)) return "Yesterday";
  return at >= midnight - 7 * DAY_MS ? "Last 7 days" : MONTH.format(at);
}

/** Those that have each of these words, in the title or in what was said. */
export function matching(talks: Conversation[], query: string): Conversation[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return talks;
  return talks.filter((talk) => {
    const texts = [talk.title, ...talk.turns.map((turn) => turn.text)].join("\n").toLowerCase();
    return words.every((word) => texts.includes(word));
  });
}

/** The chats that are too many or too large together, without the newest. */
export function surplus(
  talks: Conversation[],
  most: { chats: number; size: number } = { chats: MOST_CHATS, size: MOST_SIZE },
): Conversation[] {
  let size = 0;
  return talks
    .toSorted((a, b) => b.at - a.at)
    .filter((talk, index) => {
      size += sizeOf(talk);
      return index > 0 && (index >= most.chats || size > most.size);
    });
}

export function sizeOf(talk: Conversation): number {
  const texts = talk.turns.flatMap(({ text, reasoning = "", images = [] }) => [
    text,
    reasoning,
    ...images,
  ]);
  return texts.reduce((sum, text) => sum + text.length, 0);
}
