import { describe, expect, it } from "vitest";
import { begun, type Conversation, withTurn } from "../talk/conversation";
import { grouped, matching, sizeOf, surplus } from "./list";

function chat(id: string, at: number | string, text = ""): Conversation {
  const talk = withTurn(begun("m", "key"), { parent: "", role: "user", text });
  return { ...talk, id, title: `Title ${id}`, at: new Date(at).getTime() };
}

const ids = (talks: Conversation[]) => talks.map((talk) => talk.id);

describe("earlier chats", () => {
  it("are in groups by date, newest first", () => {
    const talks = [
      chat("b", "2026-03-09T23:59"),
      chat("e", "2026-02-20T10:00"),
      chat("a", "2026-03-10T00:00"),
      chat("c", "2026-03-08T12:00"),
      chat("d", "2026-03-03T00:00"),
      chat("f", "2025-02-20T10:00"),
    ];
    const found = grouped(talks, new Date("2026-03-10T09:00").getTime());
    expect(found.map(([label, members]) => [label, ids(members)])).toEqual([
      ["Today", ["a"]],
      ["Yesterday", ["b"]],
      ["Last 7 days", ["c", "d"]],
      ["February 2026", ["e"]],
      ["February 2025", ["f"]],
    ]);
  });

  it("are found by all words, in titles and texts", () => {
    const talks = [chat("a", 1, "How do llamas Sleep?"), chat("b", 2, "llamas eat")];
    expect(ids(matching(talks, " sleep LLAMAS "))).toEqual(["a"]);
    expect(ids(matching(talks, "title b"))).toEqual(["b"]);
    expect(ids(matching(talks, ""))).toEqual(["a", "b"]);
    expect(matching(talks, "camel")).toEqual([]);
  });

  it("go, oldest first, when there are too many or they are too large", () => {
    const talks = [chat("old", 1, "12345"), chat("new", 3, "12345"), chat("mid", 2, "12345")];
    expect(ids(surplus(talks, { chats: 2, size: 100 }))).toEqual(["old"]);
    expect(ids(surplus(talks, { chats: 9, size: 10 }))).toEqual(["old"]);
    expect(ids(surplus(talks, { chats: 9, size: 1 }))).toEqual(["mid", "old"]); // the newest stays
    expect(surplus(talks)).toEqual([]);
  });

  it("have the size of all that is in them", () => {
    const talk = withTurn(chat("a", 1, "123"), {
      parent: "1",
      role: "assistant",
      text: "45",
      reasoning: "6",
      images: ["7890"],
    });
    expect(sizeOf(talk)).toBe(10);
  });
});
