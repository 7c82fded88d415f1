import { Alert, Button, Text } from "@mantine/core";
import { useState } from "react";
import { api, type Schemas, said } from "../api/client";
import { bytes, span } from "../ui/format";
import { attempt } from "../ui/tell";

/** What a request would do now, and why; nothing is done. */
export function PlanCard({ name }: { name: string }) {
  const [plan, setPlan] = useState<Schemas["PlanBody"]>();
  const look = () =>
    attempt("Could not get the plan", async () => {
      setPlan(
        await said(api.POST("/api/v1/instances/{name}/plan", { params: { path: { name } } })),
      );
    });
  return (
    <>
      <Button variant="default" onClick={look}>
        What would a request do?
      </Button>
      {plan && (
        <Alert mt="xs" color="gray" role="status" title={ACTIONS[plan.action]}>
          <Text size="sm">{plan.reason}</Text>
          {plan.evict.length > 0 && (
            <Text size="sm">
              Stops {plan.evict.map((one) => `${one.name} (${one.leases} requests)`).join(", ")}.
            </Text>
          )}
          <Text size="sm">
            Memory: {bytes(plan.memory.ram + plan.memory.shared)}
            {plan.wait_s !== null && `; ready in about ${span(plan.wait_s)}`}
            {plan.ahead > 0 && `; ${plan.ahead} ahead of it`}.
          </Text>
          {plan.context_obstacle && (
            <Text size="sm" className="breaks">
              Its context is lost when it stops: {plan.context_obstacle}.
            </Text>
          )}
          {plan.sleep_obstacle && (
            <Text size="sm" className="breaks">
              It stops rather than sleeps: {plan.sleep_obstacle}.
            </Text>
          )}
        </Alert>
      )}
    </>
  );
}

const ACTIONS: Record<string, string> = {
  serve: "It would be served at once",
  start: "It would start the instance",
  evict: "It would stop others first",
  wait: "It would wait",
  refuse: "It would be refused",
};
