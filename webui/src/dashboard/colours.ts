/** Okabe and Ito's, which people with any colour vision can tell apart: https://jfly.uni-koeln.de/color/ */
export const COLOURS = [
  "#0072b2",
  "#e69f00",
  "#009e73",
  "#cc79a7",
  "#56b4e9",
  "#d55e00",
  "#f0e442",
] as const;

/** Of text on it. */
export function onColour(colour: string): string {
  return colour === "#0072b2" ? "#ffffff" : "#000000";
}

/** Those that stand out as thin lines; on a dark page blue has to be lighter. */
export function lineColours(scheme: string) {
  const blue = scheme === "dark" ? "#56b4e9" : "#0072b2";
  return { blue, green: "#009e73", purple: "#cc79a7", red: "#d55e00" };
}
