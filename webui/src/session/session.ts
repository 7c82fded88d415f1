import { type QueryClient, queryOptions, skipToken, useQuery } from "@tanstack/react-query";
import { api, type Session, said } from "../api/client";
import { tellFailure } from "../ui/tell";
import { signInByLink } from "./link";

const linkFault = queryOptions<string>({ queryKey: ["sign-in link"], queryFn: skipToken });

/** Who is signed in; null: nobody. */
export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async ({ client }): Promise<Session | null> => {
    const linked = await signInByLink();
    if (linked && !("fault" in linked)) return linked;
    const fault = linked?.fault ?? "";
    client.setQueryData(linkFault.queryKey, fault);
    const { data, response, error } = await api.GET("/api/v1/session");
    if (response.status === 401) return null;
    const session = await said(Promise.resolve({ ...(data ? { data } : {}), error, response }));
    if (fault) tellFailure("The sign-in link did not work", new Error(fault));
    return session;
  },
  staleTime: Number.POSITIVE_INFINITY,
  retry: 2,
});

export function useSession(): Session | null | undefined {
  return useQuery(sessionQuery).data;
}

/** Why the last sign-in link did not work; "" if none failed. */
export function useLinkFault(): string {
  return useQuery(linkFault).data ?? "";
}

/** Nobody is signed in any more: what was read goes too. */
export function endSession(client: QueryClient): void {
  client.setQueryData(sessionQuery.queryKey, null);
  client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== sessionQuery.queryKey[0] });
}
