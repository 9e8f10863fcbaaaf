import { join } from "node:path";
import { isObject, parseJsonObject } from "../../encoding/json.ts";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import * as LIMITS from "../../limits.ts";
import { runCommand } from "../../process/command.ts";
import { secretOf } from "../../registry/credential-files.ts";
import type { Credential } from "../../registry/host.ts";
import * as SYSTEM_LIMITS from "../../system-limits.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** kubelet's `--image-credential-provider-config` (kubelet.config.k8s.io, CredentialProviderConfig). */
export interface ExecProviders {
  readonly configFile: string;
  readonly binDir: string;
  readonly providers: readonly ExecProvider[];
}

interface ExecProvider {
  readonly name: string;
  readonly matchImages: readonly string[];
  readonly apiVersion: string;
  readonly args: readonly string[];
  readonly env: Environment;
}

const API_VERSION = /^credentialprovider\.kubelet\.k8s\.io\/v1(?:alpha1|beta1)?$/;
const PROVIDER_NAME = /^[A-Za-z0-9._-]+$/;

/** @throws DecoderError CONFIG */
export async function readExecProviders(configFile: string, binDir: string): Promise<ExecProviders> {
  const [config] = await parseConfig(configFile);
  const list = isObject(config) ? config["providers"] : undefined;
  if (!Array.isArray(list)) throw bad(configFile, "it has no list of providers");
  return { configFile, binDir, providers: list.map((it) => readProvider(it, configFile)) };
}

/**
 * Asks the providers that know the image until one has credentials. What they print is never quoted.
 * @param image `registry.example.com/shop/app`
 * @returns undefined when no provider has credentials for the image
 * @throws DecoderError UNAUTHORIZED when a provider fails
 */
export async function askExecProviders(
  { binDir, providers }: ExecProviders,
  image: string,
  { environment, signal }: { readonly environment: Environment; readonly signal: AbortSignal },
): Promise<Credential | undefined> {
  for (const provider of providers) {
    if (!provider.matchImages.some((it) => matchesImage(it, image))) continue;
    const credential = await askProvider(provider, binDir, image, { environment, signal });
    if (credential !== undefined) return credential;
  }
  return undefined;
}

async function askProvider(
  { name, args, apiVersion, env }: ExecProvider,
  binDir: string,
  image: string,
  { environment, signal }: { readonly environment: Environment; readonly signal: AbortSignal },
): Promise<Credential | undefined> {
  const request = { apiVersion, kind: "CredentialProviderRequest", image };
  const result = await runCommand(join(binDir, name), args, {
    input: Buffer.from(JSON.stringify(request)),
    environment: { ...environment, ...env },
    timeoutMs: LIMITS.providerTimeoutMs,
    outputBytes: SYSTEM_LIMITS.credentialHelperBytes,
    errorBytes: 0,
    signal,
  });
  try {
    const { end } = result;
    if (end.kind !== "exit" || end.code !== 0)
      throw failed(name, image, end.kind === "exit" ? `it ended with exit code ${end.code}` : end.kind);
    return credentialIn(parseJsonObject(result.output), image, name);
  } finally {
    result.output.fill(0);
  }
}

function credentialIn(response: unknown, image: string, name: string): Credential | undefined {
  const auth = isObject(response) ? (response["auth"] ?? {}) : undefined;
  if (!isObject(auth)) throw failed(name, image, "its answer is malformed");
  const key = Object.keys(auth)
    .sort((a, b) => b.length - a.length)
    .find((it) => matchesImage(it, image));
  const entry = key === undefined ? undefined : auth[key];
  if (entry === undefined) return undefined;
  const { username, password } = isObject(entry) ? entry : {};
  if (typeof username !== "string" || typeof password !== "string")
    throw failed(name, image, "its answer is malformed");
  return { username, password: secretOf(password), origin: name };
}

/**
 * kubelet's URLsMatch: as many labels of the host, `*` within one of them, the same port, and a prefix of the path.
 */
export function matchesImage(pattern: string, image: string): boolean {
  const [wanted, given] = [split(pattern), split(image)];
  if (wanted.port !== given.port || wanted.labels.length !== given.labels.length) return false;
  const isHost = wanted.labels.every((label, position) => matchesLabel(label, given.labels[position] ?? ""));
  return isHost && given.path.startsWith(wanted.path);
}

function split(text: string): { labels: readonly string[]; port: string; path: string } {
  const bare = text.replace(/^https?:\/\//, "");
  const slash = bare.indexOf("/");
  const host = slash < 0 ? bare : bare.slice(0, slash);
  const [name = "", port = ""] = host.split(":");
  return { labels: name.split("."), port, path: slash < 0 ? "" : bare.slice(slash) };
}

function matchesLabel(pattern: string, label: string): boolean {
  const [head = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return pattern === label;
  const tail = rest.at(-1) ?? "";
  let at = head.length;
  if (!label.startsWith(head) || !label.endsWith(tail) || label.length < head.length + tail.length)
    return false;
  for (const part of rest.slice(0, -1)) {
    const found = label.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= label.length - tail.length;
}

async function parseConfig(path: string): Promise<readonly unknown[]> {
  try {
    const bytes = readSmallFile(path, SYSTEM_LIMITS.configBytes);
    return (await import("../../encoding/yaml.ts")).parseYaml(bytes);
  } catch (cause) {
    throw bad(path, cause instanceof SyntaxError ? `it is ${cause.message}` : describeSystemError(cause));
  }
}

function readProvider(value: unknown, path: string): ExecProvider {
  if (!isObject(value)) throw bad(path, "a provider is not a mapping");
  const { name, matchImages, apiVersion, args = [], env = [] } = value;
  if (typeof name !== "string" || !PROVIDER_NAME.test(name)) throw bad(path, "a provider has no name");
  if (typeof apiVersion !== "string" || !API_VERSION.test(apiVersion))
    throw bad(path, `the apiVersion of ${name} is not supported`);
  if (!isTexts(matchImages) || !isTexts(args)) throw bad(path, `${name} is malformed`);
  return { name, matchImages, apiVersion, args, env: readEnvironment(env, path) };
}

function readEnvironment(value: unknown, path: string): Environment {
  if (!Array.isArray(value)) throw bad(path, "env is not a list");
  return Object.fromEntries(
    value.map((it) => {
      const { name, value: text } = isObject(it) ? it : {};
      if (typeof name !== "string" || typeof text !== "string") throw bad(path, "env is malformed");
      return [name, text];
    }),
  );
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((it) => typeof it === "string");
}

function failed(name: string, image: string, why: string): DecoderError {
  return new DecoderError(
    "UNAUTHORIZED",
    `kubelet's credential provider ${name} gave nothing for ${image}: ${why}`,
  );
}

function bad(path: string, why: string): DecoderError {
  return new DecoderError("CONFIG", `can't use ${path}: ${why}`);
}
