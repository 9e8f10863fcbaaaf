import { DecoderError } from "../../errors.ts";
import type { Command } from "../command.ts";
import { complete, completionScript, SHELLS } from "../completion.ts";

export function completionCommand(commands: () => readonly Command[]): Command {
  return {
    name: "completion",
    summary: "print a script for completion in a shell",
    operands: [
      { name: "SHELL", completes: SHELLS },
      { name: "LINE", completes: [], optional: true },
    ],
    options: { json: { help: "print an error as JSON" } },
    notes: [
      `SHELL is ${SHELLS.join(", ")}. LINE is a command line up to the cursor. With it, the command prints the completions of the last word. The scripts call the program that way.`,
    ],
    examples: [
      { command: "source <(ctd-decoder completion bash)", does: "enables completion in this shell" },
      {
        command:
          "ctd-decoder completion fish | install -D -m 644 /dev/stdin ~/.config/fish/completions/ctd-decoder.fish",
        does: "enables completion in every new fish",
      },
    ],
    async run(args, ui) {
      const shell = SHELLS.find((name) => name === args.operand(0));
      if (shell === undefined) {
        throw new DecoderError("USAGE", `there is no completion for "${args.operand(0)}"`, {
          hint: `the shells are ${SHELLS.join(", ")}`,
        });
      }
      const line = args.optionalOperand(1);
      if (line === undefined) return ui.print(completionScript(shell));
      ui.print(
        complete(line, commands(), shell)
          .map((word) => `${word}\n`)
          .join(""),
      );
    },
  };
}
