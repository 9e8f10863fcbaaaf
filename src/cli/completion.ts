import { readdirSync } from "node:fs";
import { join } from "node:path";
import { readSmallFile } from "../io/file.ts";
import * as LIMITS from "../limits.ts";
import { REF_NAME } from "../spec/manifest.ts";
import { TRANSPORTS } from "../transport/transports.ts";
import { type Command, commandOf, dashed, type Options } from "./command.ts";
import { HELP, OTHER_FLAGS, PROGRAM_FLAGS } from "./help.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** Each asks the program for the words that fit the line up to the cursor, and completes file names if there are none. */
const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `_ctd_decoder() {
  local IFS=$'\\n'
  COMPREPLY=($("$1" completion bash -- "\${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
  [[ "\${COMPREPLY[0]:-}" != *[:/=] ]] || compopt -o nospace
}
complete -o default -o bashdefault -F _ctd_decoder ctd-decoder
`,
  zsh: `#compdef ctd-decoder
_ctd_decoder() {
  local -a found=("\${(@f)$("\${words[1]}" completion zsh -- "\${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
  [[ -n "$found" ]] && compadd -S '' -a found || _files
}
compdef _ctd_decoder ctd-decoder
`,
  fish: `complete -c ctd-decoder -a '(ctd-decoder completion fish -- (commandline -cp | string collect))'
`,
};

export function completionScript(shell: Shell): string {
  return SCRIPTS[shell];
}

/**
 * Returns completions of a command line's last word, most likely first. Returns none where a file name is expected.
 * bash splits words at ":" and "=", so for bash the part up to the last of them is left out.
 */
export function complete(line: string, commands: readonly Command[], shell: Shell): string[] {
  const [, ...words] = line.split(/\s+/);
  const current = words.pop() ?? "";
  const found = candidates(words, current, commands).filter((word) => word.startsWith(current));
  const known = shell === "bash" ? current.replace(/[^:=]*$/, "").length : 0;
  return found.map((word) => word.slice(known));
}

function candidates(words: readonly string[], current: string, commands: readonly Command[]): string[] {
  const command = commandOf(words, commands);
  if (command === undefined) {
    if (current.startsWith("-")) return names({ ...PROGRAM_FLAGS, ...OTHER_FLAGS });
    return nextWords(words, commands);
  }
  const { options, operands } = command;
  const valued = optionNamed(options, words.at(-1) ?? "");
  if (valued?.value !== undefined) return [...(valued.choices ?? [])];
  const [, inline] = /^(--[^=]+)=/.exec(current) ?? [];
  if (inline !== undefined)
    return (optionNamed(options, inline)?.choices ?? []).map((choice) => `${inline}=${choice}`);
  if (current.startsWith("-")) return names({ ...options, help: HELP });
  // The operands of a command complete alike, so their position does not matter.
  const completes = operands[0]?.completes ?? "files";
  if (completes === "images") return images(current);
  return completes === "files" ? [] : [...completes];
}

/** The words that may continue a command's name. */
function nextWords(words: readonly string[], commands: readonly Command[]): string[] {
  const matching = commands
    .map(({ name }) => name.split(" "))
    .filter((parts) => words.every((word, position) => parts[position] === word));
  return [...new Set(matching.flatMap((parts) => parts[words.length] ?? []))];
}

function optionNamed(options: Options, word: string): Options[string] | undefined {
  return Object.entries(options).find(([name, { alias }]) =>
    [name, alias].some((it) => it !== undefined && dashed(it) === word),
  )?.[1];
}

function names(options: Options): string[] {
  return Object.keys(options).map((name) => `--${name}`);
}

const PREFIXES = TRANSPORTS.map(({ name }) => (name === "docker" ? "docker://" : `${name}:`));

/** "o" → transports, "oci:a" → folders and files, "oci:app:" → the tags of the layout in app. */
function images(current: string): string[] {
  const [transport = "", path, tag] = /^([^:]*:)([^:]*)(:)?/.exec(current)?.slice(1) ?? [];
  if (path === undefined) return PREFIXES;
  if (!PREFIXES.includes(transport)) return [];
  if (tag !== undefined) return tags(path).map((name) => `${transport}${path}:${name}`);
  const onlyFolders = transport === "oci:" || transport === "rootfs:";
  const here = path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : "";
  const entries = listing(here === "" ? "." : here)
    .filter((entry) => entry.isDirectory() || !onlyFolders)
    .map((entry) => `${transport}${here}${entry.name}${entry.isDirectory() ? "/" : ""}`);
  return transport === "oci:" && tags(path).length > 0 ? [...entries, `${current}:`] : entries;
}

function listing(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return []; // No such folder, so nothing completes it.
  }
}

/** The tags in an OCI layout's index; none if it is not a layout. */
function tags(layout: string): string[] {
  try {
    const index = JSON.parse(
      Buffer.from(readSmallFile(join(layout, "index.json"), LIMITS.manifestBytes)).toString(),
    );
    return index.manifests
      .map((entry: { annotations?: Record<string, unknown> }) => entry.annotations?.[REF_NAME])
      .filter((tag: unknown) => typeof tag === "string" && /^[\x21-\x7e]+$/.test(tag));
  } catch {
    return [];
  }
}
