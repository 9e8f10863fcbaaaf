import type { Command, Option, Options } from "./command.ts";
import { HELP, OTHER_FLAGS, PROGRAM_FLAGS } from "./help.ts";

/** Of the program itself. */
const TOP_FLAGS: Options = { ...PROGRAM_FLAGS, ...OTHER_FLAGS };

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** A script that teaches a shell the commands, their options and the options' values; paths it knows itself. */
export function completionScript(shell: Shell, commands: readonly Command[]): string {
  if (shell === "fish") return fishScript(commands);
  const script = bashScript(commands);
  return shell === "bash" ? script : `autoload -U +X bashcompinit && bashcompinit\n${script}`;
}

function bashScript(commands: readonly Command[]): string {
  const values = commands.flatMap(({ name, options }) =>
    Object.entries(options).flatMap(([option, { choices }]) =>
      choices === undefined ? [] : [`    "${name} --${option}") words="${choices.join(" ")}" ;;`],
    ),
  );
  const options = commands.map(
    ({ name, options }) => `      ${name}) words="${dashed({ ...options, help: HELP }).join(" ")}" ;;`,
  );
  const operands = commands.flatMap(({ name, operands }) => {
    const words = operands.flatMap(({ completes }) => (completes === "files" ? [] : completes));
    return words.length === 0 ? [] : [`      ${name}) words="${words.join(" ")}" ;;`];
  });
  return `# Completion of ctd-decoder's commands, for bash and, by way of bashcompinit, for zsh.
_ctd_decoder() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} words=
  if [ "$COMP_CWORD" -eq 1 ] && [[ "$current" != -* ]]; then words="${commands.map(({ name }) => name).join(" ")}"; fi
  case "\${COMP_WORDS[1]} $previous" in
${values.join("\n")}
  esac
  if [ -z "$words" ]; then
    case "$current" in
    -*) case "\${COMP_WORDS[1]}" in
${options.join("\n")}
      -*) words="${dashed(TOP_FLAGS).join(" ")}" ;;
      esac ;;
    *) case "\${COMP_WORDS[1]}" in
${operands.join("\n")}
      esac ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -o bashdefault -F _ctd_decoder ctd-decoder
`;
}

function fishScript(commands: readonly Command[]): string {
  const lines = commands.flatMap(({ name, summary, options, operands }) => {
    const when = `-n "__fish_seen_subcommand_from ${name}"`;
    const words = operands.flatMap(({ completes }) => (completes === "files" ? [] : completes));
    return [
      `complete -c ctd-decoder -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`,
      ...Object.entries({ ...options, help: HELP }).map(
        ([option, it]) => `complete -c ctd-decoder ${when} ${fishOption(option, it)}`,
      ),
      ...(words.length === 0 ? [] : [`complete -c ctd-decoder ${when} -f -a ${quoted(words.join(" "))}`]),
    ];
  });
  const top = Object.entries(TOP_FLAGS).map(
    ([option, it]) => `complete -c ctd-decoder -n __fish_use_subcommand ${fishOption(option, it)}`,
  );
  return `# Completion of ctd-decoder's commands, for fish.\n${[...top, ...lines].join("\n")}\n`;
}

function fishOption(name: string, { help, value, choices, alias }: Option): string {
  const names = [name, ...(alias === undefined ? [] : [alias])].map((it) =>
    it.length === 1 ? `-s ${it}` : `-l ${it}`,
  );
  const argument =
    choices !== undefined ? [`-x -a ${quoted(choices.join(" "))}`] : value !== undefined ? ["-r"] : [];
  return [...names, ...argument, `-d ${quoted(help)}`].join(" ");
}

function dashed(options: Command["options"]): string[] {
  return Object.keys(options).map((name) => `--${name}`);
}

/** For a POSIX shell and fish alike. */
function quoted(text: string): string {
  return `"${text.replace(/[\\"$`]/g, "\\$&")}"`;
}
