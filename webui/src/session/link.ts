import { api, errorOf, type Session } from "../api/client";

const LINK = "#/sign-in?";
let token = ""; // of a link that was opened, and is not used yet

/** Takes a link's token out of the address at once, so that it is not seen or kept there. */
function take(): boolean {
  if (!location.hash.startsWith(LINK)) return false;
  token = new URLSearchParams(location.hash.slice(LINK.length)).get("token") ?? "";
  history.replaceState(null, "", "#/");
  return token !== "";
}

let opened = () => {};
// This module is part of what the router shows, so all of this is done before there is a router.
take();
addEventListener("popstate", () => take() && opened(), { capture: true });

/** Called when a link is opened in a page that is already there. */
export function onLink(listener: () => void): void {
  opened = listener;
}

/** The session that the link gives, or why it gives none; null if no link was opened. */
export async function signInByLink(): Promise<Session | { fault: string } | null> {
  if (!token) return null;
  const shown = token;
  token = "";
  try {
    const asked = { body: { token: shown } };
    const { data, error, response } = await api.POST("/api/v1/session/link/sign-in", asked);
    return data ?? { fault: errorOf(response.status, error).message };
  } catch (error) {
    token = shown; // the server was not reached
    throw error;
  }
}
