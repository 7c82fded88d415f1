import { useSyncExternalStore } from "react";
import { base } from "../api/client";
import { add, type Live, NOTHING, type Row, type View } from "./view";

export type Connection = "connecting" | "live" | "lost";

const RETRY_MS = 2000;

/**
 * The one stream of what goes on. It resumes by itself; whoever looks sees when it is lost.
 *
 * Browsers give all their tabs six connections to a server, so it is closed while nobody looks.
 */
class Stream {
  private view: View = NOTHING;
  private connection: Connection = "connecting";
  private source: EventSource | undefined;
  private last = ""; // event's id
  private retry: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Set<() => void>();

  open(): () => void {
    document.addEventListener("visibilitychange", this.looked);
    this.connect();
    return () => this.close();
  }

  private looked = (): void => {
    if (document.hidden) this.disconnect();
    else if (!this.source) this.connect();
  };

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  current = (): View => this.view;
  state = (): Connection => this.connection;
  row = (id: string): Row | undefined => this.view.rows.get(id);

  private connect(): void {
    clearTimeout(this.retry);
    if (document.hidden) return;
    const query = this.last ? `?after=${this.last}` : "";
    const source = new EventSource(`${base}api/v1/live${query}`);
    this.source = source;
    source.onmessage = (message) => {
      this.view = add(this.view, JSON.parse(message.data) as Live, Date.now() / 1000);
      this.last = message.lastEventId;
      this.connection = "live";
      this.tell();
    };
    source.onerror = () => {
      this.connection = "lost";
      this.tell();
      // A refusal ends it for the browser; a break does not.
      if (source.readyState === EventSource.CLOSED && this.source === source) {
        this.retry = setTimeout(() => this.connect(), RETRY_MS);
      }
    };
  }

  private disconnect(): void {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = undefined;
  }

  private close(): void {
    document.removeEventListener("visibilitychange", this.looked);
    this.disconnect();
    this.view = NOTHING;
    this.last = "";
    this.connection = "connecting";
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

export const stream = new Stream();

export function useConnection(): Connection {
  return useSyncExternalStore(stream.subscribe, stream.state);
}

/** A part of the view; it must be the same object as long as nothing in it changed. */
export function useView<T>(part: (view: View) => T): T {
  return useSyncExternalStore(stream.subscribe, () => part(stream.current()));
}

export function useRow(id: string): Row | undefined {
  return useSyncExternalStore(stream.subscribe, () => stream.row(id));
}

export function useRowNamed(name: string): Row | undefined {
  return useView((view) => {
    const wanted = name.toLowerCase();
    for (const row of view.rows.values()) {
      if (row.instance.name.toLowerCase() === wanted) return row;
    }
    return undefined;
  });
}
