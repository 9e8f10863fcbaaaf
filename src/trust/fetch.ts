import { mkdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeBase64 } from "../encoding/base64.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import { digestOf } from "../io/digester.ts";
import type { RegistryAccess } from "../registry/open.ts";
import { joined } from "./find/attachments.ts";
import { findReferrers } from "./find/referrers.ts";
import { BUNDLE_SUFFIX, ENVELOPE_SUFFIX, SIMPLE_SUFFIX } from "./find/signature-folder.ts";
import { attachmentTag, findByTag, writeMaterial } from "./find/tag-signatures.ts";
import type { FoundSignature } from "./found.ts";
import { openTarget } from "./target.ts";

/** What was copied. */
interface FetchReport {
  readonly image: string;
  readonly digest: string;
  /** Paths of the files. */
  readonly files: readonly string[];
  /** What was found and can't be kept. */
  readonly ignored: readonly { readonly where: string; readonly reason: string }[];
}

const NAME_CHARS = 16;

/**
 * Copies every signature and attestation of an image to a folder for nodes that can't reach the registry. Nothing is
 * checked: a node does that.
 * @throws DecoderError NOT_FOUND if it is missing; REGISTRY and the like, IO
 */
export async function fetchSignatures(
  image: string,
  folder: string,
  access: RegistryAccess,
  signal: AbortSignal,
): Promise<FetchReport> {
  const target = await openTarget(image, access, signal);
  try {
    const { digest } = await target.resolve();
    const { store } = target;
    const { found, failures } = joined(
      await Promise.all([
        findByTag(store, digest, "sig"),
        findByTag(store, digest, "att"),
        findReferrers(store, digest, ["sig", "att"]),
      ]),
    );
    const [failure] = failures;
    if (failure !== undefined) throw failure;
    const place = join(folder, attachmentTag(digest));
    const files = found.flatMap((it) => fileOf(it, place));
    const ignored = found.flatMap((it) =>
      it.form === "unreadable" ? [{ where: it.where, reason: it.problem }] : [],
    );
    if (files.length === 0) throw nothingToKeep(image, ignored);
    for (const { path, bytes } of files) write(place, path, bytes);
    return { image, digest, files: files.map(({ path }) => path), ignored };
  } finally {
    await target.close();
  }
}

function nothingToKeep(image: string, [first]: FetchReport["ignored"]): DecoderError {
  const why = first === undefined ? "" : ` that can be kept: ${first.where}: ${first.reason}`;
  return new DecoderError("NOT_FOUND", `${image} has no signature and no attestation${why}`);
}

function fileOf(found: FoundSignature, place: string): { path: string; bytes: Uint8Array }[] {
  const named = (bytes: Uint8Array, suffix: string) => {
    const name = digestOf(bytes).slice("sha256:".length).slice(0, NAME_CHARS);
    return [{ path: join(place, `${name}${suffix}`), bytes }];
  };
  switch (found.form) {
    case "bundle":
      return named(found.bundle, BUNDLE_SUFFIX);
    case "simple":
      return named(annotated(found.payload, writeMaterial(found, found.signature)), SIMPLE_SUFFIX);
    case "envelope":
      return named(annotated(found.envelope, writeMaterial(found, "")), ENVELOPE_SUFFIX);
    case "gpg":
    case "unreadable":
      return [];
  }
}

function annotated(payload: Uint8Array, annotations: Readonly<Record<string, string>>): Uint8Array {
  return Buffer.from(`${JSON.stringify({ payload: encodeBase64(payload), annotations })}\n`);
}

/** Never leaves a part of a signature: a node would refuse the image. */
function write(place: string, path: string, bytes: Uint8Array): void {
  const partial = `${path}.${crypto.randomUUID()}`;
  try {
    mkdirSync(place, { recursive: true });
    writeFileSync(partial, bytes, { flag: "wx" });
    renameSync(partial, path);
  } catch (cause) {
    remove(partial, place);
    throw new DecoderError("IO", `can't write ${path}: ${describeSystemError(cause)}`, { cause });
  }
}

/** Removes an unfinished file, and its folder if that is empty. */
function remove(file: string, folder: string): void {
  try {
    rmSync(file, { force: true });
    rmdirSync(folder);
  } catch {
    // The folder was never made, or other signatures are in it.
  }
}
