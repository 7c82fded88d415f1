import { type DragEvent, useRef, useState } from "react";

/** Files that are dragged over an element. */
export function useDrop(take: (files: File[]) => void) {
  const depth = useRef(0); // of elements that the pointer has entered and not left
  const [over, setOver] = useState(false);
  const enter = (by: number) => (event: DragEvent) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    depth.current += by;
    setOver(depth.current > 0);
  };
  const handlers = {
    onDragEnter: enter(1),
    onDragOver: enter(0),
    onDragLeave: enter(-1),
    onDrop: (event: DragEvent) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      depth.current = 0;
      setOver(false);
      take([...event.dataTransfer.files]);
    },
  };
  return { over, handlers };
}
