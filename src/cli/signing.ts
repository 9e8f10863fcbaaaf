import { DecoderError } from "../errors.ts";
import { formatName, parseName, type RegistryName } from "../registry/name.ts";
import type { RegistryAccess } from "../registry/open.ts";
import { Secret } from "../secret.ts";
import { printable } from "../text.ts";
import { parseTagged } from "../transport/file-reference.ts";
import type { SigningKey } from "../trust/sign/cosign-key.ts";
import type { SignRequest, SignResult } from "../trust/sign/sign-image.ts";
import type { SignatureStore } from "../trust/sign/signature-store.ts";
import { noteOnce } from "./registry-options.ts";

const LAYOUT = "oci:";
const REGISTRY = "docker://";
const ARCHIVES = /^(?:[a-z]+-archive:|-$)/;

/**
 * The name that a signature is for. Of `NAME:TAG@DIGEST` it is `NAME:TAG`: a policy accepts that for pulls by tag and by
 * digest, and the signature holds the digest anyway.
 */
function identityOf({ digest, ...name }: RegistryName): string {
  return formatName(name.tag === undefined && digest !== undefined ? { ...name, digest } : name);
}

interface SignedPlace {
  /** The name that signatures are for: what nodes pull. */
  readonly name: string;
  open(signal: AbortSignal | undefined): Promise<SignatureStore>;
}

/**
 * Where an image is that is to be signed.
 * @param text `docker://NAME`, `NAME` or `oci:DIR[:TAG]`
 * @param identity the name that the signature is for; undefined: the image's own
 * @param digest the manifest to sign, even if the name now refers to another
 * @throws DecoderError USAGE
 */
export function signedPlace(
  text: string,
  access: RegistryAccess,
  identity: string | undefined,
  digest?: string,
): SignedPlace {
  if (ARCHIVES.test(text)) {
    throw new DecoderError("USAGE", `${text} can't hold signatures`, {
      hint: "sign the image where nodes pull it from: docker://NAME, or oci:DIR:TAG",
    });
  }
  if (text.startsWith(LAYOUT)) return layoutPlace(text.slice(LAYOUT.length), identity);
  const written = parseName(text.startsWith(REGISTRY) ? text.slice(REGISTRY.length) : text);
  const name = digest === undefined ? written : { ...written, digest };
  return {
    name: identity === undefined ? identityOf(written) : formatName(parseName(identity)),
    async open(signal) {
      const [{ RegistrySignatures }, { openClient }] = await Promise.all([
        import("../trust/sign/registry-store.ts"),
        import("../registry/open.ts"),
      ]);
      return new RegistrySignatures(
        openClient(name, access, { access: "push", onWarning: noteOnce, ...(signal && { signal }) }),
        name,
      );
    },
  };
}

function layoutPlace(rest: string, identity: string | undefined): SignedPlace {
  const reference = parseTagged("oci", rest);
  if (identity === undefined) {
    throw new DecoderError("USAGE", "a layout does not say under which name its image will be pulled", {
      hint: "name it with --sign-container-identity registry.example.com/app:1.0",
    });
  }
  return {
    name: formatName(parseName(identity)),
    async open() {
      const { LayoutSignatures } = await import("../trust/sign/layout-store.ts");
      return new LayoutSignatures(reference);
    },
  };
}

/**
 * @param spec "FILE", with the place of its password as for private keys; else the environment's COSIGN_PASSWORD has it, or
 *   the user types it
 * @throws DecoderError BAD_KEY
 */
export async function readSigner(spec: string): Promise<SigningKey> {
  const { readKeyFile } = await import("../keys/named.ts");
  const { isLocked, readSigningKey } = await import("../trust/sign/cosign-key.ts");
  const { askPassword } = await import("./password-prompt.ts");
  const { file, data, passwords } = await readKeyFile(spec);
  const password =
    passwords[0] ??
    environmentPassword() ??
    (isLocked(data) ? await askPassword(`password for ${printable(file)}: `) : undefined);
  try {
    return readSigningKey(data, password, file);
  } finally {
    data.fill(0);
    password?.destroy();
  }
}

/** What cosign reads, too. */
export function environmentPassword(): Secret | undefined {
  const text = process.env["COSIGN_PASSWORD"];
  return text === undefined ? undefined : new Secret(new Uint8Array(Buffer.from(text)));
}

/** @throws DecoderError as signImage does */
export async function signPlace(
  place: SignedPlace,
  request: Omit<SignRequest, "name">,
  signal: AbortSignal | undefined,
): Promise<SignResult> {
  const { signImage } = await import("../trust/sign/sign-image.ts");
  const store = await place.open(signal);
  try {
    return await signImage(store, { ...request, name: place.name });
  } finally {
    await store.close();
  }
}
