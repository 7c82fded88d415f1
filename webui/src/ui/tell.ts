import { notifications } from "@mantine/notifications";
import { messageOf } from "../api/client";

export function tell(message: string): void {
  notifications.show({ message, color: "teal", autoClose: 4000 });
}

/** What went wrong, in the server's words; it stays until it is read. */
export function tellFailure(title: string, error: unknown): void {
  notifications.show({ title, message: messageOf(error), color: "red", autoClose: 15_000 });
}

/** Do it, and say so if it fails. */
export async function attempt<T>(title: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    tellFailure(title, error);
    return undefined;
  }
}
