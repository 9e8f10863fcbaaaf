import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";

/** A request as a registry saw it. */
export interface Seen {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly authorization: string | undefined;
  readonly headers: IncomingMessage["headers"];
}

/** Answers a request in the registry's place, and returns true; or leaves it to the registry. */
export type Intercept = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

export interface TestRegistryOptions {
  /** Certificate and key; plain HTTP without. */
  readonly tls?: ServerOptions;
  /** Who may do anything; everybody without. */
  readonly user?: { readonly name: string; readonly password: string };
  /** Where Bearer tokens are to be had. With it the registry takes those of `tokens` and no password. */
  readonly realm?: string;
  /** False: it begins an upload where a blob is to be mounted. */
  readonly mounts?: boolean;
  /** Whether it has the referrers API. */
  readonly referrers?: boolean;
}

interface Stored {
  readonly bytes: Buffer;
  readonly mediaType: string;
}

const digestOf = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** A small OCI registry in memory, whose every answer a test can replace. */
export class TestRegistry {
  readonly seen: Seen[] = [];
  /** Tokens that are taken, with their scopes. */
  readonly tokens = new Map<string, readonly string[]>();
  /** "app sha256:…" → bytes */
  readonly blobs = new Map<string, Buffer>();
  /** "app v1" and "app sha256:…" → manifest */
  readonly manifests = new Map<string, Stored>();
  intercept: Intercept = () => false;
  readonly #uploads = new Map<string, { bytes: Buffer; state: string }>();
  readonly #options: TestRegistryOptions;
  readonly #server: Server;

  private constructor(options: TestRegistryOptions) {
    this.#options = options;
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response).catch(() => response.destroy());
    };
    this.#server = options.tls === undefined ? createServer(answer) : createTlsServer(options.tls, answer);
  }

  static async start(options: TestRegistryOptions = {}): Promise<TestRegistry> {
    const registry = new TestRegistry(options);
    await new Promise<void>((resolve) => registry.#server.listen(0, "127.0.0.1", resolve));
    return registry;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** "127.0.0.1:41234" */
  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  get origin(): string {
    return `${this.#options.tls === undefined ? "http" : "https"}://${this.host}`;
  }

  /** "GET /v2/app/manifests/v1", without the queries. */
  get log(): string[] {
    return this.seen.map(({ method, path }) => `${method} ${path.split("?", 1)[0]}`);
  }

  addBlob(repository: string, bytes: Uint8Array): string {
    const digest = digestOf(bytes);
    this.blobs.set(`${repository} ${digest}`, Buffer.from(bytes));
    return digest;
  }

  addManifest(repository: string, reference: string, document: object, mediaType: string): string {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = digestOf(bytes);
    for (const name of [reference, digest]) this.manifests.set(`${repository} ${name}`, { bytes, mediaType });
    return digest;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = request;
    this.seen.push({ method, path: url, authorization: headers.authorization, headers });
    if (await this.intercept(request, response)) return;
    const { pathname, searchParams } = new URL(url, this.origin);
    const parts = /^\/v2\/(?:(.+)\/(manifests|blobs|referrers|tags|uploads)\/(.*))?$/.exec(
      pathname.replace("/blobs/uploads", "/uploads"),
    );
    if (parts === null) return fail(response, 404, "NOT_FOUND");
    const [, repository = "", kind = "", rest = ""] = parts;
    if (!this.#isAllowed(request, repository)) return this.#challenge(response, method, repository);
    if (kind === "") return end(response, 200);
    if (kind === "manifests") return await this.#manifest(request, response, repository, rest);
    if (kind === "blobs") return this.#blob(request, response, repository, rest);
    if (kind === "referrers") return this.#referrers(response, repository, rest);
    if (kind === "tags") return this.#tags(response, repository);
    await this.#upload(request, response, { repository, id: rest, query: searchParams });
  }

  #isAllowed({ headers, method = "" }: IncomingMessage, repository: string): boolean {
    const { user, realm } = this.#options;
    const sent = headers.authorization;
    if (realm !== undefined) {
      const scopes = this.tokens.get(sent?.replace(/^Bearer /, "") ?? "");
      return (
        scopes?.some(
          (scope) => scope.startsWith(`repository:${repository}:`) && scope.includes(actionOf(method)),
        ) ?? false
      );
    }
    if (user === undefined) return true;
    return sent === `Basic ${Buffer.from(`${user.name}:${user.password}`).toString("base64")}`;
  }

  #challenge(response: ServerResponse, method: string, repository: string): void {
    const { realm } = this.#options;
    const scope = `repository:${repository}:${actionOf(method) === "push" ? "pull,push" : "pull"}`;
    const challenge =
      realm === undefined ? 'Basic realm="test"' : `Bearer realm="${realm}",service="test",scope="${scope}"`;
    response.setHeader("WWW-Authenticate", challenge);
    fail(response, 401, "UNAUTHORIZED");
  }

  async #manifest(
    request: IncomingMessage,
    response: ServerResponse,
    repository: string,
    reference: string,
  ): Promise<void> {
    if (request.method === "PUT") {
      const bytes = await bodyOf(request);
      const stored = { bytes, mediaType: request.headers["content-type"] ?? "" };
      for (const name of [reference, digestOf(bytes)]) this.manifests.set(`${repository} ${name}`, stored);
      return end(response, 201);
    }
    const stored = this.manifests.get(`${repository} ${reference}`);
    if (stored === undefined) return fail(response, 404, "MANIFEST_UNKNOWN");
    response.writeHead(200, {
      "Content-Type": stored.mediaType,
      "Content-Length": stored.bytes.length,
      "Docker-Content-Digest": digestOf(stored.bytes),
    });
    response.end(request.method === "HEAD" ? undefined : stored.bytes);
  }

  #blob(request: IncomingMessage, response: ServerResponse, repository: string, digest: string): void {
    const bytes = this.blobs.get(`${repository} ${digest}`);
    if (bytes === undefined) return fail(response, 404, "BLOB_UNKNOWN");
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? Number.NaN);
    if (Number.isNaN(start)) response.writeHead(200, { "Content-Length": bytes.length });
    else {
      response.writeHead(206, {
        "Content-Length": bytes.length - start,
        "Content-Range": `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
      });
    }
    response.end(request.method === "HEAD" ? undefined : bytes.subarray(start || 0));
  }

  #referrers(response: ServerResponse, repository: string, digest: string): void {
    if (!this.#options.referrers) return fail(response, 404, "");
    const manifests = [...this.manifests].flatMap(([name, { bytes, mediaType }]) => {
      const document = JSON.parse(bytes.toString());
      if (!name.startsWith(`${repository} sha256:`) || document.subject?.digest !== digest) return [];
      const { artifactType } = document;
      return {
        mediaType,
        digest: digestOf(bytes),
        size: bytes.length,
        ...(artifactType && { artifactType }),
      };
    });
    response.setHeader("Content-Type", "application/vnd.oci.image.index.v1+json");
    end(response, 200, Buffer.from(JSON.stringify({ schemaVersion: 2, manifests })));
  }

  #tags(response: ServerResponse, name: string): void {
    const names = [...this.manifests.keys()]
      .filter((key) => key.startsWith(`${name} `))
      .map((key) => key.slice(name.length + 1));
    const tags = names.filter((tag) => !tag.startsWith("sha256:"));
    end(response, 200, Buffer.from(JSON.stringify({ name, tags })));
  }

  async #upload(
    request: IncomingMessage,
    response: ServerResponse,
    { repository, id, query }: { repository: string; id: string; query: URLSearchParams },
  ): Promise<void> {
    if (request.method === "POST") return this.#begin(response, repository, query);
    const upload = this.#uploads.get(id);
    // As Distribution has it: the state changes with each request, and an old one is worth nothing.
    if (upload === undefined || upload.state !== query.get("_state"))
      return fail(response, 404, "BLOB_UPLOAD_UNKNOWN");
    const bytes = Buffer.concat([upload.bytes, await bodyOf(request)]);
    if (request.method === "DELETE") {
      this.#uploads.delete(id);
      return end(response, 204);
    }
    if (request.method === "PATCH") return this.#accept(response, repository, id, bytes);
    const digest = query.get("digest") ?? "";
    if (digestOf(bytes) !== digest) return fail(response, 400, "DIGEST_INVALID");
    this.#uploads.delete(id);
    this.blobs.set(`${repository} ${digest}`, bytes);
    response.setHeader("Docker-Content-Digest", digest);
    end(response, 201);
  }

  #begin(response: ServerResponse, repository: string, query: URLSearchParams): void {
    const [mount, from] = [query.get("mount"), query.get("from")];
    const isMounted = mount !== null && this.#options.mounts !== false;
    const bytes = isMounted ? this.blobs.get(`${from} ${mount}`) : undefined;
    if (bytes === undefined)
      return this.#accept(response, repository, randomBytes(8).toString("hex"), Buffer.alloc(0));
    this.blobs.set(`${repository} ${mount}`, bytes);
    end(response, 201);
  }

  #accept(response: ServerResponse, repository: string, id: string, bytes: Buffer): void {
    const state = randomBytes(8).toString("base64");
    this.#uploads.set(id, { bytes, state });
    response.setHeader(
      "Location",
      `${this.origin}/v2/${repository}/blobs/uploads/${id}?_state=${encodeURIComponent(state)}`,
    );
    end(response, 202);
  }

  /** Uploads that were begun and neither finished nor cancelled. */
  get openUploads(): number {
    return this.#uploads.size;
  }
}

function actionOf(method: string): "pull" | "push" {
  return method === "GET" || method === "HEAD" ? "pull" : "push";
}

export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export function end(response: ServerResponse, status: number, body = Buffer.alloc(0)): void {
  response.writeHead(status, { "Content-Length": body.length });
  response.end(body);
}

export function fail(
  response: ServerResponse,
  status: number,
  code: string,
  message = code.toLowerCase(),
): void {
  response.setHeader("Content-Type", "application/json");
  end(
    response,
    status,
    Buffer.from(JSON.stringify({ errors: [{ code, message, detail: "not to be shown" }] })),
  );
}

/** A token server (Distribution's token specification), which gives a token for whatever is asked. */
export class TestRealm {
  readonly seen: Seen[] = [];
  readonly bodies: string[] = [];
  /** Registries that are told of new tokens. */
  readonly registries: TestRegistry[] = [];
  /** Whoever may have tokens; everybody without. */
  user: { readonly name: string; readonly password: string } | undefined;
  readonly #server: Server;
  intercept: Intercept = () => false;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  static async start(): Promise<TestRealm> {
    const realm = new TestRealm();
    await new Promise<void>((resolve) => realm.#server.listen(0, "127.0.0.1", resolve));
    return realm;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/token`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = request;
    this.seen.push({ method, path: url, authorization: headers.authorization, headers });
    const body = (await bodyOf(request)).toString();
    this.bodies.push(body);
    if (await this.intercept(request, response)) return;
    const expected =
      this.user && `Basic ${Buffer.from(`${this.user.name}:${this.user.password}`).toString("base64")}`;
    if (expected !== undefined && headers.authorization !== expected)
      return fail(response, 401, "UNAUTHORIZED");
    const query = new URL(url, this.url).searchParams;
    const scopes =
      method === "POST" ? (new URLSearchParams(body).get("scope") ?? "").split(" ") : query.getAll("scope");
    const token = randomBytes(12).toString("hex");
    for (const registry of this.registries) registry.tokens.set(token, scopes);
    end(response, 200, Buffer.from(JSON.stringify({ token, access_token: token, expires_in: 300 })));
  }
}
