import type { Command } from "../command.ts";
import { manualPage } from "../man.ts";

export function manCommand(commands: () => readonly Command[]): Command {
  return {
    name: "man",
    summary: "print the manual page",
    operands: [],
    options: { json: { help: "print an error as JSON" } },
    notes: [],
    examples: [
      { command: "ctd-decoder man | man -l -", does: "shows the manual page" },
      {
        command: "ctd-decoder man | install -D -m 644 /dev/stdin /usr/local/share/man/man1/ctd-decoder.1",
        does: "installs it",
      },
    ],
    async run(_args, ui) {
      ui.print(manualPage(commands()));
    },
  };
}
