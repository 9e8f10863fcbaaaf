import { readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { DecoderError } from "../../errors.ts";
import type { ModulePolicy } from "./module-policy.ts";
import type { Pkcs11Uri } from "./uri.ts";

/** Development packages install these beside shared libraries. */
const STATIC_LIBRARY = /\.l?a$/;

/**
 * Finds the module that a URI names (RFC 7512 §2.4). `module-path` is a file, or a directory to search for `module-name`.
 * Without it, the policies' directories are searched.
 * @returns the real path, without symlinks, so that the file that was checked is the file that gets loaded
 * @throws DecoderError PKCS11 if none is found, or a policy forbids it
 */
export function findModule({ modulePath, moduleName }: Pkcs11Uri, policies: readonly ModulePolicy[]): string {
  let denial: DecoderError | undefined;
  for (const path of candidates(modulePath, moduleName, policies)) {
    const real = realFile(path);
    if (real === null) continue;
    const denying = policies.find((policy) => !allows(policy, path, real));
    if (denying === undefined) return real;
    denial ??= new DecoderError("PKCS11", `the module ${path} is not allowed by ${denying.origin}`, {
      hint: howToAllow(path, denying),
    });
  }
  if (denial !== undefined) throw denial;
  const searched = policies.flatMap(({ directories }) => directories).join(", ");
  throw new DecoderError("PKCS11", `the module ${moduleName ?? modulePath} was not found`, {
    hint:
      modulePath === undefined
        ? `install it, or add its folder to module-directories; searched: ${searched || "nothing"}`
        : "the URI's module-path names the module's file, or a folder together with module-name",
  });
}

/** A folder in the list needs a slash at its end, which is easily forgotten. */
function howToAllow(path: string, { origin, allowed }: ModulePolicy): string {
  const folder = dirname(path);
  if (allowed.includes(folder))
    return `write ${folder}/ in allowed-module-paths, with a slash at its end, to allow the modules in that folder`;
  return origin.includes("=")
    ? `name a file in OCICRYPT_CONFIG whose allowed-module-paths lists ${path}`
    : `add ${path} to allowed-module-paths`;
}

function candidates(
  modulePath: string | undefined,
  moduleName: string | undefined,
  policies: readonly ModulePolicy[],
): string[] {
  if (modulePath === undefined)
    return search(
      moduleName,
      policies.flatMap((policy) => policy.directories),
    );
  if (!isAbsolute(modulePath)) throw new DecoderError("PKCS11", "the URI's module-path is not absolute");
  return isDirectory(modulePath) ? search(moduleName, [modulePath]) : [modulePath];
}

/**
 * RFC 7512 §2.4: a module name has neither prefix nor suffix ("softhsm2" for libsofthsm2.so), and its case is ignored. The
 * peers also accept files that merely contain the name before a dot or at the end. Exact names come first.
 */
function search(moduleName: string | undefined, directories: readonly string[]): string[] {
  if (moduleName === undefined || moduleName === "")
    throw new DecoderError("PKCS11", "the URI does not name a module");
  const name = moduleName.toLowerCase();
  const exact: string[] = [];
  const similar: string[] = [];
  for (const directory of new Set(directories)) {
    for (const entry of entriesOf(directory)) {
      const file = entry.toLowerCase();
      const at = file.indexOf(name);
      const next = file[at + name.length];
      if (at < 0 || (next !== undefined && next !== ".") || STATIC_LIBRARY.test(file)) continue;
      const isExact = at === 0 || file.slice(0, at) === "lib";
      (isExact ? exact : similar).push(join(directory, entry));
    }
  }
  return [...exact, ...similar];
}

/**
 * Compares real paths, so that neither ".." nor a symlink elsewhere bypasses the list. A symlink inside an allowed directory
 * counts as allowed (Debian's /usr/lib/softhsm/ has one): only those who may install modules can write there.
 */
function allows(policy: ModulePolicy, path: string, real: string): boolean {
  return policy.allowed.some((allowed) => {
    if (!allowed.endsWith("/")) return realFile(allowed) === real;
    return realFile(join(allowed, basename(path))) === real || realDirectory(allowed) === dirname(real);
  });
}

function realFile(path: string): string | null {
  try {
    const real = realpathSync(path);
    return statSync(real).isFile() ? real : null;
  } catch {
    return null;
  }
}

function realDirectory(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** Entries in lexical order, as the peers list a directory. */
function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}
