import { parseJsonObject } from "../encoding/json.ts";
import { DecoderError } from "../errors.ts";
import type { Secret } from "../secret.ts";
import * as LIMITS from "../system-limits.ts";
import type { Challenge } from "./challenge.ts";
import { secretOf } from "./credential-files.ts";
import type { Credential, CredentialSearch } from "./host.ts";
import type { HttpResponse } from "./http.ts";
import type { HttpRequest } from "./http-request.ts";
import { shownUrl } from "./origin.ts";
import { noCredentials, refusedCredentials } from "./refusal.ts";

/** A Bearer token and what it is good for. */
export interface Token {
  readonly value: Secret;
  /** Milliseconds since 1970, by this machine's clock. */
  readonly expires: number;
  readonly scopes: ReadonlySet<string>;
}

interface TokenRequest {
  readonly challenge: Challenge;
  /** The registry, against whose address a realm is checked. */
  readonly api: URL;
  /** New ones first: some servers grant the first only. */
  readonly scopes: readonly string[];
  readonly search: CredentialSearch;
  /** What access is wanted to, for messages: "reg.example/app". */
  readonly target: string;
}

/** Sends a request to a token server. Redirects are not followed: the answer is a secret. */
type SendToRealm = (
  request: Pick<HttpRequest, "method" | "url" | "headers" | "body">,
) => Promise<HttpResponse>;

const CLIENT_ID = "ctd-decoder";
/** Distribution's token specification: the life of a token that states none, and the least of one. */
const LEAST_SECONDS = 60;
/** A token this near its end is replaced before it is used. */
const MARGIN_MS = 10_000;
const FORM = "application/x-www-form-urlencoded";

/** Tokens of one registry (Distribution's token and OAuth 2.0 specifications). */
export class TokenServer {
  readonly #send: SendToRealm;
  readonly #checkRealm: (realm: URL) => void;
  /** From the last answer: OAuth 2.0 servers may replace it. It is stored nowhere. */
  #identityToken: Secret | undefined;

  /** @param checkRealm throws when a secret must not be sent to the realm */
  constructor(send: SendToRealm, checkRealm: (realm: URL) => void) {
    this.#send = send;
    this.#checkRealm = checkRealm;
  }

  /** @throws DecoderError UNAUTHORIZED when the server grants nothing, REGISTRY */
  async fetch(request: TokenRequest): Promise<Token> {
    const realm = this.#realm(request);
    const identity = this.#identityToken ?? request.search.credential?.identityToken;
    const response =
      identity === undefined
        ? await this.#get(realm, request)
        : await this.#refresh(realm, request, identity);
    const bytes = await response.read(LIMITS.tokenBytes);
    const answer = response.status === 200 ? parseJsonObject(bytes) : null;
    bytes.fill(0);
    if (response.status !== 200) throw refused(response, realm, request);
    const { token, access_token: accessToken, refresh_token: refreshToken } = answer ?? {};
    const value = isText(token) ? token : accessToken;
    if (!isText(value)) throw new DecoderError("REGISTRY", `${shownUrl(realm)} answered without a token`);
    if (isText(refreshToken)) this.#identityToken = secretOf(refreshToken);
    return {
      value: secretOf(value),
      expires: Date.now() + lifeOf(answer?.["expires_in"]),
      scopes: new Set(request.scopes),
    };
  }

  #realm({ challenge, api, search: { credential } }: TokenRequest): URL {
    const text = challenge.parameters.get("realm") ?? "";
    const realm = URL.parse(text);
    if (realm === null || !/^https?:$/.test(realm.protocol)) {
      throw new DecoderError("REGISTRY", `${api.host} names no address where tokens are to be had`);
    }
    if (credential !== undefined || realm.protocol !== api.protocol) this.#checkRealm(realm);
    return realm;
  }

  async #get(realm: URL, { challenge, scopes, search: { credential } }: TokenRequest): Promise<HttpResponse> {
    const url = new URL(realm);
    const service = challenge.parameters.get("service");
    const wanted: [string, string][] = scopes.map((scope) => ["scope", scope]);
    if (service !== undefined) wanted.unshift(["service", service]);
    const isUser = credential?.password !== undefined;
    if (isUser) wanted.push(["account", credential.username]);
    const query = wanted.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
    // The realm's own query is kept as it is.
    url.search = [url.search.slice(1), query].filter((part) => part !== "").join("&");
    return await this.#send({
      method: "GET",
      url,
      headers: isUser ? { Authorization: basic(credential) } : {},
    });
  }

  async #refresh(realm: URL, request: TokenRequest, identity: Secret): Promise<HttpResponse> {
    const { challenge, scopes, search } = request;
    const form = new URLSearchParams({
      grant_type: "refresh_token",
      refresh_token: textOf(identity),
      service: challenge.parameters.get("service") ?? "",
      scope: scopes.join(" "),
      client_id: CLIENT_ID,
    });
    const bytes = new TextEncoder().encode(form.toString());
    const response = await this.#send({
      method: "POST",
      url: realm,
      headers: { "Content-Type": FORM },
      body: { bytes },
    });
    bytes.fill(0);
    const hasNoOauth = response.status === 404 || response.status === 405;
    if (!hasNoOauth || search.credential?.password === undefined) return response;
    await response.discard();
    return await this.#get(realm, request);
  }
}

/** Whether a token covers all scopes and lives long enough to be sent. */
export function isUsable(token: Token, scopes: readonly string[], now = Date.now()): boolean {
  return token.expires - now > MARGIN_MS && scopes.every((scope) => token.scopes.has(scope));
}

/** RFC 7617, in UTF-8. */
export function basic({ username, password }: Credential): string {
  const pair = Buffer.concat([Buffer.from(`${username}:`), password?.bytes ?? Buffer.alloc(0)]);
  const text = `Basic ${pair.toString("base64")}`;
  pair.fill(0);
  return text;
}

/** @throws DecoderError REGISTRY for what can't be in a header */
export function bearer(token: Secret): string {
  const text = textOf(token);
  // RFC 6750 §2.1, and a bit more: some tokens hold colons.
  if (/^[\x21-\x7e]+$/.test(text)) return `Bearer ${text}`;
  throw new DecoderError("REGISTRY", "the token to be sent holds characters that no token may hold");
}

function textOf(secret: Secret): string {
  return new TextDecoder().decode(secret.bytes);
}

/** @param seconds of the answer. @returns milliseconds */
function lifeOf(seconds: unknown): number {
  return Math.max(typeof seconds === "number" ? seconds : 0, LEAST_SECONDS) * 1000;
}

function refused({ status }: HttpResponse, realm: URL, { api, search, target }: TokenRequest): DecoderError {
  const isDenied = status === 401 || status === 403 || status === 400;
  if (!isDenied)
    return new DecoderError(
      "REGISTRY",
      `${shownUrl(realm)}, where ${api.host} grants access, answered ${status}`,
    );
  return search.credential === undefined
    ? noCredentials(target, search)
    : refusedCredentials(api.host, search.credential);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
