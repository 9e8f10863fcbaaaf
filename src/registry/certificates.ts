import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DecoderError, describeSystemError } from "../errors.ts";
import { homeFolder } from "../process/user.ts";
import * as LIMITS from "../system-limits.ts";
import type { ClientPair, TlsSettings } from "./host.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** containers-certs.d(5), and Docker's own folder. */
const SYSTEM_FOLDERS = ["/etc/containers/certs.d", "/etc/docker/certs.d"];
/** Where distributions keep the roots they trust: Debian and Alpine, Fedora, SUSE, BSD. */
const SYSTEM_BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];
const NOTHING: Omit<TlsSettings, "verify"> = { authorities: [], pairs: [] };

/**
 * The certificates for one registry: those of `folder`, or of the first folder that is made for it.
 * @param registry "reg.example:5000"
 * @throws DecoderError CONFIG for an unreadable folder or file, and for a certificate without its key
 */
export function certificatesFor(
  registry: string,
  environment: Environment,
  folder?: string,
): Omit<TlsSettings, "verify"> {
  if (folder !== undefined) return readFolder(folder);
  const parents = [join(homeFolder(environment), ".config/containers/certs.d"), ...SYSTEM_FOLDERS];
  const found = parents.map((parent) => join(parent, registry)).find((path) => existsSync(path));
  return found === undefined ? NOTHING : readFolder(found);
}

/** `*.crt` are authorities; `X.cert` with `X.key` is shown to the registry. */
function readFolder(folder: string): Omit<TlsSettings, "verify"> {
  const names = reading(folder, () => readdirSync(folder).sort());
  if (names.length > LIMITS.certificateFiles) {
    throw new DecoderError("LIMIT", `${folder} holds more than ${LIMITS.certificateFiles} files`);
  }
  const withEnding = (ending: string) => names.filter((name) => name.endsWith(ending));
  return {
    authorities: withEnding(".crt").map((name) => readPem(join(folder, name))),
    pairs: withEnding(".cert").map((name) => readPair(folder, name, names)),
  };
}

function readPair(folder: string, name: string, names: readonly string[]): ClientPair {
  const key = name.replace(/\.cert$/, ".key");
  if (!names.includes(key)) {
    throw new DecoderError("CONFIG", `${join(folder, key)}, the key of ${name}, is missing`, {
      hint: "an authority's certificate must end in .crt; .cert is a client's, and needs a .key",
    });
  }
  return { certificate: readPem(join(folder, name)), key: readPem(join(folder, key)) };
}

/** PEM certificates of the authorities that the system trusts, or the runtime's own where the system has none. */
export async function systemAuthorities(environment: Environment): Promise<string[]> {
  const { SSL_CERT_FILE: file, SSL_CERT_DIR: folder } = environment;
  const bundle = file || SYSTEM_BUNDLES.find((path) => existsSync(path));
  const bundled = bundle === undefined ? await runtimeAuthorities() : [readPem(bundle)];
  if (!folder) return bundled;
  return [...bundled, ...folder.split(":").flatMap(pemFilesIn)];
}

async function runtimeAuthorities(): Promise<string[]> {
  // Loading node:tls makes the runtime parse all its certificates. A registry without TLS needs none.
  const { rootCertificates } = await import("node:tls");
  return [...rootCertificates];
}

/** OpenSSL's folders of certificates hold each under its own name and under a hash of its subject, a link. */
function pemFilesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return reading(folder, () => readdirSync(folder))
    .filter((name) => /\.(?:pem|crt)$/.test(name))
    .slice(0, LIMITS.systemCertificateFiles)
    .map((name) => readPem(join(folder, name)));
}

function readPem(path: string): string {
  return reading(path, () => {
    const { size } = statSync(path);
    if (size > LIMITS.certificateBytes) {
      throw new DecoderError(
        "LIMIT",
        `${path} has ${size} bytes, and ${LIMITS.certificateBytes} are the most`,
      );
    }
    return readFileSync(path, "utf8");
  });
}

function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof DecoderError) throw error;
    throw new DecoderError("CONFIG", `can't read ${path}: ${describeSystemError(error)}`, { cause: error });
  }
}
