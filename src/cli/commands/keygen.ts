import { rm } from "node:fs/promises";
import { DecoderError } from "../../errors.ts";
import { exists, writeDurably } from "../../io/staging.ts";
import type { KeyPairKind } from "../../keys/generate.ts";
import type { Curve } from "../../keys/keyset.ts";
import * as LIMITS from "../../limits.ts";
import type { Secret } from "../../secret.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { OUTPUT_OPTIONS } from "../shared-options.ts";
import { environmentPassword } from "../signing.ts";
import { interruptible } from "../ui.ts";

const PRIVATE_MODE = 0o600;
const PUBLIC_MODE = 0o644;
const USUAL_BITS = 3072;

export const KEYGEN: Command = {
  name: "keygen",
  summary: "make a key pair to encrypt images for, or to sign them with",
  operands: [{ name: "FILE", completes: "files" }],
  options: {
    type: { value: "TYPE", help: "type of the keys; default ec", alias: "t", choices: ["ec", "rsa"] },
    curve: { value: "CURVE", help: "curve of EC keys; default P-256", choices: ["P-256", "P-384", "P-521"] },
    bits: {
      value: "N",
      help: `size of RSA keys, default ${USUAL_BITS}; implies --type rsa`,
    },
    for: {
      value: "USE",
      help: "what the keys are for; default encryption",
      choices: ["encryption", "signing"],
    },
    format: { value: "FORMAT", help: "format of the files; default pem", choices: ["pem", "jwk"] },
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "Writes the private key to FILE, readable by its owner only, and the public key to FILE.pub. Existing files are not overwritten. Messages, doctor, inspect and the audit log name the key by its kid, the RFC 7638 thumbprint of the public key.",
    "PEM files are PKCS#8, which the Go decoder also reads.",
    "A private key --for signing has the format of cosign.key, which cosign reads. The variable COSIGN_PASSWORD sets its password, which may be empty.",
  ],
  examples: [
    { command: "ctd-decoder keygen node.pem", does: "makes node.pem and node.pem.pub" },
    {
      command: "ctd-decoder keygen --type rsa --bits 4096 --format jwk node.jwk",
      does: "makes an RSA pair as JWKs",
    },
    {
      command: "COSIGN_PASSWORD=secret ctd-decoder keygen --for signing cosign.key",
      does: "makes a pair that signs images",
    },
  ],
  async run(args, ui) {
    const privateFile = args.operand(0);
    const publicFile = `${privateFile}.pub`;
    for (const file of [privateFile, publicFile]) {
      if (await exists(file))
        throw new DecoderError("EXISTS", `${file} already exists`, {
          hint: "choose another name: keys are never overwritten",
        });
    }
    const { generateKeys } = await import("../../keys/generate.ts");
    const format = args.text("format") === "jwk" ? "jwk" : "pem";
    const which = kind(args);
    const isForSigning = args.text("for") === "signing";
    const password = isForSigning ? signingPassword(format) : undefined;
    const pair = await generateKeys(which, format);
    const privateKey = password === undefined ? pair.privateKey : await sealed(pair.privateKey, password);
    await writeAll([
      { path: privateFile, text: privateKey, mode: PRIVATE_MODE },
      { path: publicFile, text: pair.publicKey, mode: PUBLIC_MODE },
    ]);
    const { kid } = pair;
    const type = which.type === "rsa" ? `RSA ${which.bits}` : `EC ${which.curve}`;
    ui.result({ privateKey: privateFile, publicKey: publicFile, type, kid }, () =>
      [
        `private key: ${privateFile}`,
        `public key:  ${publicFile}`,
        `type:        ${type}`,
        `kid:         ${kid}`,
        "",
      ].join("\n"),
    );
  },
};

interface NewFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

/** Writes files that must not exist yet. After a failure or a signal, none of them is left. @throws DecoderError IO */
async function writeAll(files: readonly NewFile[]): Promise<void> {
  const written: string[] = [];
  await interruptible(async (signal) => {
    try {
      for (const { path, text, mode } of files) {
        await writeDurably(path, [Buffer.from(text)], mode);
        written.push(path);
        if (signal.aborted) throw new DecoderError("INTERRUPTED", "interrupted");
      }
    } catch (error) {
      for (const path of written) await rm(path, { force: true });
      throw error;
    }
  });
}

/** @throws DecoderError USAGE for options that contradict each other */
function kind(args: Arguments): KeyPairKind {
  const bits = args.integer("bits", LIMITS.rsaBitsMin, LIMITS.rsaBitsMax);
  const curve = args.text("curve");
  const type = args.text("type") ?? (bits === undefined ? "ec" : "rsa");
  if (type === "rsa" ? curve !== undefined : bits !== undefined) {
    throw new DecoderError("USAGE", "--bits is for RSA keys and --curve for EC keys", {
      hint: "--type rsa goes with --bits, and --type ec with --curve",
    });
  }
  return type === "rsa"
    ? { type, bits: bits ?? USUAL_BITS }
    : { type: "ec", curve: (curve ?? "P-256") as Curve };
}

/** @throws DecoderError USAGE */
function signingPassword(format: string): Secret {
  if (format !== "pem")
    throw new DecoderError("USAGE", "keys for signing are PEM: --format jwk is for encryption");
  const password = environmentPassword();
  if (password !== undefined) return password;
  throw new DecoderError("USAGE", "a key for signing needs a password", {
    hint: "set COSIGN_PASSWORD in the environment; an empty one is allowed, and protects nothing",
  });
}

/** The private key in cosign's form. */
async function sealed(pem: string, password: Secret): Promise<string> {
  const { createPrivateKey } = await import("node:crypto");
  const { writeCosignKey } = await import("../../trust/sign/cosign-key.ts");
  try {
    return writeCosignKey(createPrivateKey(pem), password);
  } finally {
    password.destroy();
  }
}
