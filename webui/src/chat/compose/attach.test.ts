import { describe, expect, it } from "vitest";
import { attach, fenced } from "./attach";

const TAKER = { model: "blind", sees: false, images: 0 };

describe("an attached file", () => {
  it("is a block with its name, whatever is in it", () => {
    expect(fenced("a.py", "x = 1\n")).toBe("a.py:\n\n```py\nx = 1\n```");
    expect(fenced("Makefile", "````")).toBe("Makefile:\n\n`````\n````\n`````");
  });

  it("must be a text, and not too long", async () => {
    const files = [
      new File(["ü"], "a.txt", { type: "text/plain" }),
      new File([new Uint8Array([0xff, 0xfe, 0])], "b.bin"),
      new File(["a\0b"], "c.dat"),
      new File(["x".repeat(300_000)], "d.log"),
      new File(["x"], "e.png", { type: "image/png" }),
    ];
    expect(await attach(files, TAKER)).toEqual({
      images: [],
      texts: ["a.txt:\n\n```txt\nü\n```"],
      faults: [
        "b.bin: only images and text files (UTF-8) can be attached",
        "c.dat: only images and text files (UTF-8) can be attached",
        "d.log: the file has 293 KiB; the limit is 256 KiB",
        "e.png: blind doesn't see images",
      ],
    });
  });

  it("is refused as an image that is too large, or one too many", async () => {
    const image = (size: number) =>
      new File([new Uint8Array(size)], "i.png", { type: "image/png" });
    const taker = { model: "sees", sees: true, images: 8 };
    const { faults } = await attach([image(9 << 20), image(1)], taker);
    expect(faults).toEqual([
      "i.png: the image has 9.0 MiB; the limit is 8.0 MiB",
      "i.png: a message takes 8 images",
    ]);
  });
});
