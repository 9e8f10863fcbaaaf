import { DecoderError } from "../errors.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import type { CredentialSearch, FindCredential } from "./host.ts";
import type { HttpResponse } from "./http.ts";
import { basic, bearer, isUsable, type Token, type TokenServer } from "./tokens.ts";

/** Whom access is asked of, and to what. */
interface Access {
  readonly api: URL;
  /** For messages: "reg.example/app". */
  readonly target: string;
}

/** What is sent in Authorization to one registry. Nothing is, before it was asked for. */
export class Authorizer {
  readonly #access: Access;
  readonly #find: FindCredential;
  readonly #tokens: TokenServer;
  #search: Promise<CredentialSearch> | undefined;
  #challenge: Challenge | undefined;
  #scopes: readonly string[] = [];
  #token: Promise<Token> | undefined;

  /** @param challenge that the registry has sent to another thread */
  constructor(access: Access, find: FindCredential, tokens: TokenServer, challenge?: Challenge) {
    this.#access = access;
    this.#find = find;
    this.#tokens = tokens;
    this.#challenge = challenge;
  }

  /** What the search for credentials found; it is made once, when it is first needed. */
  search(): Promise<CredentialSearch> {
    this.#search ??= this.#find();
    return this.#search;
  }

  /** The registry's last challenge; undefined before the first one. */
  get challenge(): Challenge | undefined {
    return this.#challenge;
  }

  /** Whether requests carry the password itself. A refused one must not be sent again. */
  get sendsPassword(): boolean {
    return this.#challenge?.scheme === "basic";
  }

  /**
   * The header's value for a request that needs these scopes, or undefined as long as the registry asks for nothing.
   * @throws DecoderError UNAUTHORIZED, REGISTRY
   */
  async header(scopes: readonly string[]): Promise<string | undefined> {
    if (this.#challenge === undefined) return undefined;
    const search = await this.search();
    const { credential } = search;
    if (this.#challenge.scheme === "basic") return credential?.password && basic(credential);
    if (credential?.registryToken !== undefined) return bearer(credential.registryToken);
    const token = await this.#token;
    if (token !== undefined && isUsable(token, scopes)) return bearer(token.value);
    return bearer((await this.#renew(this.#challenge, scopes, search)).value);
  }

  /**
   * Takes note of what a 401 asks for.
   * @returns what the request can be sent again with: a new token, a secret that stays the same, or nothing
   * @throws DecoderError UNAUTHORIZED when nothing here can answer
   */
  async learn(response: HttpResponse, scopes: readonly string[]): Promise<"token" | "secret" | undefined> {
    const header = response.header("www-authenticate") ?? "";
    const challenges = parseChallenges(header);
    const challenge = ["bearer", "basic"]
      .map((scheme) => challenges.find((it) => it.scheme === scheme))
      .find((it) => it !== undefined);
    if (challenge === undefined) throw this.#unknown(challenges);
    const search = await this.search();
    this.#challenge = challenge;
    if (challenge.scheme === "basic") return search.credential?.password && "secret";
    if (search.credential?.registryToken !== undefined) return "secret";
    const asked = challenge.parameters.get("scope")?.split(" ") ?? [];
    await this.#renew(challenge, [...scopes, ...asked.filter((scope) => scope !== "")], search);
    return "token";
  }

  #renew(challenge: Challenge, scopes: readonly string[], search: CredentialSearch): Promise<Token> {
    // One server grants the first scope only: what is needed now comes first.
    this.#scopes = [...new Set([...scopes, ...this.#scopes])];
    const request = { challenge, ...this.#access, scopes: this.#scopes, search };
    const token = this.#tokens.fetch(request);
    this.#token = token;
    // A failed attempt must not be kept: the next request asks again.
    token.catch(() => {
      if (this.#token === token) this.#token = undefined;
    });
    return token;
  }

  #unknown(challenges: readonly Challenge[]): DecoderError {
    const schemes = challenges.map(({ scheme }) => scheme).join(", ");
    return new DecoderError(
      "UNAUTHORIZED",
      `${this.#access.api.host} refuses access and asks for ${schemes === "" ? "no credentials" : schemes}`,
      { hint: "registries that ask for Basic or Bearer are supported" },
    );
  }
}
