import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { decodeBase64 } from "../../encoding/base64.ts";
import { isObject } from "../../encoding/json.ts";
import { parseStrictJson } from "../../encoding/strict-json.ts";
import { DecoderError, describeSystemError, errnoOf } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import * as LIMITS from "../../limits.ts";
import * as SYSTEM_LIMITS from "../../system-limits.ts";
import { LAYOUT_FILE } from "../../transport/layout-index.ts";
import type { FoundSignature } from "../found.ts";
import { type Findings, joined, reading } from "./attachments.ts";
import { LayoutStore } from "./layout-store.ts";
import { findReferrers } from "./referrers.ts";
import {
  attachmentTag,
  checkSize,
  findByTag,
  mostBytes,
  readMaterial,
  SIGNATURE,
  type TagKind,
} from "./tag-signatures.ts";

export const BUNDLE_SUFFIX = ".sigstore.json";
export const SIMPLE_SUFFIX = ".sig.json";
export const ENVELOPE_SUFFIX = ".att.json";

/**
 * Signatures in a folder of their own, for nodes that reach no registry: `<folder>/sha256-<hex>/` with
 * `*.sigstore.json` (bundles) and `*.sig.json` (payload and annotations), or a layout as `cosign save` writes it.
 * @param kinds what is looked for besides bundles
 */
export async function findInFolder(
  folder: string,
  digest: string,
  kinds: readonly TagKind[],
): Promise<Findings> {
  if (existsSync(join(folder, LAYOUT_FILE))) return await findInLayout(folder, digest, kinds);
  const place = join(folder, attachmentTag(digest));
  let names: string[] = [];
  const head = await reading(place, async () => {
    names = namesIn(place);
    return [];
  });
  const most = mostBytes(kinds);
  const found = filesFor(kinds, names).map((name) => {
    const path = join(place, name);
    return reading(path, async () => readFile(path, most));
  });
  return joined([head, ...(await Promise.all(found))]);
}

async function findInLayout(folder: string, digest: string, kinds: readonly TagKind[]): Promise<Findings> {
  let store: LayoutStore | undefined;
  const head = await reading(folder, async () => {
    store = await LayoutStore.open(folder);
    return [];
  });
  if (store === undefined) return head;
  const findings: Findings[] = [head, await findReferrers(store, digest, kinds)];
  for (const kind of kinds) findings.push(await findByTag(store, digest, kind));
  return joined(findings);
}

/** As many of each kind as a registry may have: `trust fetch` puts all kinds into one folder. */
function filesFor(kinds: readonly TagKind[], names: readonly string[]): readonly string[] {
  const suffixes = [
    BUNDLE_SUFFIX,
    ...kinds.map((kind) => (kind === "sig" ? SIMPLE_SUFFIX : ENVELOPE_SUFFIX)),
  ];
  return suffixes.flatMap((suffix) =>
    names.filter((name) => name.endsWith(suffix)).slice(0, SYSTEM_LIMITS.signatures),
  );
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT") return [];
    throw new DecoderError("IO", `can't read the signatures in ${folder}: ${describeSystemError(cause)}`, {
      cause,
    });
  }
}

function readFile(path: string, most: number): readonly FoundSignature[] {
  if (path.endsWith(BUNDLE_SUFFIX)) return [{ form: "bundle", where: path, bundle: read(path, most) }];
  return [readAnnotated(path, path.endsWith(SIMPLE_SUFFIX) ? "sig" : "att", most)];
}

/** `{"payload": base64, "annotations": {…}}`: a layer of a signature's manifest. */
function readAnnotated(path: string, kind: TagKind, most: number): FoundSignature {
  const { payload, annotations } = parse(read(path, annotatedBytes(most)), path);
  const bytes = typeof payload === "string" ? decodeBase64(payload) : null;
  checkSize(bytes?.length ?? 0, most);
  const isTexts = isObject(annotations) && Object.values(annotations).every((it) => typeof it === "string");
  if (bytes === null || !isTexts)
    return { form: "unreadable", where: path, problem: "it has no payload with annotations" };
  const texts = annotations as Readonly<Record<string, string>>;
  const material = readMaterial(texts);
  if (kind === "att") return { form: "envelope", where: path, envelope: bytes, ...material };
  return { form: "simple", where: path, payload: bytes, signature: texts[SIGNATURE] ?? "", ...material };
}

/** The size of a file that `trust fetch` writes: base64 of the payload, and annotations, which a manifest held. */
function annotatedBytes(payloadBytes: number): number {
  return Math.ceil(payloadBytes / 3) * 4 + LIMITS.manifestBytes;
}

function parse(bytes: Uint8Array, path: string): Readonly<Record<string, unknown>> {
  try {
    const value = parseStrictJson(bytes);
    if (isObject(value)) return value;
  } catch {
    // Reported below.
  }
  throw new DecoderError("BAD_IMAGE", `${path} is not a JSON object`);
}

function read(path: string, most: number): Uint8Array {
  try {
    checkSize(statSync(path).size, most);
    return readSmallFile(path, most);
  } catch (cause) {
    if (cause instanceof DecoderError) throw cause;
    throw new DecoderError("IO", `can't read ${path}: ${describeSystemError(cause)}`, { cause });
  }
}
