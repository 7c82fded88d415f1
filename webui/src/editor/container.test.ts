import { describe, expect, it } from "vitest";
import {
  asContainer,
  asProcess,
  containerOf,
  isContained,
  lineOf,
  mountIn,
  mountText,
  tableOf,
  withField,
} from "./container";
import { changes, type Definition, EMPTY } from "./definition";

const INSTALLED = { in_container: false };
const BOXED = { in_container: true };
const of = (own: Record<string, unknown>): Definition => ({ ...EMPTY, own });

describe("a container", () => {
  it("is one that the instance defines, asks of the settings, or has by the settings", () => {
    const found = [
      isContained(EMPTY, INSTALLED),
      isContained(EMPTY, BOXED),
      isContained(of({ container: { image: "e:1" } }), INSTALLED),
      isContained(of({ container: {} }), INSTALLED),
      isContained(of({ docker_enabled: true }), INSTALLED),
      isContained(of({ docker_enabled: false, container: { image: "e:1" } }), BOXED),
    ];
    expect(found).toEqual([false, true, true, true, true, false]);
  });

  it("can be chosen and left again, whatever the settings do by default", () => {
    const image = { image: "e:1" };
    expect(asContainer(EMPTY, {}, INSTALLED)).toEqual(of({ docker_enabled: true }));
    expect(asContainer(EMPTY, image, INSTALLED)).toEqual(of({ container: image }));
    expect(asContainer(of({ docker_enabled: false }), {}, BOXED)).toEqual(EMPTY);
    expect(asProcess(of({ container: image }), INSTALLED)).toEqual(EMPTY);
    expect(asProcess(of({ container: image }), BOXED)).toEqual(of({ docker_enabled: false }));
    for (const backend of [INSTALLED, BOXED]) {
      const chosen = asContainer(EMPTY, {}, backend);
      expect(isContained(chosen, backend)).toBe(true);
      expect(isContained(asProcess(chosen, backend), backend)).toBe(false);
    }
  });

  it("is removed by an update whole, and field by field", () => {
    const before = of({ container: { image: "e:1", gpus: "all", env: { A: "1", B: "2" } } });
    const updated = (container: object) => changes(before, of({ container }));
    expect(changes(before, asProcess(before, INSTALLED))).toEqual({ container: null });
    expect(updated({ image: "e:2", env: { A: "1", B: "2" } })).toEqual({
      container: { image: "e:2", gpus: null },
    });
    expect(updated({ image: "e:1", gpus: "all", env: { A: "1" } })).toEqual({
      container: { env: { A: "1" } },
    });
    expect(updated({ env: { A: "1", B: "2" }, gpus: "all", image: "e:1" })).toEqual({});
    expect(changes(EMPTY, of({ container: { image: "e:1" } }))).toEqual({
      container: { image: "e:1" },
    });
  });

  it("loses a field that is emptied", () => {
    const container = { image: "e:1", mounts: ["/a"], env: { A: "1" } };
    expect(withField(container, "image", "")).toEqual({ mounts: ["/a"], env: { A: "1" } });
    expect(withField(container, "mounts", [])).toEqual({ image: "e:1", env: { A: "1" } });
    expect(withField(container, "env", {})).toEqual({ image: "e:1", mounts: ["/a"] });
    expect(withField(container, "pull", undefined)).toEqual(container);
    expect(withField({}, "gpus", "all")).toEqual({ gpus: "all" });
    expect(containerOf(of({ container }))).toEqual(container);
  });
});

describe("what a container gets", () => {
  it("is a mount as the server reads it, and as a person sees it", () => {
    for (const text of ["/a", "/a:/b", "/a:/b:rw", "/a:/a:rw"]) {
      expect(mountText(mountIn(text))).toBe(text);
    }
    expect(mountIn("/a:/b:ro")).toEqual({ here: "/a", inside: "/b", writable: false });
    expect(mountText({ here: " /a ", inside: "", writable: false })).toBe("/a");
    expect(mountText({ here: "", inside: "/b", writable: false })).toBe(":/b"); // it is refused
    expect(mountText({ here: "", inside: "", writable: true })).toBe("");
  });

  it("is a variable once it has a name", () => {
    const rows: [string, string][] = [
      ["A", "1=2"],
      ["", "x"],
      [" B ", ""],
    ];
    expect(tableOf(rows)).toEqual({ A: "1=2", B: "" });
  });

  it("is a line of words that a shell splits into the same", () => {
    expect(lineOf(["--ipc=host", "--memory", "8g"])).toBe("--ipc=host --memory 8g");
    expect(lineOf(["--label", "it's two"])).toBe("--label 'it'\\''s two'");
    expect([lineOf(undefined), lineOf(""), lineOf("--ipc  host")]).toEqual(["", "", "--ipc  host"]);
  });
});
