import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Conversation } from "./conversation";

interface Schema extends DBSchema {
  conversations: { key: string; value: Conversation };
}

let opened: Promise<IDBPDatabase<Schema>> | undefined;

function database(): Promise<IDBPDatabase<Schema>> {
  opened ??= openDB<Schema>("llamactl", 1, {
    upgrade(db) {
      db.createObjectStore("conversations", { keyPath: "id" });
    },
  });
  return opened;
}

/** Newest first. */
export async function loadAll(): Promise<Conversation[]> {
  const all = await (await database()).getAll("conversations");
  return all.sort((a, b) => b.at - a.at);
}

export async function keep(talk: Conversation): Promise<void> {
  await (await database()).put("conversations", talk);
}

export async function forget(id: string): Promise<void> {
  await (await database()).delete("conversations", id);
}
