/**
 * Copies a text, also where the page came over plain HTTP from another machine: there browsers
 * offer no `navigator.clipboard`. Throws where neither way works.
 */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.setAttribute("readonly", "");
  area.className = "offscreen";
  const focused = document.activeElement;
  const within = document.querySelector('[role="dialog"]') ?? document.body; // its focus trap
  within.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  if (!copied)
    throw new Error(
      "This browser does not allow the page to copy. Select the text and copy it yourself.",
    );
}
