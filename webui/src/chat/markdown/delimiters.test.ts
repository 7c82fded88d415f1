import { describe, expect, it } from "vitest";
import { hasMath, withMarkedMath } from "./delimiters";

describe("formulas in Markdown", () => {
  it("get one form", () => {
    const cases = {
      "so $x^2$ is": "so $$x^2$$ is",
      "so \\(x\\) is": "so $$x$$ is",
      "so \\[x\\] is": "so $$x$$ is",
      "a\n\\[\nx = 1\n\\]\nb": "a\n$$\nx = 1\n$$\nb",
      "a\n$$x = 1$$\nb": "a\n$$\nx = 1\n$$\nb",
      "- a\n  \\[x\\]": "- a\n  $$\n  x\n  $$",
      "$a$, $b$ and ($c$)": "$$a$$, $$b$$ and ($$c$$)",
    };
    for (const [text, marked] of Object.entries(cases)) expect(withMarkedMath(text)).toBe(marked);
  });

  it("are not seen in prices, shells and code", () => {
    const others = [
      "It costs $5 and $10.",
      "US$5, $1,000 or $2",
      "$HOME:$PATH and $HOME is",
      "in `$x$` and `\\(y\\)`",
      "```sh\necho $a$ \\(b\\)\n```",
      "- ~~~\n  $x$\n  ~~~",
      "\\$x$ and $ x $",
      "````\n```\n$x$\n````",
    ];
    for (const text of others) expect([text, hasMath(text)]).toEqual([text, false]);
    expect(hasMath("```\n$a$\n```\nbut $b$")).toBe(true);
  });

  it("stay as they are until they are complete", () => {
    expect(withMarkedMath("so \\[x = ")).toBe("so \\[x = ");
    expect(withMarkedMath("so $x = ")).toBe("so $x = ");
    const many = "\\[ ".repeat(20_000);
    expect(withMarkedMath(many)).toBe(many);
  });
});
