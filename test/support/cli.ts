import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Finished, ours, run } from "./peers.ts";
import { rsaPair } from "./rsa.ts";

/** Runs a command of the executable, with as little of an environment as it gets by. */
export async function command(
  args: readonly string[],
  options: Parameters<typeof run>[2] = {},
): Promise<Finished> {
  const { PATH = "", TMPDIR = "" } = process.env;
  return await run(ours, args, { ...options, env: { PATH, TMPDIR, ...options.env } });
}

/** The same, for a command that must succeed: what it printed. */
export async function succeed(
  args: readonly string[],
  options: Parameters<typeof run>[2] = {},
): Promise<string> {
  const { exit, signal, stdout, stderr } = await command(args, options);
  if (exit !== 0) throw new Error(`ctd-decoder ${args.join(" ")}: ${signal ?? exit}: ${stderr}`);
  return stdout.toString();
}

export interface KeyPairFiles {
  readonly privateKey: string;
  readonly publicKey: string;
}

/** A key pair that every peer can use: RSA, PEM. */
export async function rsaKeys(folder: string, name: string): Promise<KeyPairFiles> {
  const pair = rsaPair(2048);
  mkdirSync(folder, { recursive: true });
  const files = { privateKey: join(folder, `${name}.pem`), publicKey: join(folder, `${name}.pub.pem`) };
  writeFileSync(files.privateKey, pair.privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  writeFileSync(files.publicKey, pair.publicKey.export({ type: "spki", format: "pem" }));
  return files;
}

/** What a failed command says: one message, at most one hint, and nothing of the program's inside. */
export const ONE_ERROR = /^ctd-decoder: error: [^\n]+\n(?:ctd-decoder: hint: [^\n]+\n)?$/;
