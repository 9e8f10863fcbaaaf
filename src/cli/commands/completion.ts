import { DecoderError } from "../../errors.ts";
import type { Command } from "../command.ts";
import { completionScript, SHELLS } from "../completion.ts";
import { Ui } from "../ui.ts";

export const COMPLETION: Command = {
  name: "completion",
  summary: "print a script that completes these commands in a shell",
  operands: [{ name: "SHELL", completes: SHELLS }],
  options: {},
  notes: [`SHELL is ${SHELLS.join(", ")}.`],
  examples: [
    { command: "source <(ctd-decoder completion bash)", does: "completes in this shell" },
    {
      command:
        "ctd-decoder completion fish | install -D -m 644 /dev/stdin ~/.config/fish/completions/ctd-decoder.fish",
      does: "completes in every new fish",
    },
  ],
  async run(args) {
    const shell = SHELLS.find((name) => name === args.operand(0));
    if (shell === undefined) {
      throw new DecoderError("USAGE", `there is no completion for "${args.operand(0)}"`, {
        hint: `there is for ${SHELLS.join(", ")}`,
      });
    }
    const { COMMANDS } = await import("../commands.ts");
    new Ui(args).print(completionScript(shell, COMMANDS));
  },
};
