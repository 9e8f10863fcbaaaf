import { expect, test } from "vitest";
import manifest from "../../../package.json" with { type: "json" };
import { parseArguments } from "../../../src/cli/arguments.ts";
import { COMMANDS } from "../../../src/cli/commands.ts";
import { completionScript, SHELLS } from "../../../src/cli/completion.ts";
import { commandHelp, programHelp } from "../../../src/cli/help.ts";
import { manualPage } from "../../../src/cli/man.ts";
import { VERSION } from "../../../src/cli/version.ts";
import { FLAGS } from "../../../src/decoder/flags.ts";
import { describeWith, type Peer, run } from "../../support/peers.ts";

test("the version is the package's", () => {
  expect(VERSION).toBe(manifest.version);
});

test.each(COMMANDS)(
  "$name: its help names every option and fits in 80 columns but for commands to copy",
  (command) => {
    const help = commandHelp(command);
    for (const option of Object.keys(command.options)) expect(help).toContain(`--${option}`);
    const examples = command.examples.map((it) => `  ${it.command}`);
    const long = help.split("\n").filter((line) => line.length > 80 && !examples.includes(line));
    expect(long).toEqual([]);
  },
);

test.each(COMMANDS.flatMap(({ name, examples }) => examples.map(({ command }) => ({ name, command }))))(
  "$command is understood",
  ({ name, command: line }) => {
    const [, call = ""] =
      new RegExp(`ctd-decoder ${name} ?([^|<>]*)`).exec(
        line.replace(/<\([^)]*\)/g, (it) => it.slice(2, -1)),
      ) ?? [];
    const command = COMMANDS.find((it) => it.name === name);
    if (command === undefined) throw new Error(name);
    expect(parseArguments(command, call.split(" ").filter(Boolean))).toBeDefined();
  },
);

test("the program's help and the manual page name every command and every flag of the decoder", () => {
  const [help, manual] = [programHelp(COMMANDS), manualPage(COMMANDS).replaceAll("\\-", "-")];
  for (const { name, options } of COMMANDS) {
    expect(help).toMatch(new RegExp(`^  ${name} `, "m"));
    for (const option of Object.keys(options)) expect(manual).toContain(`--${option}`);
  }
  expect(help).toMatch(/^ {2}-h, --help .*\n {2}--version /m);
  expect(manual).toMatch(/^\.B -h, --help\n.*\n\.TP\n\.B --version$/m);
  for (const flag of FLAGS.keys())
    expect([help.includes(`--${flag}`), manual.includes(`--${flag}`)]).toEqual([true, true]);
});

test("the manual page names the files and variables that the decoder reads, and other pages", () => {
  const manual = manualPage(COMMANDS).replaceAll("\\-", "-");
  for (const part of [".SH FILES", "/etc/containerd/ocicrypt/keys", "OCICRYPT_AUDIT_LOG", ".SH SEE ALSO"])
    expect(manual).toContain(part);
});

test.each(SHELLS)("completion for %s names every command and option", (shell) => {
  const script = completionScript(shell, COMMANDS);
  for (const { name, options } of COMMANDS) {
    expect(script).toContain(name);
    for (const option of Object.keys(options)) expect(script).toMatch(new RegExp(`(--|-l )${option}\\b`));
  }
  for (const flag of FLAGS.keys()) expect(script).toMatch(new RegExp(`(--|-l )${flag}\\b`));
});

const bash: Peer = { name: "bash", command: "bash", args: [] };

describeWith([bash], "bash", {}, () => {
  const complete = async (...words: string[]) => {
    const array = words.map((word) => `'${word}'`).join(" ");
    const script = `${completionScript("bash", COMMANDS)}\nCOMP_WORDS=(${array}); COMP_CWORD=${words.length - 1}; _ctd_decoder; echo "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = await run(bash, ["-c", script]);
    expect(stderr).toBe("");
    return stdout.toString().trim().split(" ");
  };

  test("completes commands, options and values", async () => {
    expect(await complete("ctd-decoder", "en")).toEqual(["encrypt"]);
    expect(await complete("ctd-decoder", "encrypt", "--comp")).toEqual([
      "--compression",
      "--compression-level",
    ]);
    expect(await complete("ctd-decoder", "encrypt", "--compression", "g")).toEqual(["gzip"]);
    expect(await complete("ctd-decoder", "completion", "z")).toEqual(["zsh"]);
    expect(await complete("ctd-decoder", "encrypt", "oci")).toEqual([""]);
    expect(await complete("ctd-decoder", "--spool-d")).toEqual(["--spool-dir"]);
    expect(await complete("ctd-decoder", "--strict-keys", "--rel")).toEqual(["--release"]);
  });
});
