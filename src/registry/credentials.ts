import { join } from "node:path";
import { DecoderError } from "../errors.ts";
import { homeFolder, userId } from "../process/user.ts";
import { answersOf, type CredentialFile, readCredentialFile, secretOf } from "./credential-files.ts";
import type { Credential, CredentialSearch } from "./host.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where credentials are looked for. */
interface CredentialPlaces {
  readonly environment: Environment;
  /** "USER:PASSWORD", from the command line: nothing else is looked at. */
  readonly given?: string;
  /** The option that gave it, for messages: "--src-creds". */
  readonly givenBy?: string;
  /** The one file to look at; it must exist. */
  readonly file?: string;
}

/**
 * The credentials for a repository, from the first place that has some: the command line; the file that is named there or
 * in $REGISTRY_AUTH_FILE; podman's and skopeo's files; Docker's.
 * @throws DecoderError USAGE, CONFIG, UNAUTHORIZED when a helper fails
 */
export async function findCredential(
  places: CredentialPlaces,
  registry: string,
  repository: string,
): Promise<CredentialSearch> {
  if (places.given !== undefined) {
    return { credential: parsePair(places.given, places.givenBy), lookedIn: [], unreadable: [] };
  }
  const named = places.file ?? (places.environment["REGISTRY_AUTH_FILE"] || undefined);
  const paths = named === undefined ? defaultFiles(places.environment) : [named];
  const unreadable: string[] = [];
  for (const path of paths) {
    const file = readCredentialFile(path);
    if (file === "unreadable") unreadable.push(path);
    if (named !== undefined && (file === undefined || file === "unreadable")) throw unusable(path, file);
    if (file === undefined || file === "unreadable") continue;
    const credential = await credentialIn(file, registry, repository, places.environment);
    if (credential !== undefined) return { credential, lookedIn: paths, unreadable };
  }
  return { lookedIn: paths, unreadable };
}

/** @throws DecoderError USAGE for what has no password */
export function parsePair(text: string, option = "--creds"): Credential {
  const colon = text.indexOf(":");
  if (colon < 1) {
    throw new DecoderError("USAGE", `${option} takes USER:PASSWORD`, {
      hint: "other users see it in the process list: a file named with --authfile is safer",
    });
  }
  return { username: text.slice(0, colon), password: secretOf(text.slice(colon + 1)), origin: option };
}

async function credentialIn(
  file: CredentialFile,
  registry: string,
  repository: string,
  environment: Environment,
): Promise<Credential | undefined> {
  for (const answer of answersOf(file, registry, repository)) {
    if (answer.kind === "entry") return answer.credential;
    // Most files name no helper. The code that starts one loads node:child_process.
    const { askHelper } = await import("./credential-helper.ts");
    const found = await askHelper({ helper: answer.helper, origin: file.path, registry }, environment);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** containers-auth.json(5), and Docker's. */
function defaultFiles(environment: Environment): string[] {
  const home = homeFolder(environment);
  const runtime = environment["XDG_RUNTIME_DIR"];
  const config = environment["XDG_CONFIG_HOME"] || join(home, ".config");
  const docker = environment["DOCKER_CONFIG"] || join(home, ".docker");
  return [
    runtime ? join(runtime, "containers/auth.json") : `/run/containers/${userId()}/auth.json`,
    join(config, "containers/auth.json"),
    join(docker, "config.json"),
  ];
}

function unusable(path: string, file: "unreadable" | undefined): DecoderError {
  const why = file === undefined ? "does not exist" : "can't be read: permission denied";
  return new DecoderError("CONFIG", `the file of credentials ${path} ${why}`, {
    hint: "docker login and skopeo login write one; --authfile or $REGISTRY_AUTH_FILE names it",
  });
}
