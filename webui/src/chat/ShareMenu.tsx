import { ActionIcon, Menu } from "@mantine/core";
import { IconShare } from "@tabler/icons-react";
import { base } from "../api/client";
import { copyText } from "../ui/clipboard";
import { download } from "../ui/download";
import { attempt, tell } from "../ui/tell";
import type { Conversation } from "./talk/conversation";
import { asCurl, asMarkdown, asPython } from "./talk/share";
import { exported } from "./talk/transfer";

export function ShareMenu({ talk }: { talk: Conversation }) {
  const copy = (text: string, what: string) =>
    attempt("Copying failed", async () => {
      await copyText(text);
      tell(`${what} copied. It reads the key from LLAMACTL_API_KEY.`);
    });
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon
          variant="default"
          size="input-sm"
          aria-label="Share this chat"
          disabled={talk.turns.length === 0}
        >
          <IconShare size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => copy(asCurl(talk, base), "curl command")}>Copy as curl</Menu.Item>
        <Menu.Item onClick={() => copy(asPython(talk, base), "Python code")}>
          Copy as Python
        </Menu.Item>
        <Menu.Item onClick={() => download(`${talk.title}.md`, asMarkdown(talk), "text/markdown")}>
          Export as Markdown
        </Menu.Item>
        <Menu.Item onClick={() => download(`${talk.title}.json`, exported([talk]))}>
          Export as JSON
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
