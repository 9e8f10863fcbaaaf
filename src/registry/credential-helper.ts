import { parseJsonObject } from "../encoding/json.ts";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import { type CommandResult, runCommand } from "../process/command.ts";
import { findExecutable } from "../process/find-executable.ts";
import * as SYSTEM_LIMITS from "../system-limits.ts";
import { HUB_SERVER, secretOf } from "./credential-files.ts";
import type { Credential } from "./host.ts";
import { DOCKER_HUB } from "./name.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** docker-credential-helpers: a program of this name, found on PATH, never by a path. */
const PREFIX = "docker-credential-";
const HELPER_NAME = /^[A-Za-z0-9._-]+$/;
/** The user name beside an identity token. */
const TOKEN_USER = "<token>";
/** What a helper prints when it has nothing for a server: not an error. */
const NOT_FOUND = /credentials not found in native keychain/;

/** A helper that a file of credentials names. */
interface NamedHelper {
  readonly helper: string;
  /** The file. */
  readonly origin: string;
  readonly registry: string;
}

/**
 * Asks a credential helper. What it prints may be a secret and is never quoted.
 * @returns undefined when the helper has no credentials for the registry
 * @throws DecoderError UNAUTHORIZED when it is missing or fails, CONFIG for a name that is a path
 */
export async function askHelper(
  { helper, origin, registry }: NamedHelper,
  environment: Environment,
): Promise<Credential | undefined> {
  if (!HELPER_NAME.test(helper)) {
    throw new DecoderError(
      "CONFIG",
      `${origin} names a credential helper for ${registry} whose name is not a program's`,
      {
        hint: "a helper's name has letters, digits and . _ - only: docker-credential-NAME is run",
      },
    );
  }
  const program = PREFIX + helper;
  const path = findExecutable(program, environment["PATH"] ?? "");
  if (path === undefined) {
    throw new DecoderError(
      "UNAUTHORIZED",
      `${program}, which ${origin} names for ${registry}, is not installed`,
      {
        hint: "install it, or name credentials with --authfile or --creds",
      },
    );
  }
  const server = registry === DOCKER_HUB ? HUB_SERVER : registry;
  const result = await runCommand(path, ["get"], {
    input: new TextEncoder().encode(`${server}\n`),
    environment,
    timeoutMs: LIMITS.providerTimeoutMs,
    outputBytes: SYSTEM_LIMITS.credentialHelperBytes,
    errorBytes: 0,
  });
  try {
    return readAnswer(result, program, registry);
  } finally {
    result.output.fill(0);
  }
}

function readAnswer(
  { end, output }: CommandResult,
  program: string,
  registry: string,
): Credential | undefined {
  const failed = (why: string) =>
    new DecoderError("UNAUTHORIZED", `${program} gave no credentials for ${registry}: ${why}`);
  if (end.kind === "exit" && end.code !== 0) {
    if (NOT_FOUND.test(new TextDecoder().decode(output))) return undefined;
    throw failed(`it ended with exit code ${end.code}`);
  }
  if (end.kind === "deadline") throw failed(`it did not answer within ${LIMITS.providerTimeoutMs / 1000} s`);
  if (end.kind !== "exit")
    throw failed(end.kind === "overflow" ? "it wrote too much" : "it could not be run");
  const answer = parseJsonObject(output);
  const { Username: username, Secret: secret } = answer ?? {};
  if (typeof username !== "string" || typeof secret !== "string") throw failed("its answer is malformed");
  if (secret === "") return undefined;
  const value = secretOf(secret);
  return username === TOKEN_USER
    ? { username: "", identityToken: value, origin: program }
    : { username, password: value, origin: program };
}
