import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Conversation } from "../talk/conversation";
import { type Former, upgraded } from "../talk/upgrade";

interface Schema extends DBSchema {
  /** Until version 2. */
  conversations: { key: string; value: Former };
  chats: { key: [string, string]; value: Conversation; indexes: { owner: string } };
}

let opened: Promise<IDBPDatabase<Schema>> | undefined;

/** What was kept before chats had owners becomes that of the first key that opens it. */
function database(owner: string): Promise<IDBPDatabase<Schema>> {
  opened ??= openDB<Schema>("llamactl", 2, {
    async upgrade(db, _old, _new, change) {
      const chats = db.createObjectStore("chats", { keyPath: ["owner", "id"] });
      chats.createIndex("owner", "owner");
      if (!db.objectStoreNames.contains("conversations")) return;
      for (const former of await change.objectStore("conversations").getAll()) {
        await chats.put(upgraded(former, owner));
      }
      db.deleteObjectStore("conversations");
    },
    blocking(_current, _blocked, event) {
      (event.target as IDBDatabase).close(); // another tab has a newer page
    },
    terminated() {
      opened = undefined;
    },
  });
  opened.catch(() => {
    opened = undefined;
  });
  return opened;
}

export async function loadAll(owner: string): Promise<Conversation[]> {
  return (await database(owner)).getAllFromIndex("chats", "owner", owner);
}

export async function countAll(owner: string): Promise<number> {
  return (await database(owner)).countFromIndex("chats", "owner", owner);
}

export async function keep(talk: Conversation): Promise<void> {
  await (await database(talk.owner)).put("chats", talk);
}

export async function forget(talk: Conversation): Promise<void> {
  await (await database(talk.owner)).delete("chats", [talk.owner, talk.id]);
}

export async function forgetAll(owner: string): Promise<void> {
  const change = (await database(owner)).transaction("chats", "readwrite");
  for (const key of await change.store.index("owner").getAllKeys(owner)) {
    await change.store.delete(key);
  }
  await change.done;
}
