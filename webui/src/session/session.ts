import { type QueryClient, queryOptions, useQuery } from "@tanstack/react-query";
import { api, type Session, said } from "../api/client";

/** Who is signed in; null: nobody. */
export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async (): Promise<Session | null> => {
    const { data, response, error } = await api.GET("/api/v1/session");
    if (response.status === 401) return null;
    return said(Promise.resolve({ ...(data ? { data } : {}), error, response }));
  },
  staleTime: Number.POSITIVE_INFINITY,
  retry: 2,
});

export function useSession(): Session | null | undefined {
  return useQuery(sessionQuery).data;
}

/** Nobody is signed in any more: what was read goes too. */
export function endSession(client: QueryClient): void {
  client.setQueryData(sessionQuery.queryKey, null);
  client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== sessionQuery.queryKey[0] });
}
