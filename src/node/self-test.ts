import { spawn } from "node:child_process";
import { createPrivateKey, createPublicKey, randomBytes, X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { PAYLOAD_TYPE } from "../containerd/payload.ts";
import { TAR_TYPE } from "../containerd/stream-processors.ts";
import { encodeField } from "../encoding/protobuf.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import type { AsymmetricKey, KeySet } from "../keys/keyset.ts";
import { LENIENT } from "../keys/recipient-certificate.ts";
import type { WrapSettings } from "../keywrap/scheme.ts";
import { SCHEMES } from "../keywrap/schemes.ts";
import { LayerWrapper } from "../keywrap/wrap.ts";
import { sealLayer } from "../layer/seal.ts";
import * as LIMITS from "../system-limits.ts";
import { keyPlace } from "./key-report.ts";

export interface SelfTest {
  /** File of the key. */
  readonly key: string;
  readonly scheme: string;
  /** Why the layer could not be encrypted or decrypted. */
  readonly problem?: string;
  /** Why the key was not tried. */
  readonly untested?: string;
}

interface SelfTestOptions {
  readonly keys: KeySet;
  readonly keysPath: string;
  /** The decoder, with the args that containerd passes. */
  readonly program: string;
  readonly args: readonly string[];
  readonly settings: WrapSettings;
}

const LAYER_BYTES = 10_000;
const MESSAGE_CHARS = 2000;

interface Recipient {
  readonly key: string;
  readonly scheme: string;
  /** A value for `encrypt --recipient`; undefined if the key's public half is unknown. */
  readonly recipient?: string;
}

/**
 * Encrypts a small layer for each key and runs the decoder on it. Public keys go to a temporary folder.
 * @throws DecoderError IO if that folder can't be created
 */
export async function selfTest(options: SelfTestOptions): Promise<SelfTest[]> {
  const folder = await temporaryFolder();
  try {
    const results: SelfTest[] = [];
    for (const { key, scheme, recipient } of await recipientsOf(options, folder)) {
      if (recipient === undefined) results.push({ key, scheme, untested: "its public key is unknown" });
      else results.push({ key, scheme, ...(await tryKey(recipient, options)) });
    }
    return results;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function temporaryFolder(): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), "ctd-decoder-doctor-"));
  } catch (cause) {
    throw new DecoderError("IO", `cannot make a folder in ${tmpdir()}: ${describeSystemError(cause)}`, {
      cause,
      hint: "name one that can be written in the environment variable TMPDIR",
    });
  }
}

/** A public key, certificate or key file that `encrypt` takes as a recipient. */
interface PublicFile {
  readonly key: string;
  /** Text for a temporary file, or the path of the file itself. */
  readonly pem?: string;
  readonly path?: string;
}

async function recipientsOf({ keys, keysPath }: SelfTestOptions, folder: string): Promise<Recipient[]> {
  const recipients: Recipient[] = [];
  for (const { name: scheme, testedWith } of SCHEMES) {
    const files = testedWith === undefined ? [] : PUBLIC_FILES[testedWith](keys, keysPath);
    for (const { key, pem, path } of files) {
      const file = path ?? join(folder, String(recipients.length));
      if (pem !== undefined) await writeFile(file, pem);
      recipients.push({ key, scheme, recipient: `${scheme}:${file}` });
    }
  }
  // The public half of a keyring is not at hand.
  for (const { origin } of keys.keyrings) {
    const scheme = SCHEMES.find(({ openedBy }) => openedBy.includes("keyrings"))?.name ?? "";
    recipients.push({ key: origin, scheme });
  }
  return recipients;
}

type TestedWith = NonNullable<(typeof SCHEMES)[number]["testedWith"]>;

const PUBLIC_FILES: Readonly<Record<TestedWith, (keys: KeySet, keysPath: string) => PublicFile[]>> = {
  keys: ({ keys }) => keys.map((key) => ({ key: key.origin, pem: publicPem(key) })),
  certificates: ({ keys, certificates }) =>
    certificates.flatMap(({ der, origin }) => {
      const certificate = new X509Certificate(der);
      const hasKey = keys.some((key) => key.type === "rsa" && certificate.checkPrivateKey(privateKey(key)));
      return hasKey ? [{ key: origin, pem: certificate.toString() }] : [];
    }),
  tokenKeys: ({ tokenKeys }, keysPath) =>
    tokenKeys.map(({ origin }) => ({ key: origin, path: keyPlace(keysPath, origin) })),
};

function privateKey(key: AsymmetricKey) {
  return createPrivateKey({ key: Buffer.from(key.pkcs8.bytes), format: "der", type: "pkcs8" });
}

function publicPem(key: AsymmetricKey): string {
  return createPublicKey(privateKey(key)).export({ format: "pem", type: "spki" }) as string;
}

async function tryKey(recipient: string, options: SelfTestOptions): Promise<Pick<SelfTest, "problem">> {
  const plaintext = randomBytes(LAYER_BYTES);
  try {
    const { ciphertext, payload } = await encryptFor(recipient, plaintext, options.settings);
    const { output, errors, code } = await decode(options, ciphertext, payload);
    if (output.equals(plaintext) && code === 0) return {};
    return { problem: errors.trim().slice(0, MESSAGE_CHARS) || `the decoder ended with exit code ${code}` };
  } catch (error) {
    if (error instanceof DecoderError) return { problem: error.message };
    return { problem: `the decoder cannot run: ${describeSystemError(error)}` };
  }
}

async function encryptFor(recipient: string, plaintext: Uint8Array, settings: WrapSettings) {
  const wrapper = await LayerWrapper.prepare([recipient], { ...settings, certificates: LENIENT });
  const { ciphertext, descriptor } = await sealLayer(plaintext, TAR_TYPE, wrapper);
  return { ciphertext, payload: payloadOf(descriptor) };
}

/** What containerd passes on file descriptor 3: a google.protobuf.Any with imgcrypt's payload in JSON. */
function payloadOf(descriptor: object): Buffer {
  const json = JSON.stringify({ DecryptConfig: { Parameters: null }, Descriptor: descriptor });
  return Buffer.concat([encodeField(1, Buffer.from(PAYLOAD_TYPE)), encodeField(2, Buffer.from(json))]);
}

interface Decoded {
  readonly output: Buffer;
  readonly errors: string;
  readonly code: number | null;
}

function decode(
  { program, args, settings }: SelfTestOptions,
  layer: Uint8Array,
  payload: Uint8Array,
): Promise<Decoded> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ["pipe", "pipe", "pipe", "pipe"],
      env: { ...settings.environment, STREAM_PROCESSOR_MEDIATYPE: `${TAR_TYPE}+encrypted` },
      timeout: LIMITS.programTrialMs,
      killSignal: "SIGKILL",
    });
    const [output, errors]: [Buffer[], Buffer[]] = [[], []];
    child.stdout?.on("data", (chunk: Buffer) => output.push(chunk));
    child.stderr?.on("data", (chunk: Buffer) => errors.push(chunk));
    child.on("error", reject);
    child.on("close", (code) =>
      resolve({ output: Buffer.concat(output), errors: Buffer.concat(errors).toString(), code }),
    );
    for (const [pipe, bytes] of [
      [child.stdin, layer],
      [child.stdio[3] as Writable, payload],
    ] as const) {
      // A decoder that refuses early reads neither pipe to its end.
      pipe?.on("error", () => {});
      pipe?.end(bytes);
    }
  });
}
