import { Checkbox } from "@mantine/core";

interface Props {
  allowed: boolean;
  change: (allowed: boolean) => void;
}

/** Offered where an option was refused because the engine does not list it. */
export function AllowUnknown({ allowed, change }: Props) {
  return (
    <Checkbox
      label="Pass unknown options to the engine as they are"
      description="For options that the engine accepts but does not list in its help"
      checked={allowed}
      onChange={(event) => change(event.currentTarget.checked)}
    />
  );
}
