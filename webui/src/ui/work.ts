import { useState } from "react";
import { messageOf } from "../api/client";

/** What a form or dialog does: whether it is at it, and why it failed, in the server's words. */
export function useWork() {
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState("");
  const [failures, setFailures] = useState(0);

  async function run(work: () => Promise<void>): Promise<void> {
    setBusy(true);
    setFault("");
    try {
      await work();
    } catch (error) {
      setFault(messageOf(error));
      setFailures((before) => before + 1);
    } finally {
      setBusy(false);
    }
  }

  return { busy, fault, failures, run };
}
