import { bytes } from "../../ui/format";

const MOST_IMAGES = 8; // of a message
const LARGEST_IMAGE = 8 << 20; // bytes
const LARGEST_TEXT = 256 << 10;

export interface Attached {
  /** data: URLs */
  images: string[];
  /** Blocks of text, each with its file's name. */
  texts: string[];
  /** Why others were not taken. */
  faults: string[];
}

export interface Taker {
  model: string;
  sees: boolean;
  /** How many images the message has already. */
  images: number;
}

/** Images for a model that sees, and texts as blocks. */
export async function attach(files: File[], taker: Taker): Promise<Attached> {
  const found: Attached = { images: [], texts: [], faults: [] };
  for (const file of files) {
    const name = file.name || "The image";
    if (!file.type.startsWith("image/") || file.type === "image/svg+xml") {
      const text = await textOf(file);
      if ("fault" in text) found.faults.push(`${name}: ${text.fault}`);
      else found.texts.push(fenced(name, text.text));
    } else if (!taker.sees) {
      found.faults.push(`${name}: ${taker.model} doesn't see images`);
    } else if (file.size > LARGEST_IMAGE) {
      const sizes = `${bytes(file.size)}; the limit is ${bytes(LARGEST_IMAGE)}`;
      found.faults.push(`${name}: the image has ${sizes}`);
    } else if (taker.images + found.images.length >= MOST_IMAGES) {
      found.faults.push(`${name}: a message takes ${MOST_IMAGES} images`);
    } else {
      found.images.push(await dataUrl(file));
    }
  }
  return found;
}

async function textOf(file: File): Promise<{ text: string } | { fault: string }> {
  if (file.size > LARGEST_TEXT) {
    return { fault: `the file has ${bytes(file.size)}; the limit is ${bytes(LARGEST_TEXT)}` };
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    if (!text.includes("\0")) return { text };
  } catch {
    // said below
  }
  return { fault: "only images and text files (UTF-8) can be attached" };
}

/** A block whose fence is longer than any in the text. */
export function fenced(name: string, text: string): string {
  const runs = text.match(/`{3,}/g) ?? [];
  const fence = "`".repeat(Math.max(3, ...runs.map((run) => run.length + 1)));
  const kind = /\.(\w{1,12})$/.exec(name)?.[1] ?? "";
  return `${name}:\n\n${fence}${kind}\n${text.replace(/\n$/, "")}\n${fence}`;
}

function dataUrl(file: File): Promise<string> {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result));
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(file);
  });
}
