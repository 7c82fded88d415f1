import { type CSSVariablesResolver, createTheme } from "@mantine/core";

export const theme = createTheme({
  primaryColor: "brand",
  primaryShade: { light: 7, dark: 7 },
  colors: {
    brand: [
      "#f1effc",
      "#dfdaf6",
      "#c2b9ee",
      "#a496e6",
      "#8b78de",
      "#7863d6",
      "#6552c8",
      "#5442b3",
      "#463795",
      "#392d79",
    ],
  },
  defaultRadius: "md",
  cursorType: "pointer",
  fontFamily:
    'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif',
  fontFamilyMonospace:
    'ui-monospace, SFMono-Regular, Menlo, "Cascadia Mono", Consolas, "Liberation Mono", monospace',
  headings: { fontWeight: "650" },
  respectReducedMotion: true,
  components: {
    // those of dialogs, drawers and messages have only a cross
    CloseButton: { defaultProps: { "aria-label": "Close" } },
    // a second <header> would be a second banner to screen readers
    DrawerHeader: { defaultProps: { role: "presentation" } },
    ModalHeader: { defaultProps: { role: "presentation" } },
  },
});

/** What of Mantine's own colours has too little contrast for WCAG AA. */
export const readable: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "var(--mantine-color-gray-7)",
    "--mantine-color-placeholder": "var(--mantine-color-gray-7)",
    "--mantine-color-error": "var(--mantine-color-red-9)",
    "--mantine-color-anchor": "var(--mantine-color-brand-7)",
  },
  dark: {
    "--mantine-color-dimmed": "var(--mantine-color-dark-1)",
    "--mantine-color-placeholder": "var(--mantine-color-dark-1)",
    "--mantine-color-error": "var(--mantine-color-red-4)",
    "--mantine-color-anchor": "var(--mantine-color-brand-3)",
  },
});
