import { api, type Instance, said } from "../api/client";
import { attempt } from "../ui/tell";

export type Action = "start" | "stop" | "restart" | "delete";

const path = (name: string) => ({ params: { path: { name } } });

/** Ask for it; what comes of it shows in the stream. */
export function perform(action: Action, name: string, force = false): Promise<unknown> {
  return attempt(`${WORDS[action]} ${name} failed`, async () => {
    if (action === "start") {
      return said(
        api.POST("/api/v1/instances/{name}/start", {
          params: { path: { name }, query: { evict: false } },
        }),
      );
    }
    if (action === "delete") {
      return said(
        api.DELETE("/api/v1/instances/{name}", { params: { path: { name }, query: { force } } }),
      );
    }
    const query = { force };
    return said(
      action === "stop"
        ? api.POST("/api/v1/instances/{name}/stop", { params: { path: { name }, query } })
        : api.POST("/api/v1/instances/{name}/restart", { params: { path: { name }, query } }),
    );
  });
}

/** Stop idle ones to make room, where a start by itself finds none. */
export function startEvicting(name: string): Promise<unknown> {
  return attempt(`Starting ${name} failed`, () =>
    said(
      api.POST("/api/v1/instances/{name}/start", {
        params: { path: { name }, query: { evict: true } },
      }),
    ),
  );
}

export async function openEnginePage(name: string): Promise<void> {
  // Opened at once, or the browser takes it for a pop-up that nobody asked for.
  const tab = window.open("", "_blank");
  const page = await attempt(`Opening the engine's page for ${name} failed`, () =>
    said(api.POST("/api/v1/instances/{name}/page", path(name))),
  );
  if (!tab) return;
  if (!page) {
    tab.close();
    return;
  }
  tab.opener = null;
  tab.location.href = new URL(page.path, document.baseURI).href;
}

export function allows(instance: Instance, action: Action): boolean {
  return instance.allowed_actions.includes(action);
}

/** What requests call it, and people change: its name, or that of which it is a replica. */
export function servedAs(instance: Instance): string {
  return instance.replica_of || instance.name;
}

export const WORDS: Record<Action, string> = {
  start: "Start",
  stop: "Stop",
  restart: "Restart",
  delete: "Delete",
};
