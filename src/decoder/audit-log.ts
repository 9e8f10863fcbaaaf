import type { ReleaseMode } from "../cipher/release.ts";
import type { FoundLayer } from "../containerd/payload.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import { appendLine } from "../io/append.ts";
import { kidOf } from "../keys/thumbprint.ts";
import type { OpenedLayer, Opener } from "../layer/open.ts";
import { printable, printableJson } from "../text.ts";

/** One line of the log. The image's author chose what it says about the image, except for `image.trusted`. */
interface AuditRecord {
  /** RFC 3339. */
  readonly time: string;
  /** "authentic", or the code of the error that stopped the layer. */
  readonly verdict: string;
  readonly message?: string;
  /** The layer's digest, "sha256:<hex>". */
  readonly layer?: string;
  readonly mediaType?: string;
  readonly image?: { readonly reference?: string; readonly manifest?: string; readonly trusted: boolean };
  readonly scheme?: string;
  readonly recipient?: string;
  /** The key's file or payload entry, or the scheme's name for it. */
  readonly key?: string;
  /** The name of an RSA or EC key: a JWK's own `kid`, or the RFC 7638 thumbprint. */
  readonly kid?: string;
  /** Pods, repositories and chain IDs of the layer, on a node of several tenants. */
  readonly pods?: readonly string[];
  readonly repositories?: readonly string[];
  readonly chains?: readonly string[];
  /** Size of the layer. */
  readonly bytes?: number;
  readonly release: ReleaseMode;
  /** Time since the process started. */
  readonly milliseconds: number;
}

interface AuditLogOptions {
  readonly file: string;
  /** Whether a line that can't be written is an error. */
  readonly isRequired: boolean;
  readonly trustCriAnnotations: boolean;
  readonly mode: ReleaseMode;
}

const IMAGE_REFERENCE = "containerd.io/snapshot/cri.image-ref";
const MANIFEST_DIGEST = "containerd.io/snapshot/cri.manifest-digest";
/** Foreign text is cut, so that a line remains one write. */
const TEXT_CHARS = 512;
/** Largest number of Pods, repositories and chains in one line. */
const MOST = 8;

/** An `Audit` that appends one line of JSON for the layer to a file. */
export class AuditLog {
  readonly #options: AuditLogOptions;
  #isWritten = false;

  constructor(options: AuditLogOptions) {
    this.#options = options;
  }

  authentic(found: FoundLayer, { by }: OpenedLayer, bytes: number): void {
    const { tenancy = {} } = found;
    this.#write({
      verdict: "authentic",
      ...this.#layer(found),
      scheme: by.scheme,
      ...(by.recipient === undefined ? {} : { recipient: cut(by.recipient) }),
      ...keyFields(by.key),
      ...Object.fromEntries(
        Object.entries(tenancy).map(([name, list]) => [name, list.slice(0, MOST).map(cut)]),
      ),
      bytes,
    });
  }

  refused(error: unknown, layer: () => FoundLayer | undefined): void {
    if (this.#isWritten) return;
    const isKnown = error instanceof DecoderError;
    const verdict = isKnown ? { verdict: error.code, message: cut(error.message) } : { verdict: "INTERNAL" };
    try {
      this.#write({ ...verdict, ...this.#layer(layer()) });
    } catch {
      // The layer is refused anyway, and the caller must see that reason.
    }
  }

  #write(fields: Omit<AuditRecord, "time" | "release" | "milliseconds">): void {
    this.#isWritten = true;
    const { file, isRequired, mode } = this.#options;
    const record: AuditRecord = {
      time: new Date().toISOString(),
      ...fields,
      release: mode,
      milliseconds: Math.round(performance.now()),
    };
    try {
      appendLine(file, printableJson(record));
    } catch (error) {
      if (!isRequired) return;
      throw new DecoderError("AUDIT", `can't write the audit log ${file}: ${describeSystemError(error)}`, {
        hint: "free disk space there, or let the decoder's user write the file; without --audit-required, layers are decrypted anyway",
        cause: error,
      });
    }
  }

  #layer(found: FoundLayer | undefined): Pick<AuditRecord, "layer" | "mediaType" | "image"> {
    if (found === undefined) return {};
    const { digest, mediaType, annotations } = found.descriptor;
    const [reference, manifest] = [annotations[IMAGE_REFERENCE], annotations[MANIFEST_DIGEST]];
    const image = {
      ...(reference === undefined ? {} : { reference: cut(reference) }),
      ...(manifest === undefined ? {} : { manifest: cut(manifest) }),
      // The image's author wrote the annotations of a manifest in the content store.
      trusted: this.#options.trustCriAnnotations && found.blob === undefined,
    };
    return {
      ...(digest === undefined ? {} : { layer: cut(digest) }),
      mediaType: cut(mediaType),
      ...(reference === undefined && manifest === undefined ? {} : { image }),
    };
  }
}

function keyFields(key: Opener["key"]): Pick<AuditRecord, "key" | "kid"> {
  if (key === undefined) return {};
  if (typeof key === "string") return { key: cut(key) };
  return { key: cut(key.origin), kid: cut(kidOf(key)) };
}

function cut(text: string): string {
  return printable(text, TEXT_CHARS);
}
