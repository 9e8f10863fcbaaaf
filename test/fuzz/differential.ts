/**
 * The same changed inputs for this decoder and for the one in Go: `npm run fuzz:differential -- [--runs N] [--seed N]`.
 * Both get the same payload, layer and keys. Every difference must be one of those that `differences.ts` explains; prints
 * how often each came, and the inputs of the others, and ends with 1 if there are any.
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { PAYLOAD_TYPE, parseAny } from "../../src/containerd/payload.ts";
import { sha256 } from "../support/images.ts";
import { any } from "../support/payload.ts";
import { goDecoder, ours, type Peer } from "../support/peers.ts";
import { build, type Case, JWE, PGP, PKCS7 } from "../vectors/build.ts";
import { CASES } from "../vectors/cases/all.ts";
import { KEYS } from "../vectors/material.ts";
import { explain } from "./differences.ts";
import { mutate, type Structure } from "./mutate.ts";
import { Random } from "./random.ts";

export interface Input {
  readonly payload: Buffer;
  readonly layer: Buffer;
}

export interface Outcome {
  /** "ok", "refused", "crashed", "hung": by the exit code, 2 being Go's of a panic. */
  readonly end: "ok" | "refused" | "crashed" | "hung";
  /** Digest and length of what was released. */
  readonly released: string;
  readonly bytes: number;
  /** The first line of stderr. */
  readonly message: string;
}

/** Vectors that both decoders open, one for each scheme and form, to start from. */
const BASES = [
  "payload-ok",
  "jwe-rsa-oaep",
  "jwe-two-recipients",
  "jwe-header-per-recipient",
  "pkcs7-ok",
  "pkcs7-primitive-content",
  "pgp-ok",
];
const SCHEMES: readonly [annotation: string, structure: Structure][] = [
  [JWE, "json"],
  [PKCS7, "der"],
  [PGP, "openpgp"],
];
const KEY_FILES = ["p256.pem", "rsa2048.pem", "rsa2048.crt", "rsa2048.gpg"];
const HANGS_AFTER_MS = 20_000;

export function inputOf(seed: number): Input {
  const random = new Random(seed);
  const name = random.pick(BASES);
  const base = CASES.get(name);
  if (base === undefined) throw new Error(`bug: no vector ${name}`);
  const how = random.below(10);
  const changedOptions = (json: object) => mutate("json", [Buffer.from(JSON.stringify(json))], random);
  const change: Partial<Case> =
    how < 2
      ? { privateOptions: changedOptions }
      : how < 4
        ? { publicOptions: (it) => changedOptions(it).toString("base64") }
        : {};
  const { payload, layer } = build(name, { ...base, ...change });
  if (payload === null) throw new Error("bug: a vector without a payload");
  if (how === 4) return { payload, layer: mutate("bytes", [layer], random) };
  if (how === 5) return { payload: mutate("bytes", [payload], random), layer };
  if (how > 7) return { payload: withPacket(payload, random), layer };
  if (how > 5) return { payload: withJson(payload, (json) => mutate("json", [json], random)), layer };
  return { payload, layer };
}

function withJson(payload: Buffer, change: (json: Buffer) => Buffer): Buffer {
  return any(PAYLOAD_TYPE, change(Buffer.from(parseAny(new Uint8Array(payload)).value)));
}

/** Changes the wrapped key inside its base64. */
function withPacket(payload: Buffer, random: Random): Buffer {
  return withJson(payload, (json) => {
    const value = JSON.parse(json.toString());
    const annotations = value.Descriptor.annotations;
    for (const [name, structure] of SCHEMES) {
      const packet = annotations[name];
      if (packet === undefined) continue;
      annotations[name] = mutate(structure, [Buffer.from(packet, "base64")], random).toString("base64");
    }
    return Buffer.from(JSON.stringify(value));
  });
}

/** Runs a decoder on files that lie in `folder`, where its keys are too. */
export function outcomeOf(decoder: Peer, folder: string): Outcome {
  const [layer, payload] = ["layer", "payload"].map((name) => openSync(join(folder, name), "r"));
  try {
    const result = spawnSync(
      decoder.command,
      [...decoder.args, "--decryption-keys-path", join(folder, "keys")],
      {
        stdio: [layer, "pipe", "pipe", payload],
        env: {
          PATH: "/usr/bin:/bin",
          HOME: folder,
          STREAM_PROCESSOR_MEDIATYPE: "application/vnd.oci.image.layer.v1.tar+encrypted",
        },
        timeout: HANGS_AFTER_MS,
        killSignal: "SIGKILL",
        maxBuffer: 64 * 1024 * 1024,
      },
    );
    const ended = result.status === 0 ? "ok" : result.status === 1 ? "refused" : "crashed";
    return {
      end: result.signal === "SIGKILL" ? "hung" : ended,
      released: sha256(result.stdout),
      bytes: result.stdout.length,
      message: result.stderr.toString().split("\n")[0] ?? "",
    };
  } finally {
    for (const fd of [layer, payload]) if (fd !== undefined) closeSync(fd);
  }
}

/** A folder with the keys that both decoders can read. */
export function newFolder(): string {
  const folder = mkdtempSync(
    join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "ctd-decoder-differential-"),
  );
  mkdirSync(join(folder, "keys"));
  for (const name of KEY_FILES) copyFileSync(join(KEYS, name), join(folder, "keys", name));
  return folder;
}

export interface Difference {
  readonly seed: number;
  readonly ours: Outcome;
  readonly go: Outcome;
  /** Undefined for one that nothing explains. */
  readonly why: string | undefined;
}

/** Undefined when both did the same. @throws Error when a decoder did what no decoder may */
export function compare(seed: number, folder: string): Difference | undefined {
  const { payload, layer } = inputOf(seed);
  writeFileSync(join(folder, "payload"), payload);
  writeFileSync(join(folder, "layer"), layer);
  const [mine, go] = [outcomeOf(ours, folder), outcomeOf(goDecoder, folder)];
  if (mine.end === "ok" && go.end === "ok" && mine.released === go.released) return undefined;
  if (mine.end === "refused" && go.end === "refused" && mine.released === go.released) return undefined;
  return { seed, ours: mine, go, why: explain(mine, go) };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { runs: { type: "string", default: "1000" }, seed: { type: "string", default: "1" } },
  });
  const folder = newFolder();
  const counts = new Map<string, number>();
  const write = (text: string) => process.stdout.write(text);
  try {
    const [first, runs] = [Number(values.seed), Number(values.runs)];
    for (let seed = first; seed < first + runs; seed++) {
      const difference = compare(seed, folder);
      const key = difference === undefined ? "the same" : (difference.why ?? "unexplained");
      counts.set(key, (counts.get(key) ?? 0) + 1);
      if (difference !== undefined && difference.why === undefined) {
        process.exitCode = 1;
        write(
          `--seed ${seed} --runs 1\n  ours ${JSON.stringify(difference.ours)}\n  go   ${JSON.stringify(difference.go)}\n`,
        );
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  for (const [why, count] of [...counts].sort((a, b) => b[1] - a[1])) write(`${count}\t${why}\n`);
}
