import { rmSync } from "node:fs";
import { DecoderError } from "../../errors.ts";
import { Output } from "../../io/output.ts";
import type { KeyPairKind } from "../../keys/generate.ts";
import type { Curve } from "../../keys/keyset.ts";
import * as LIMITS from "../../limits.ts";
import type { Secret } from "../../secret.ts";
import { printable } from "../../text.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { OUTPUT_OPTIONS } from "../shared-options.ts";
import { environmentPassword } from "../signing.ts";
import { StandardStream } from "../standard-stream.ts";
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
    "password-file": {
      value: "FILE",
      help: "encrypt the private key with the password in FILE, or - for standard input",
    },
    "ask-password": { help: "encrypt the private key with a password that you type" },
    "public-key": { value: "FILE", help: "file of the public key; default FILE.pub" },
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "Writes the private key to FILE, readable by its owner only, and the public key to FILE.pub. Existing files are not overwritten. If FILE is -, the private key goes to standard output, and --public-key says where the public one goes. Messages, doctor, inspect and the audit log name the key by its kid, the RFC 7638 thumbprint of the public key.",
    "PEM files are PKCS#8, which the Go decoder also reads, except those with a password. A command that needs such a key asks for the password. On a node, --key-passwords-path names the folder with the password.",
    "A private key --for signing has the format of cosign.key, which cosign reads. Its password comes from COSIGN_PASSWORD, which may be empty, from --password-file, or from the terminal. sign and the trust commands name it by its fingerprint, the SHA-256 of the public key in DER.",
  ],
  examples: [
    { command: "ctd-decoder keygen node.pem", does: "makes node.pem and node.pem.pub" },
    {
      command: "ctd-decoder keygen --type rsa --bits 4096 --format jwk node.jwk",
      does: "makes an RSA pair as JWKs",
    },
    {
      command: "ctd-decoder keygen --public-key node.pub - | openssl pkey -outform DER -out node.der",
      does: "writes the private key to a pipe, here to store it as DER",
    },
    {
      command: "COSIGN_PASSWORD=secret ctd-decoder keygen --for signing cosign.key",
      does: "makes a pair that signs images",
    },
  ],
  pipes: "to -",
  async run(args, ui) {
    const privateFile = args.operand(0);
    const publicFile = args.text("public-key") ?? `${privateFile}.pub`;
    const isPiped = privateFile === "-";
    if (isPiped) checkPipe(args);
    const { exists } = await import("../../io/staging.ts");
    for (const file of isPiped ? [publicFile] : [privateFile, publicFile]) {
      if (await exists(file))
        throw new DecoderError("EXISTS", `${file} already exists`, {
          hint: "choose another name: keys are never overwritten",
        });
    }
    const format = args.text("format") === "jwk" ? "jwk" : "pem";
    const which = kind(args);
    const { privateKey, publicKey, kid } = await makePair(args, which, format);
    const names =
      args.text("for") === "signing"
        ? { kid, fingerprint: await signerName(publicKey, publicFile) }
        : { kid };
    const publicPart = { path: publicFile, text: publicKey, mode: PUBLIC_MODE };
    if (isPiped) {
      await writeAll([publicPart], () => new Output(1, "standard output").write(Buffer.from(privateKey)));
    } else await writeAll([{ path: privateFile, text: privateKey, mode: PRIVATE_MODE }, publicPart]);
    const type = which.type === "rsa" ? `RSA ${which.bits}` : `EC ${which.curve}`;
    ui.result({ privateKey: privateFile, publicKey: publicFile, type, ...names }, () =>
      [
        `private key: ${printable(isPiped ? "standard output" : privateFile)}`,
        `public key:  ${printable(publicFile)}`,
        `type:        ${type}`,
        names.fingerprint === undefined ? `kid:         ${kid}` : `fingerprint: ${names.fingerprint}`,
        "",
      ].join("\n"),
    );
    ui.printIfQuiet(names.fingerprint ?? kid);
  },
};

/** @throws DecoderError USAGE unless the private key can go to standard output */
function checkPipe(args: Arguments): void {
  if (args.text("public-key") === undefined) {
    throw new DecoderError("USAGE", "keygen - needs a file for the public key", {
      hint: "name it with --public-key FILE; the private key goes to standard output",
    });
  }
  if (new StandardStream(1).isTTY) {
    throw new DecoderError("USAGE", "refusing to write a private key to a terminal", {
      hint: "redirect standard output to a file or a pipe, or name a file",
    });
  }
}

async function makePair(args: Arguments, which: KeyPairKind, format: "pem" | "jwk") {
  const { generateKeys } = await import("../../keys/generate.ts");
  const isForSigning = args.text("for") === "signing";
  const password = await newPassword(args, isForSigning, format);
  try {
    if (password === undefined || !isForSigning) return await generateKeys(which, format, password);
    const pair = await generateKeys(which, format);
    return { ...pair, privateKey: await cosignKey(pair.privateKey, password) };
  } finally {
    password?.destroy();
  }
}

/** The name that `sign` and the trust commands give a signing key. */
async function signerName(publicPem: string, file: string): Promise<string | undefined> {
  const { readPublicKeys } = await import("../../trust/check/key.ts");
  return readPublicKeys({ name: file, bytes: Buffer.from(publicPem) })[0]?.fingerprint;
}

interface NewFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

/**
 * Writes files that must not exist yet. After a failure or a signal, none of them is left.
 * @param last is done after the files are written. @throws DecoderError IO; what `last` throws
 */
async function writeAll(files: readonly NewFile[], last: () => void = () => undefined): Promise<void> {
  const written: string[] = [];
  const { writeDurably } = await import("../../io/staging.ts");
  await interruptible(async (signal) => {
    try {
      for (const { path, text, mode } of files) {
        await writeDurably(path, [Buffer.from(text)], { mode });
        written.push(path);
        if (signal.aborted) throw new DecoderError("INTERRUPTED", "interrupted");
      }
      last();
    } catch (error) {
      for (const path of written) rmSync(path, { force: true });
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

/** The password of the new private key. Undefined: it gets none. @throws DecoderError USAGE, BAD_KEY */
async function newPassword(
  args: Arguments,
  isForSigning: boolean,
  format: "pem" | "jwk",
): Promise<Secret | undefined> {
  const [file, isAsked] = [args.text("password-file"), args.flag("ask-password")];
  if (isForSigning && format !== "pem")
    throw new DecoderError("USAGE", "keys for signing are PEM: --format jwk is for encryption");
  if (file === undefined && !isAsked && !isForSigning) return undefined;
  if (format !== "pem")
    throw new DecoderError("USAGE", "a JWK has no password: use --format pem, or leave the password out");
  const password = await givenPassword(file, isAsked);
  if (password === undefined) {
    throw new DecoderError("USAGE", "cannot ask for a password without a terminal", {
      hint: isForSigning
        ? "set COSIGN_PASSWORD, which may be empty, or name a file with --password-file"
        : "name a file with --password-file",
    });
  }
  // cosign has keys with an empty password.
  if (password.bytes.length > 0 || isForSigning) return password;
  throw new DecoderError("USAGE", "the password is empty");
}

async function givenPassword(file: string | undefined, isAsked: boolean): Promise<Secret | undefined> {
  if (file !== undefined) {
    const { readPasswordFile } = await import("../../keys/named.ts");
    return await readPasswordFile(file);
  }
  const fromEnvironment = isAsked ? undefined : environmentPassword();
  if (fromEnvironment !== undefined) return fromEnvironment;
  const { askNewPassword } = await import("../password-prompt.ts");
  return await askNewPassword("password for the new key: ");
}

async function cosignKey(pem: string, password: Secret): Promise<string> {
  const { createPrivateKey } = await import("node:crypto");
  const { writeCosignKey } = await import("../../trust/sign/cosign-key.ts");
  return writeCosignKey(createPrivateKey(pem), password);
}
