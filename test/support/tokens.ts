import { createPublicKey, type KeyObject } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HELPER } from "../../src/keys/token/module-protocol.ts";
import { HELPER_COMMAND } from "../../src/process/runtime.ts";
import { cc, output, type Peer, PROJECT, run, softhsm, softhsmUtil, softokn } from "./peers.ts";
import { rsaPair } from "./rsa.ts";

/** A token to test with. */
export interface TestToken {
  readonly label: string;
  readonly pin: string;
  /** The module's path. */
  readonly module: string;
  /** What the module needs in its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** RSA, by label; the private halves are on the token. */
  readonly publicKeys: ReadonlyMap<string, KeyObject>;
}

const PIN = "829404";
/** A PIN that no test token has. */
export const WRONG_PIN = "000000";

const node: Peer = { name: "node", command: process.execPath, args: [] };

/** Environment of code that loads a module. Its helper process starts three times as fast with Node's cache of compiled code. */
export const HELPER_ENVIRONMENT = {
  PATH: process.env["PATH"],
  NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"],
};

let compiled: Promise<unknown> | undefined;

/**
 * Lets a helper process fill the cache. Node.js writes it when a process ends by itself, but a helper in use is killed in
 * the end.
 */
function compileHelper(): Promise<unknown> {
  compiled ??= run(node, [join(PROJECT, "src/main.ts"), HELPER_COMMAND, HELPER], { env: HELPER_ENVIRONMENT });
  return compiled;
}

/** What tests of a token need, for `describeWith`. */
export const SOFTHSM = [softhsm, softhsmUtil] as const;
export const NSS = [softokn, cc] as const;

/** A new SoftHSM token below `folder`, with RSA keys of these sizes. It knows OAEP with SHA-1 alone. */
export async function softhsmToken(
  folder: string,
  label: string,
  keyBits: Readonly<Record<string, number>>,
): Promise<TestToken> {
  await compileHelper();
  const store = join(folder, "tokens");
  mkdirSync(store, { recursive: true });
  const configuration = join(folder, "softhsm2.conf");
  writeFileSync(configuration, `directories.tokendir = ${store}\nobjectstore.backend = file\n`);
  const environment = { SOFTHSM2_CONF: configuration };
  const options = { env: { ...process.env, ...environment } };
  const pins = ["--pin", PIN, "--so-pin", PIN];
  await output(softhsmUtil, ["--init-token", "--free", "--label", label, ...pins], options);
  const publicKeys = new Map<string, KeyObject>();
  for (const [name, modulusLength] of Object.entries(keyBits)) {
    const { privateKey, publicKey } = rsaPair(modulusLength);
    const file = join(folder, `${name}.pem`);
    writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }));
    publicKeys.set(name, publicKey);
    const id = publicKeys.size.toString(16).padStart(2, "0");
    const key = ["--import", file, "--token", label, "--label", name, "--id", id, "--pin", PIN];
    await output(softhsmUtil, key, options);
  }
  return { label, pin: PIN, module: softhsm.command, environment, publicKeys };
}

/**
 * A new NSS database below `folder` with one RSA key. It knows OAEP with SHA-256 too. NSS is told its database in a way
 * that the key file has no word for, so that it is reached through the shim.
 */
export async function nssToken(folder: string, name: string, bits: number): Promise<TestToken> {
  const database = join(folder, "nss");
  mkdirSync(database, { recursive: true });
  const script = join(PROJECT, "test/support/nss-token.ts");
  const jwk = await output(node, [script, softokn.command, database, PIN, name, String(bits)]);
  const key = createPublicKey({ key: JSON.parse(jwk.toString()), format: "jwk" });
  const shimmed = await shim(folder, softokn.command);
  return {
    label: "NSS Certificate DB",
    pin: PIN,
    module: shimmed.module,
    environment: {
      ...shimmed.environment,
      SHIM_PARAMETERS: `configdir='sql:${database}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=`,
    },
    publicKeys: new Map([[name, key]]),
  };
}

/** The module of `pkcs11-shim.c` (see there for the variables it heeds) in front of another one. */
export async function shim(
  folder: string,
  module: string,
): Promise<Pick<TestToken, "module" | "environment">> {
  const target = join(folder, "pkcs11-shim.so");
  const headers = join(PROJECT, "node_modules/pkcs11js/includes/pkcs11");
  const source = join(PROJECT, "test/support/pkcs11-shim.c");
  await output(cc, ["-shared", "-fPIC", "-I", headers, "-o", target, source, "-ldl"]);
  return { module: target, environment: { SHIM_MODULE: module } };
}

export interface KeyFileOptions {
  readonly pin?: string | undefined;
  /** Replaces the URI's query but for the PIN: "module-name=softhsm2". */
  readonly query?: string;
  /** Added to the module's environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** The YAML key file for a key of a token. Without a PIN when `pin` is undefined. */
export function keyFile(token: TestToken, object: string, options: KeyFileOptions = {}): string {
  const pin = "pin" in options ? options.pin : token.pin;
  const query = [
    options.query ?? `module-path=${token.module}`,
    ...(pin === undefined ? [] : [`pin-value=${pin}`]),
  ];
  const uri = `pkcs11:token=${encodeURIComponent(token.label)};object=${object}?${query.join("&")}`;
  const variables = Object.entries({ ...token.environment, ...options.environment });
  const env = variables.map(([name, value]) => `    ${name}: ${JSON.stringify(value)}`);
  const module = env.length === 0 ? [] : ["module:", "  env:", ...env];
  return ["pkcs11:", `  uri: ${uri}`, ...module, ""].join("\n");
}

/** A policy in ocicrypt's configuration format that allows these modules. */
export function policyFile(file: string, modules: readonly string[]): string {
  writeFileSync(
    file,
    JSON.stringify({ pkcs11: { "module-directories": [], "allowed-module-paths": modules } }),
  );
  return file;
}
