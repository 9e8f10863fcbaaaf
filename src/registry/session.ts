import { DecoderError } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import { Agents } from "./agent.ts";
import { ApiAddress } from "./api-address.ts";
import { Authorizer } from "./authorizer.ts";
import type { Challenge } from "./challenge.ts";
import type { CredentialSearch, FindCredential, RegistryHost } from "./host.ts";
import { exchange, type HttpResponse, readAhead } from "./http.ts";
import type { HttpRequest, Method, RequestBody } from "./http-request.ts";
import { isSameOrigin, shownUrl } from "./origin.ts";
import { type Attempted, retrying } from "./retry.ts";
import { TokenServer } from "./tokens.ts";

export interface SessionOptions {
  readonly host: RegistryHost;
  /** "reg.example/app", for messages. */
  readonly target: string;
  readonly findCredential: FindCredential;
  /** Challenge of an earlier session. With it, the first request is authorized: an upload's body can't be sent again. */
  readonly challenge?: Challenge;
  /** Environment of the proxies and the system's certificates. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** At each request, the first one included. */
  readonly attempts?: number;
  readonly signal?: AbortSignal;
  /** Called with each answer to a request, whatever its status. */
  readonly onAnswer?: (response: HttpResponse) => void;
}

export interface SessionRequest {
  readonly method: Method;
  /** Below the API's address; or whole, as a server named it. */
  readonly to: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  readonly scopes: readonly string[];
  readonly answerMs?: number;
  /** Instead of the session's own. */
  readonly signal?: AbortSignal;
  /** Bytes of a 200's body that `send` reads before it returns, so that it also repeats a request whose answer breaks off. */
  readonly readsAhead?: number;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** 401s that one request answers. The second is for a token that was revoked between its grant and its use. */
const CHALLENGES = 2;
const USER_AGENT = "ctd-decoder";

/**
 * Requests to one registry: with its credentials, over the connections that it may have, following its redirects. The
 * credentials go to the registry's own origin and to its token server, and nowhere else.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #agents: Agents;
  readonly #authorizer: Authorizer;
  readonly #closing = new AbortController();
  /** Aborts when the session is stopped or closed. It ends the waits between attempts, which would keep the process alive. */
  readonly signal: AbortSignal;
  #attempts: number;
  readonly #address: ApiAddress;

  constructor(options: SessionOptions) {
    const { host, environment, findCredential, target, challenge } = options;
    this.#options = options;
    this.#attempts = options.attempts ?? LIMITS.registryAttempts;
    const signals = options.signal === undefined ? [] : [options.signal];
    this.signal = AbortSignal.any([this.#closing.signal, ...signals]);
    this.#address = new ApiAddress(host);
    const api = this.#api;
    this.#agents = new Agents({ api, tls: host.tls, environment });
    const tokens = new TokenServer(
      async (request) => {
        const headers = { ...request.headers, "User-Agent": USER_AGENT };
        const send = () => exchange(this.#withSignal({ ...request, headers }), this.#agents);
        return (await this.#retrying(send)).response;
      },
      (realm) => this.#address.checkSecrecy(realm),
    );
    this.#authorizer = new Authorizer({ api, target }, findCredential, tokens, challenge);
  }

  get #api(): URL {
    return this.#address.url;
  }

  /** The registry's server. It is marked as plain HTTP once that is settled. */
  get host(): RegistryHost {
    return this.#address.host;
  }

  /** What to do if plain HTTP is not understood; undefined if TLS was to be tried as well. */
  get plainHttpAdvice(): string | undefined {
    return this.#address.plainHttpAdvice;
  }

  /** Sends a request as often as it takes. @throws DecoderError REGISTRY, UNAUTHORIZED, CONFIG, INTERRUPTED */
  async send(request: SessionRequest): Promise<Attempted> {
    const { readsAhead } = request;
    return await this.#retrying(async () => {
      const response = await this.sendOnce(request);
      if (readsAhead === undefined || response.status !== 200) return response;
      return await readAhead(response, readsAhead);
    });
  }

  /** Sends a request once, apart from redirects and from 401s that can be answered. */
  async sendOnce(request: SessionRequest): Promise<HttpResponse> {
    for (let answered = 0; ; answered += 1) {
      const hadPassword = this.#authorizer.sendsPassword;
      const response = await this.#follow(request);
      if (answered === CHALLENGES || !this.#isChallenge(response) || isStream(request.body)) return response;
      const asking =
        response.header("www-authenticate") === undefined ? await this.#ping(response) : response;
      const means = await this.#authorizer.learn(asking, request.scopes);
      if (means === undefined || (means === "secret" && (answered > 0 || hadPassword))) return response;
      await response.discard();
    }
  }

  /** Sends a request once, with the current credentials. */
  async sendPlainly(request: SessionRequest): Promise<HttpResponse> {
    return await this.#follow(request);
  }

  /** The credentials that were found, if any were needed. */
  search(): Promise<CredentialSearch> {
    return this.#authorizer.search();
  }

  /** The registry's last challenge, if it has sent one. */
  get challenge(): Challenge | undefined {
    return this.#authorizer.challenge;
  }

  /** Sends each further request once, such as those for a note or a hint, which is not worth a wait. */
  stopRetrying(): void {
    this.#attempts = 1;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#agents.close();
  }

  /** An address that a server named. @throws DecoderError REGISTRY when following it would leave TLS */
  resolve(location: string, base: URL): URL {
    const url = URL.parse(location, base);
    if (url === null || !/^https?:$/.test(url.protocol)) {
      throw new DecoderError("REGISTRY", `${base.host} leads to an address that can't be followed`);
    }
    const { plainSecrets } = this.#options.host;
    if (base.protocol === "https:" && url.protocol === "http:" && plainSecrets !== "everywhere") {
      throw new DecoderError("REGISTRY", `${base.host} leads from https to ${shownUrl(url)}`, {
        hint: "say --tls-verify=false if that is meant",
      });
    }
    return url;
  }

  async #retrying(send: () => Promise<HttpResponse>): Promise<Attempted> {
    return await retrying(send, { attempts: this.#attempts, signal: this.signal });
  }

  #isChallenge({ status, url }: HttpResponse): boolean {
    return status === 401 && isSameOrigin(url, this.#api);
  }

  async #follow(request: SessionRequest): Promise<HttpResponse> {
    let url = this.#address.resolve(request.to);
    for (let redirects = 0; ; redirects += 1) {
      const response = await this.#exchange(request, url);
      this.#options.onAnswer?.(response);
      const location = response.header("location");
      if (!REDIRECTS.has(response.status) || location === undefined || !mayRedirect(request, response))
        return response;
      await response.discard();
      if (redirects >= LIMITS.redirects) {
        throw new DecoderError("REGISTRY", `${this.#api.host} redirects more than ${LIMITS.redirects} times`);
      }
      url = this.resolve(location, url);
    }
  }

  async #exchange(request: SessionRequest, to: URL): Promise<HttpResponse> {
    try {
      return await exchange(await this.#prepared(request, to), this.#agents);
    } catch (error) {
      const plain = this.#address.fallBack(error, to);
      if (plain === undefined) throw this.#address.advised(error, to);
      return await exchange(await this.#prepared(request, plain), this.#agents);
    }
  }

  async #prepared(
    { method, headers, body, scopes, answerMs, signal }: SessionRequest,
    url: URL,
  ): Promise<HttpRequest> {
    const isOwn = isSameOrigin(url, this.#api);
    const authorization = isOwn ? await this.#authorizer.header(scopes) : undefined;
    if (authorization !== undefined) this.#address.checkSecrecy(url);
    return this.#withSignal({
      method,
      url,
      headers: {
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
        ...headers,
        ...(isOwn && this.#options.host.headers),
        ...(authorization !== undefined && { Authorization: authorization }),
      },
      ...(body && { body }),
      ...(answerMs !== undefined && { answerMs }),
      ...(signal && { signal }),
    });
  }

  #withSignal(request: HttpRequest): HttpRequest {
    const { signal } = this.#options;
    return signal === undefined ? request : { signal, ...request };
  }

  /** One registry's 401 names no challenge but at the API's root, where Docker asks first. */
  async #ping(response: HttpResponse): Promise<HttpResponse> {
    const answer = await this.#follow({ method: "GET", to: "", scopes: [] });
    await answer.discard();
    // Another origin must not choose where the credentials go.
    const isOwn = isSameOrigin(answer.url, this.#api);
    const isChallenge = answer.status === 401 && answer.header("www-authenticate") !== undefined;
    return isOwn && isChallenge ? answer : response;
  }
}

/** What has a body is sent again only where the server asks for just that, and only if it can be. */
function mayRedirect({ method, body }: SessionRequest, { status }: HttpResponse): boolean {
  if (method === "GET" || method === "HEAD") return true;
  return (status === 307 || status === 308) && !isStream(body);
}

function isStream(body: RequestBody | undefined): boolean {
  return body !== undefined && "chunks" in body;
}
