import { Loader } from "@mantine/core";
import { Navigate } from "@tanstack/react-router";
import { useConnection, useView } from "../live/stream";

/** The dashboard, once there is something to show on it. */
export function Landing() {
  const any = useView((view) => view.order.length > 0);
  const connection = useConnection();
  if (connection === "connecting") return <Loader aria-label="Loading" />;
  return <Navigate to={any ? "/dashboard" : "/instances"} replace />;
}
