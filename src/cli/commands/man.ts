import type { Command } from "../command.ts";
import { manualPage } from "../man.ts";
import { Ui } from "../ui.ts";

export const MAN: Command = {
  name: "man",
  summary: "print the manual page",
  operands: [],
  options: {},
  notes: [],
  examples: [
    { command: "ctd-decoder man | man -l -", does: "shows it" },
    {
      command: "ctd-decoder man | install -D -m 644 /dev/stdin /usr/local/share/man/man1/ctd-decoder.1",
      does: "installs it",
    },
  ],
  async run(args) {
    const { COMMANDS } = await import("../commands.ts");
    new Ui(args).print(manualPage(COMMANDS));
  },
};
