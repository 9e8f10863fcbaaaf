import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { commandOf, wordsOf } from "../../../src/cli/command.ts";
import { COMMAND_GROUPS, COMMANDS } from "../../../src/cli/commands.ts";
import { complete, completionScript, SHELLS, type Shell } from "../../../src/cli/completion.ts";
import { commandHelp, groupHelp, HELP, programHelp } from "../../../src/cli/help.ts";
import { manualPage } from "../../../src/cli/man.ts";
import { parseArguments } from "../../../src/cli/parse.ts";
import { FLAGS } from "../../../src/decoder/flags.ts";
import { describeWith, onPath, ours, run } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

test.each(COMMANDS)("$name: its help names every option and fits in 80 columns", (command) => {
  const help = commandHelp(command);
  for (const option of Object.keys(command.options)) expect(help).toContain(`--${option}`);
  expect(help.split("\n").filter((line) => line.length > 80)).toEqual([]);
});

test("help lists an option's choices if it has several", () => {
  const helps = new Map(COMMANDS.map((command) => [command.name, commandHelp(command)]));
  expect(helps.get("keygen")).toContain("(one of ec, rsa)");
  expect(helps.get("config")).toMatch(/--returns TYPE [^(]*\n\n/);
});

test.each(COMMANDS)("$name: no two options share a letter or a name", ({ options }) => {
  const names = Object.entries({ ...options, help: HELP }).flatMap(([name, { alias }]) =>
    [name, alias ?? []].flat(),
  );
  expect(names).toEqual([...new Set(names)]);
});

test("--tls-verify has one form in every command", () => {
  const having = COMMANDS.filter(({ options }) => Object.hasOwn(options, "tls-verify"));
  const helps = having.map(({ options }) => ({ ...options["tls-verify"], group: undefined }));
  expect(new Set(helps.map((it) => JSON.stringify(it))).size).toBe(1);
  expect(having.map(({ name }) => name)).toEqual(expect.arrayContaining(["encrypt", "sign", "trust check"]));
});

test.each(["sign", "inspect"])("%s: =false and a following word turn off --tls-verify", (name) => {
  const command = commandOf([name], COMMANDS);
  if (command === undefined) throw new Error(`no command ${name}`);
  for (const words of [["--tls-verify=false"], ["--tls-verify", "false"]]) {
    const args = parseArguments(command, [...words, "app"]);
    expect([args.text("tls-verify"), args.operand(0)]).toEqual(["false", "app"]);
  }
});

test("an example that help breaks into lines is one command for a shell", () => {
  const joined = (text: string) => text.replaceAll(" \\\n    ", " ");
  for (const command of COMMANDS) {
    const help = joined(commandHelp(command));
    for (const example of command.examples) {
      expect(help).toContain(`  ${example.command}\n`);
      expect(example.command, "a quoted blank would be a place to break").not.toMatch(
        /["'][^"']* [^"']*["']/,
      );
    }
  }
});

test.each(COMMANDS.flatMap(({ examples }) => examples.map(({ command }) => command)))(
  "%s is understood",
  (line) => {
    const [, call = ""] =
      /ctd-decoder ([^|<>]*)/.exec(line.replace(/<\([^)]*\)/g, (it) => it.slice(2, -1))) ?? [];
    const words = call.split(" ").filter(Boolean);
    const command = commandOf(words, COMMANDS);
    if (command === undefined) throw new Error(`no command: ${line}`);
    expect(parseArguments(command, words.slice(wordsOf(command)))).toBeDefined();
  },
);

test("the program's help and the manual page name every command and every flag of the decoder", () => {
  const [help, manual] = [programHelp(COMMAND_GROUPS), manualPage(COMMANDS).replaceAll("\\-", "-")];
  for (const { name, options } of COMMANDS) {
    expect(help).toMatch(new RegExp(`^  ${name} `, "m"));
    for (const option of Object.keys(options)) expect(manual).toContain(`--${option}`);
  }
  expect(help).toMatch(/^ {2}-h, --help .*\n {2}--version /m);
  expect(manual).toMatch(/^\.B -h, --help\n.*\n\.TP\n\.B --version$/m);
  for (const flag of Object.keys(FLAGS))
    expect([help.includes(`--${flag}`), manual.includes(`--${flag}`)]).toEqual([true, true]);
});

test("a group's help names its commands, and fits in 80 columns", () => {
  const members = COMMANDS.filter(({ name }) => name.startsWith("trust "));
  const help = groupHelp("trust", members);
  for (const { name, summary } of members) {
    expect(help).toMatch(new RegExp(`^  ${name} `, "m"));
    expect(help.replaceAll(/\n +/g, " ")).toContain(summary);
  }
  expect(help.split("\n").filter((line) => line.length > 80)).toEqual([]);
});

test("each line of an example's description is a comment", () => {
  for (const command of COMMANDS) {
    const [, examples = ""] = commandHelp(command).split("Examples:\n");
    for (const { does } of command.examples)
      expect(examples.replaceAll("\n  # ", " ")).toContain(` ${does}\n`);
  }
});

test("the manual page names the files and variables that the decoder reads, and other pages", () => {
  const manual = manualPage(COMMANDS).replaceAll("\\-", "-");
  for (const part of [
    ".SH FILES",
    "/etc/containerd/ocicrypt/keys",
    "OCICRYPT_AUDIT_LOG",
    "COSIGN_PASSWORD",
    "3 if install",
    ".SH SEE ALSO",
  ])
    expect(manual).toContain(part);
});

const folder = temporaryFolder();

describe("completion", () => {
  beforeAll(() => {
    const entry = (tag: string) => ({ annotations: { "org.opencontainers.image.ref.name": tag } });
    mkdirSync(join(folder, "apple"));
    mkdirSync(join(folder, "app"));
    writeFileSync(join(folder, "app.tar"), "");
    writeFileSync(
      join(folder, "app/index.json"),
      JSON.stringify({ manifests: [entry("1.0"), entry("1.1"), entry("\u001b[2J"), {}] }),
    );
    writeFileSync(join(folder, "apple/index.json"), "{ not JSON");
  });

  test.each([
    ["en", ["encrypt"]],
    ["encrypt --comp", ["--compression", "--compression-level"]],
    ["encrypt --compression g", ["gzip"]],
    ["encrypt --compression=", ["--compression=keep", "--compression=gzip", "--compression=none"]],
    ["encrypt --recipient ", []],
    ["encrypt -r j", []],
    ["completion z", ["zsh"]],
    ["encrypt oci", ["oci:", "oci-archive:"]],
    ["keygen k", []],
    ["nonsense --sp", ["--spool-memory", "--spool-dir"]],
    ["--spool-d", ["--spool-dir"]],
    ["--strict-keys --rel", ["--release"]],
    ["verify oci:FOLDER/app", ["oci:FOLDER/app/", "oci:FOLDER/apple/", "oci:FOLDER/app:"]],
    ["verify oci:FOLDER/app:1.", ["oci:FOLDER/app:1.0", "oci:FOLDER/app:1.1"]],
    ["verify oci:FOLDER/apple:", []],
    ["verify oci:FOLDER/none/", []],
    ["verify oci-archive:FOLDER/app.", ["oci-archive:FOLDER/app.tar"]],
  ])("of %j", (line, words) => {
    const here = (text: string) => text.replace("FOLDER", folder);
    const found = complete(`ctd-decoder ${here(line)}`, COMMANDS, "zsh");
    expect(found.toSorted()).toEqual(words.map(here).toSorted());
  });

  test("bash gets what follows the last colon or equals sign", () => {
    expect(complete(`ctd-decoder verify oci:${folder}/app:1.`, COMMANDS, "bash")).toEqual(["1.0", "1.1"]);
    expect(complete("ctd-decoder encrypt --compression=g", COMMANDS, "bash")).toEqual(["gzip"]);
  });
});

const shells = { bash: onPath("bash"), zsh: onPath("zsh"), fish: onPath("fish") };
const SHELL_CALLS: Readonly<Record<Shell, (line: string) => string>> = {
  bash: (line) =>
    `COMP_LINE='${line}'; COMP_POINT=${line.length}; compopt() { :; }; _ctd_decoder ctd-decoder; printf '%s\n' "\${COMPREPLY[@]}"`,
  zsh: (line) =>
    `words=(${line} ''); CURRENT=2; compadd() { shift 3; print -l -- "\${(@P)1}" }; _files() { print files }; _ctd_decoder`,
  fish: (line) => `complete --do-complete '${line}'`,
};

for (const shell of SHELLS) {
  const peer = shells[shell];
  describeWith([ours, peer], `completion in ${shell}`, {}, () => {
    test("the script calls the program", async () => {
      const preamble = shell === "zsh" ? "compdef() { :; }\n" : "";
      const script = `${preamble}${completionScript(shell)}\n${SHELL_CALLS[shell]("ctd-decoder ver")}`;
      const PATH = `${dirname(ours.command)}:${process.env["PATH"]}`;
      const { stdout, stderr } = await run(peer, ["-c", script], { env: { ...process.env, PATH } });
      expect([stderr, stdout.toString().split(/\s/)[0]]).toEqual(["", "verify"]);
    });
  });
}
