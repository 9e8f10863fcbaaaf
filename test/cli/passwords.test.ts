import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generateKey } from "openpgp";
import { beforeAll, describe, expect, test } from "vitest";
import { command, ONE_ERROR, rsaKeys, succeed } from "../support/cli.ts";
import { describeWith, openssl, ours, output, script } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const cwd = folder;
const image = "oci:image:enc";

/** Encrypted for locked.pem, whose password is "secret". */
beforeAll(async () => {
  writeFileSync(join(folder, "password"), "secret\n");
  writeFileSync(join(folder, "file.tar"), Buffer.alloc(1024));
  await succeed(["keygen", "--password-file", "password", "locked.pem"], { cwd });
  const { privateKey, publicKey } = await generateKey({ userIDs: [{ name: "ops" }], passphrase: "secret" });
  writeFileSync(join(folder, "ops.asc"), privateKey);
  writeFileSync(join(folder, "ops.pub"), publicKey);
  const both = ["-r", "jwe:locked.pem.pub", "-r", "pgp:ops.pub"];
  await succeed(["encrypt", "-q", ...both, "tar:file.tar", image], { cwd });
});

/** A certificate before its private key, as servers keep them: bundle.pem, and outdated.p12 with RC2. */
async function makeBundles(): Promise<void> {
  const key = ["-passin", "pass:secret"];
  const subject = ["-subj", "/CN=node", "-out", "node.crt"];
  await output(openssl, ["req", "-x509", "-key", "locked.pem", ...key, ...subject], { cwd });
  const read = (name: string) => readFileSync(join(folder, name));
  writeFileSync(join(folder, "bundle.pem"), Buffer.concat([read("node.crt"), read("locked.pem")]));
  const from = ["-in", "node.crt", "-inkey", "locked.pem", ...key, "-passout", "pass:secret"];
  const outdated = ["-legacy", "-keypbe", "PBE-SHA1-RC2-40", "-certpbe", "PBE-SHA1-3DES"];
  await output(openssl, ["pkcs12", "-export", ...from, ...outdated, "-out", "outdated.p12"], { cwd });
}

interface Shown {
  readonly exit: number;
  /** Everything on the terminal, echo included. */
  readonly screen: string;
}

/** Runs a command on a terminal, and answers each question for a password with the next of the texts. */
async function typing(args: readonly string[], texts: readonly string[]): Promise<Shown> {
  return await typingTo(lineOf(args), texts);
}

const lineOf = (args: readonly string[]) => [ours.command, ...args].map((word) => `'${word}'`).join(" ");

/** The same for a line of a shell. */
async function typingTo(line: string, texts: readonly string[]): Promise<Shown> {
  const env = { PATH: process.env["PATH"], TMPDIR: process.env["TMPDIR"], TERM: "xterm" };
  const child = spawn(script.command, ["-qec", line, "/dev/null"], {
    cwd,
    env,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const left = [...texts];
  let screen = "";
  child.stdout.on("data", (chunk) => {
    screen += chunk;
    if (/(?:password for [^\r\n]+|password again): $/.test(screen)) child.stdin.write(left.shift() ?? "\r");
  });
  const exit = await new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? -1)));
  return { exit, screen };
}

describeWith([ours, script, openssl], "a password on a terminal", { timeout: 60_000 }, () => {
  beforeAll(makeBundles);

  test.each(["locked.pem", "bundle.pem", "ops.asc"])(
    "is asked for if a key needs one, and is not shown: %s",
    async (file) => {
      const { exit, screen } = await typing(["verify", "--key", file, image], ["wrong\r", "secret\r"]);
      expect(exit).toBe(0);
      const again = `wrong password; password for ${file}: `;
      expect(screen.startsWith(`password for ${file}: \r\n${again}\r\n`)).toBe(true);
      expect(screen).not.toContain("secret");
    },
  );

  test("is not asked for if it could not help: a key in an outdated cipher beside its certificate", async () => {
    const { exit, screen } = await typing(["verify", "--key", "outdated.p12:pass=secret", image], []);
    expect(exit).toBe(1);
    expect(screen.replaceAll(/\s+/g, " ")).toContain("openssl pkcs12 -legacy -in FILE -nodes -out KEY.pem");
  });

  test("may be wrong twice, and can be edited", async () => {
    // Ctrl-U deletes all, the delete key one character, of any number of bytes.
    const { exit } = await typing(
      ["verify", "--key", "locked.pem", image],
      ["wrong\r", "\r", "x\u0015sea\u007fcrü\u007fet\r"],
    );
    expect(exit).toBe(0);
  });

  test("is not asked for a fourth time", async () => {
    const { exit, screen } = await typing(["verify", "--key", "locked.pem", image], ["a\r", "b\r", "c\r"]);
    expect(exit).toBe(1);
    expect(screen.match(/password for/g)).toHaveLength(3);
    expect(screen).toMatch(/none\s+of the given passwords opens/);
  });

  test("is not asked for if the command line names one, even a wrong one", async () => {
    const { exit, screen } = await typing(["verify", "--key", "locked.pem:pass=wrong", image], []);
    expect(exit).toBe(1);
    expect(screen).not.toContain("password for");
  });

  test("ends the command by SIGINT with Ctrl-C, and the terminal is as before", async () => {
    const line = lineOf(["verify", "--key", "locked.pem", image]);
    const { screen } = await typingTo(
      `before=$(stty -g); trap : INT; ${line}; echo $?; [ "$before" = "$(stty -g)" ] && echo same`,
      ["sec\u0003"],
    );
    expect(screen).toBe(
      "password for locked.pem: \r\nctd-decoder: interrupted; nothing was changed\r\n130\r\nsame\r\n",
    );
  });

  test("ends the shell's script with Ctrl-C, too", async () => {
    const line = lineOf(["keygen", "--ask-password", "unmade.pem"]);
    const { exit, screen } = await typingTo(`${line}; echo survived`, ["\u0003"]);
    expect(exit).toBe(130);
    expect(screen).toMatch(/interrupted; nothing was changed\r\n$/);
    expect(existsSync(join(folder, "unmade.pem"))).toBe(false);
  });

  test("of a new key is asked for twice", async () => {
    const made = await typing(["keygen", "--ask-password", "typed.pem"], ["new one\r", "new one\r"]);
    expect(made.exit).toBe(0);
    expect(made.screen).not.toContain("new one\r\n");
    expect(readFileSync(join(folder, "typed.pem"), "utf8")).toMatch(
      /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/,
    );
    const differing = await typing(["keygen", "--ask-password", "differing.pem"], ["one\r", "other\r"]);
    expect(differing.exit).toBe(2);
    expect(differing.screen).toContain("the two passwords differ");
    expect(existsSync(join(folder, "differing.pem"))).toBe(false);
  });

  test("is not typed with Ctrl-D, which makes no key", async () => {
    const { exit, screen } = await typing(["keygen", "--ask-password", "unmade.pem"], ["\u0004"]);
    expect(exit).toBe(2);
    expect(screen).toContain("no password was typed");
    expect(existsSync(join(folder, "unmade.pem"))).toBe(false);
  });

  test("of a signing key comes from there, too", async () => {
    await typing(["keygen", "--for", "signing", "sign.key"], ["s\r", "s\r"]);
    const args = ["sign", "--key", "sign.key", "--sign-container-identity", "example.com/app:1"];
    expect((await typing([...args, image], ["s\r"])).exit).toBe(0);
  });
});

describeWith([ours], "a password without a terminal", {}, () => {
  /** In a session of its own, which has no terminal. */
  const alone = (...args: string[]) => {
    try {
      execFileSync("setsid", ["--wait", ours.command, ...args], { cwd, stdio: "pipe" });
    } catch (error) {
      const { status, stderr } = error as { status: number; stderr: Buffer };
      return { exit: status, stderr: stderr.toString() };
    }
    return { exit: 0, stderr: "" };
  };

  test.each(["locked.pem", "ops.asc"])("is named on the command line, or the error says how: %s", (file) => {
    const { exit, stderr } = alone("verify", "--key", file, image);
    expect(exit).toBe(1);
    expect(stderr).toMatch(ONE_ERROR);
    expect(stderr).toContain(`${file}:file=PASSWORD-FILE`);
    expect(alone("verify", "--key", `${file}:file=password`, image)).toEqual({
      exit: 0,
      stderr: expect.any(String),
    });
    expect(alone("verify", "--key", `${file}:pass=wrong`, image)).toEqual({
      exit: 1,
      stderr: expect.stringMatching(/the key .* can't be used: .*(?:opens|unlocks it)\n/),
    });
  });

  test.each([
    [["keygen", "--ask-password", "new.pem"], /without a terminal.*\n.*--password-file/],
    [["keygen", "--for", "signing", "new.key"], /without a terminal.*\n.*COSIGN_PASSWORD/],
  ])("%j fails", (args, message) => {
    const { exit, stderr } = alone(...args);
    expect(exit).toBe(2);
    expect(stderr).toMatch(message);
  });
});

describeWith([ours], "keygen", {}, () => {
  test("encrypts the private key so that openssl reads it, and nobody without the password", async () => {
    const pem = (password: string) =>
      output(openssl, ["pkey", "-in", "locked.pem", "-passin", `pass:${password}`, "-pubout"], { cwd });
    expect(await pem("secret")).toEqual(readFileSync(join(folder, "locked.pem.pub")));
    await expect(pem("wrong")).rejects.toThrow();
    expect(statSync(join(folder, "locked.pem")).mode & 0o777).toBe(0o600);
  });

  test.each([
    [["--format", "jwk", "--password-file", "password", "x"], 2, /JWK has no password/],
    [["--password-file", "/dev/null", "x"], 2, /empty/],
    [["--password-file", "none", "x"], 1, /none/],
    [["-"], 2, /--public-key FILE/],
    [["--public-key", "locked.pem.pub", "-"], 1, /already exists/],
    [["--public-key", "missing/x.pub", "-"], 1, /missing/],
  ])("%j fails, and writes nothing", async (args, code, message) => {
    const { exit, stdout, stderr } = await command(["keygen", ...args], { cwd });
    expect({ exit, stdout: stdout.length }).toEqual({ exit: code, stdout: 0 });
    expect(stderr).toMatch(message);
    for (const file of ["x", "x.pub", "-", "-.pub"]) expect(existsSync(join(folder, file))).toBe(false);
  });

  describe("to a pipe", () => {
    test("writes the private key alone, and the result beside it", async () => {
      const { exit, stdout, stderr } = await command(["keygen", "--public-key", "piped.pub", "-"], { cwd });
      expect(exit).toBe(0);
      expect(stdout.toString()).toMatch(/^-----BEGIN PRIVATE KEY-----\n[^-]+-----END PRIVATE KEY-----\n$/);
      expect(stderr).toMatch(/^private key: standard output\npublic key: {2}piped\.pub\n/);
      await succeed(["encrypt", "-q", "-r", "jwe:piped.pub", "tar:file.tar", "oci:piped:enc"], { cwd });
      await succeed(["verify", "-q", "--key", "-", "oci:piped:enc"], { cwd, input: stdout });
    });
  });
});

describeWith([ours], "keys and recipients from pipes", {}, () => {
  test.each([
    ["standard input", "-", (file: string) => `< ${file}`],
    ["a shell's pipe", "/dev/fd/9", (file: string) => `9< <(cat ${file})`],
  ])("come from %s", async (_what, name, redirect) => {
    const keys = await rsaKeys(folder, "rsa");
    const shell = (line: string) =>
      execFileSync("bash", ["-ec", line], { cwd, stdio: ["ignore", "pipe", "inherit"] });
    const place = `oci:from-${name.replaceAll("/", "-")}:enc`;
    shell(`${ours.command} encrypt -q -r jwe:${name} tar:file.tar ${place} ${redirect(keys.publicKey)}`);
    shell(`${ours.command} verify -q --key ${name} ${place} ${redirect(keys.privateKey)}`);
  });

  test("standard input serves only one of them", async () => {
    const args = ["verify", "--key", "-", "--key", "-", image];
    const { exit, stderr } = await command(args, {
      cwd,
      input: readFileSync(join(folder, "locked.pem.pub")),
    });
    expect(exit).toBe(1);
    expect(stderr).toMatch(ONE_ERROR);
  });
});
