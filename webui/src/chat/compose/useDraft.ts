import { useState } from "react";
import { attach } from "./attach";

export type Draft = ReturnType<typeof useDraft>;

/** The message that is being written, with what is attached to it. */
export function useDraft(model: string, sees: boolean) {
  const [text, setText] = useState("");
  const [images, setImages] = useState<string[]>([]);
  const [faults, setFaults] = useState<string[]>([]);
  return {
    text,
    setText,
    images,
    removeImage: (index: number) => setImages((now) => now.filter((_, at) => at !== index)),
    faults,
    forgive: () => setFaults([]),
    take: async (files: File[]) => {
      const found = await attach(files, { model, sees, images: images.length });
      setFaults(found.faults);
      setImages((now) => [...now, ...found.images]);
      setText((now) => [now.trimEnd(), ...found.texts].filter(Boolean).join("\n\n"));
    },
    clear: () => {
      setText("");
      setImages([]);
      setFaults([]);
    },
  };
}
