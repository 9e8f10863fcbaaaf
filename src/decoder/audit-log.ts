import type { Candidate, LayerDescriptor } from "../containerd/payload.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import { appendLine } from "../io/append.ts";
import { fingerprint } from "../keys/fingerprint.ts";
import type { Opener } from "../layer/open.ts";
import { printable, printableJson } from "../text.ts";
import type { Audit } from "./audit.ts";
import type { DecoderOptions } from "./flags.ts";
import type { OpenedCandidate } from "./open-layer.ts";

/** One line of the log. What stands in it of the image is its author's word, but for `image.trusted`. */
interface AuditRecord {
  /** RFC 3339. */
  readonly time: string;
  /** "authentic", or the code of the error that stopped the layer. */
  readonly verdict: string;
  readonly message?: string;
  readonly layer?: string;
  readonly mediaType?: string;
  readonly image?: { readonly reference?: string; readonly manifest?: string; readonly trusted: boolean };
  readonly scheme?: string;
  readonly recipient?: string;
  /** The file or payload entry it came from, or what the scheme calls it. */
  readonly key?: string;
  /** "sha256:<hex>" of the public key, for RSA and EC keys. */
  readonly fingerprint?: string;
  readonly bytes?: number;
  readonly release: DecoderOptions["release"];
  /** Since the process started. */
  readonly milliseconds: number;
}

const IMAGE_REFERENCE = "containerd.io/snapshot/cri.image-ref";
const MANIFEST_DIGEST = "containerd.io/snapshot/cri.manifest-digest";
/** An attacker's text is cut, so that a line stays one write. */
const TEXT_CHARS = 512;

/** Adds one line of JSON a layer to a file. */
export class AuditLog implements Audit {
  readonly #file: string;
  readonly #options: DecoderOptions;
  #descriptor: LayerDescriptor | undefined;
  #written = false;

  constructor(file: string, options: DecoderOptions) {
    this.#file = file;
    this.#options = options;
  }

  *watch(groups: Iterable<readonly Candidate[]>): Iterable<readonly Candidate[]> {
    for (const group of groups) {
      this.#descriptor ??= group[0]?.descriptor;
      yield group;
    }
  }

  authentic({ descriptor, layer: { by } }: OpenedCandidate, bytes: number): void {
    this.#descriptor = descriptor;
    this.#write({
      verdict: "authentic",
      ...this.#layer(),
      scheme: by.scheme,
      ...(by.recipient === undefined ? {} : { recipient: cut(by.recipient) }),
      ...keyFields(by.key),
      bytes,
    });
  }

  refused(error: unknown): void {
    if (this.#written) return;
    const known = error instanceof DecoderError;
    const verdict = known ? { verdict: error.code, message: cut(error.message) } : { verdict: "INTERNAL" };
    try {
      this.#write({ ...verdict, ...this.#layer() });
    } catch {
      // The layer is refused already: its own reason is what the caller must hear.
    }
  }

  #write(fields: Omit<AuditRecord, "time" | "release" | "milliseconds">): void {
    this.#written = true;
    const record: AuditRecord = {
      time: new Date().toISOString(),
      ...fields,
      release: this.#options.release,
      milliseconds: Math.round(performance.now()),
    };
    try {
      appendLine(this.#file, printableJson(record));
    } catch (error) {
      if (!this.#options.auditRequired) return;
      throw new DecoderError(
        "AUDIT",
        `can't write the audit log ${this.#file}: ${describeSystemError(error)}`,
        {
          hint: "make room or give the decoder's user the right to write there; without --audit-required it decrypts nevertheless",
          cause: error,
        },
      );
    }
  }

  #layer(): Pick<AuditRecord, "layer" | "mediaType" | "image"> {
    if (this.#descriptor === undefined) return {};
    const { digest, mediaType, annotations } = this.#descriptor;
    const [reference, manifest] = [annotations[IMAGE_REFERENCE], annotations[MANIFEST_DIGEST]];
    const image = {
      ...(reference === undefined ? {} : { reference: cut(reference) }),
      ...(manifest === undefined ? {} : { manifest: cut(manifest) }),
      trusted: this.#options.trustCriAnnotations,
    };
    return {
      ...(digest === undefined ? {} : { layer: cut(digest) }),
      mediaType: cut(mediaType),
      ...(reference === undefined && manifest === undefined ? {} : { image }),
    };
  }
}

function keyFields(key: Opener["key"]): Pick<AuditRecord, "key" | "fingerprint"> {
  if (key === undefined) return {};
  if (typeof key === "string") return { key: cut(key) };
  return { key: cut(key.origin), fingerprint: fingerprint(key) };
}

function cut(text: string): string {
  return printable(text, TEXT_CHARS);
}
