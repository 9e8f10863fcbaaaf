import { isObject, parseJsonObject } from "../encoding/json.ts";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import type { Credential, CredentialSearch } from "./host.ts";
import type { HttpResponse } from "./http.ts";
import { type Attempted, retryAfter } from "./retry.ts";

/** A request that a registry refused, for messages. */
interface Refused {
  /** "127.0.0.1:5000" */
  readonly host: string;
  /** "127.0.0.1:5000/app" */
  readonly target: string;
  /** Whether another server answered, to which the registry's leads. It got no credentials. */
  readonly isElsewhere: boolean;
  /** What to do if the registry speaks TLS; undefined unless plain HTTP alone was to be used. */
  readonly plainHttpAdvice: string | undefined;
  /** What was to be had or done: "tag v9", "blob sha256:…". */
  readonly what: string;
  readonly action: "read" | "push";
  readonly search: CredentialSearch;
  /** Whether a token server has granted a token, for which it has taken the credentials. */
  readonly hasToken: boolean;
  /** Whether what was to be pushed has encrypted layers, which some registries refuse. */
  readonly isEncrypted?: boolean;
}

/** Errors that are shown of one answer, and the characters of each. */
const SHOWN_ERRORS = 3;
const SHOWN_CHARS = 512;

/** @returns NOT_FOUND, UNAUTHORIZED or REGISTRY */
export async function refusal({ response, attempts }: Attempted, refused: Refused): Promise<DecoderError> {
  const errors = errorsIn(await bodyOf(response));
  const said = saidBy(errors, response);
  const { status, url } = response;
  if (refused.isElsewhere && (status === 401 || status === 403)) {
    const where = `${url.host}, to which ${refused.host} leads for ${refused.what}`;
    return new DecoderError("REGISTRY", `${where}, answered ${status}${said}`);
  }
  if (status === 401) return unauthorized(refused);
  if (status === 404) return notFound(refused, said);
  if (status === 403) return forbidden(refused, said);
  if (status === 429) return tooMany(response, refused, said);
  const { host, what } = refused;
  if (status === 413) {
    return new DecoderError("REGISTRY", `${what} is larger than ${host} takes${said}`);
  }
  if (status >= 500) {
    const times = attempts > 1 ? `, ${attempts} times` : "";
    return new DecoderError("REGISTRY", `${host} answered ${status}${times}${said}`);
  }
  return new DecoderError(
    "REGISTRY",
    `${host} refused ${what} with ${status}${said}`,
    errors === undefined ? plainHttpHint(refused, status) : encryptedHint(refused, status),
  );
}

/** No credentials were found, and the registry wants some. */
export function noCredentials(target: string, { lookedIn, unreadable }: CredentialSearch): DecoderError {
  const places = lookedIn.length === 0 ? "" : `looked in ${lookedIn.join(", ")}; `;
  const closed = unreadable.length === 0 ? "" : `could not read ${unreadable.join(", ")}; `;
  return new DecoderError("UNAUTHORIZED", `no credentials for ${target}`, {
    hint: `${places}${closed}log in with docker login or skopeo login, or name --authfile`,
  });
}

export function refusedCredentials(host: string, { username, origin }: Credential): DecoderError {
  const whose = username === "" ? "" : ` of ${username}`;
  return new DecoderError("UNAUTHORIZED", `${host} refused the credentials${whose} from ${origin}`, {
    hint: "log in again with docker login or skopeo login, or name others with --authfile",
  });
}

function unauthorized({ host, target, action, search, hasToken }: Refused): DecoderError {
  const { credential } = search;
  if (credential === undefined) return noCredentials(target, search);
  // The credentials are right, but the token that was granted for them does not reach as far.
  return hasToken ? mayNot(credential, action, target, "") : refusedCredentials(host, credential);
}

function forbidden(refused: Refused, said: string): DecoderError {
  const { host, target, action, search, what } = refused;
  if (search.credential !== undefined) {
    const error = mayNot(search.credential, action, target, said);
    return new DecoderError(error.code, error.message, encryptedHint(refused, 403));
  }
  if (action === "push") {
    const message = `anonymous users may not push to ${target}${said}`;
    return new DecoderError("UNAUTHORIZED", message, encryptedHint(refused, 403));
  }
  return new DecoderError("UNAUTHORIZED", `${host} refuses access to ${what} in ${target} (403)${said}`);
}

function mayNot({ username }: Credential, action: string, target: string, said: string): DecoderError {
  const who = username === "" ? "the token's owner" : username;
  return new DecoderError(
    "UNAUTHORIZED",
    `${who} may not ${action}${action === "push" ? " to" : ""} ${target}${said}`,
  );
}

function notFound({ target, what, search, action }: Refused, said: string): DecoderError {
  if (action === "push") return new DecoderError("NOT_FOUND", `${target} does not take ${what}${said}`);
  const isAnonymous = search.credential === undefined;
  return new DecoderError("NOT_FOUND", `${target} has no ${what}`, {
    ...(isAnonymous && {
      hint: "a registry may also answer so if you may not see the image: log in with docker login or skopeo login",
    }),
  });
}

function tooMany(response: HttpResponse, { host, search }: Refused, said: string): DecoderError {
  const seconds = retryAfter(response);
  const again = seconds ? `try again in ${seconds} s` : "try again later";
  return new DecoderError("REGISTRY", `${host} allows no more requests for now${said}`, {
    hint: search.credential === undefined ? `${again}; logged-in users may have more` : again,
  });
}

function encryptedHint({ isEncrypted }: Refused, status: number): { hint?: string } {
  return isEncrypted && [400, 403, 415].includes(status)
    ? { hint: "some registries take no encrypted layers; this one may be one of them" }
    : {};
}

/** TLS servers in Go, nginx and Apache answer plain HTTP with 400, and a text that is not a registry's. */
function plainHttpHint(refused: Refused, status: number): { hint?: string } {
  const { plainHttpAdvice, isElsewhere } = refused;
  return status === 400 && plainHttpAdvice !== undefined && !isElsewhere
    ? { hint: plainHttpAdvice }
    : encryptedHint(refused, status);
}

async function bodyOf(response: HttpResponse): Promise<Uint8Array> {
  try {
    return await response.read(LIMITS.registryErrorBytes);
  } catch {
    return new Uint8Array();
  }
}

/** Distribution-spec, "Error Codes". Undefined if the answer is not in that form. */
function errorsIn(body: Uint8Array): readonly unknown[] | undefined {
  const errors = parseJsonObject(body)?.["errors"];
  return Array.isArray(errors) ? errors : undefined;
}

/** Leaves out `detail`, which may hold anything. @returns ": CODE: message; …" or "" */
function saidBy(errors: readonly unknown[] | undefined, response: HttpResponse): string {
  if (errors === undefined) {
    return /^text\/html\b/i.test(response.header("content-type") ?? "")
      ? ", and sent a web page: perhaps a proxy's"
      : "";
  }
  const texts = errors
    .slice(0, SHOWN_ERRORS)
    .filter(isObject)
    .map(({ code, message }) =>
      [code, message]
        .filter((part) => typeof part === "string" && part !== "")
        .join(": ")
        .slice(0, SHOWN_CHARS),
    );
  return texts.length === 0 ? "" : `: ${texts.join("; ")}`;
}
