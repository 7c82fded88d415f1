import {
  createHashHistory,
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
} from "@tanstack/react-router";
import { InstanceList } from "./instances/InstanceList";
import { searchOf } from "./requests/log";
import { Landing } from "./shell/Landing";
import { Root } from "./shell/Root";
import { Broken, Unknown } from "./shell/Trouble";

const root = createRootRoute({ component: Root });

const index = createRoute({
  getParentRoute: () => root,
  path: "/",
  component: Landing,
});
const dashboard = createRoute({
  getParentRoute: () => root,
  path: "/dashboard",
  component: lazyRouteComponent(() => import("./dashboard/DashboardPage"), "DashboardPage"),
});
const instances = createRoute({
  getParentRoute: () => root,
  path: "/instances",
  component: InstanceList,
});
const create = createRoute({
  getParentRoute: () => root,
  path: "/new",
  validateSearch: (search: Record<string, unknown>): { model?: string } =>
    typeof search.model === "string" ? { model: search.model } : {},
  component: lazyRouteComponent(() => import("./editor/CreatePage"), "CreatePage"),
});
const instance = createRoute({
  getParentRoute: () => root,
  path: "/instances/$name",
  validateSearch: (search: Record<string, unknown>): { tab?: string } =>
    typeof search.tab === "string" ? { tab: search.tab } : {},
  component: lazyRouteComponent(() => import("./instances/InstancePage"), "InstancePage"),
});
const edit = createRoute({
  getParentRoute: () => root,
  path: "/instances/$name/edit",
  component: lazyRouteComponent(() => import("./editor/EditPage"), "EditPage"),
});
const chat = createRoute({
  getParentRoute: () => root,
  path: "/chat",
  validateSearch: (search: Record<string, unknown>): { model?: string } =>
    typeof search.model === "string" ? { model: search.model } : {},
  component: lazyRouteComponent(() => import("./chat/ChatPage"), "ChatPage"),
});
const models = createRoute({
  getParentRoute: () => root,
  path: "/models",
  component: lazyRouteComponent(() => import("./models/ModelsPage"), "ModelsPage"),
});
const keys = createRoute({
  getParentRoute: () => root,
  path: "/keys",
  component: lazyRouteComponent(() => import("./keys/KeysPage"), "KeysPage"),
});
const activity = createRoute({
  getParentRoute: () => root,
  path: "/activity",
  component: lazyRouteComponent(() => import("./activity/ActivityPage"), "ActivityPage"),
});
const requests = createRoute({
  getParentRoute: () => root,
  path: "/requests",
  validateSearch: searchOf,
  component: lazyRouteComponent(() => import("./requests/RequestsPage"), "RequestsPage"),
});
const system = createRoute({
  getParentRoute: () => root,
  path: "/system",
  component: lazyRouteComponent(() => import("./system/SystemPage"), "SystemPage"),
});

// In the fragment, since the server has one page and may be below any prefix.
export const router = createRouter({
  defaultErrorComponent: Broken,
  defaultNotFoundComponent: Unknown,
  routeTree: root.addChildren([
    index,
    dashboard,
    instances,
    create,
    instance,
    edit,
    chat,
    models,
    keys,
    requests,
    activity,
    system,
  ]),
  history: createHashHistory(),
  defaultPreload: "intent",
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
