import { parseJsonObject } from "../encoding/json.ts";
import { DecoderError } from "../errors.ts";
import { digestOf } from "../io/digester.ts";
import * as LIMITS from "../limits.ts";
import { checkedDigest, parseDigest } from "../spec/digest.ts";
import * as SYSTEM_LIMITS from "../system-limits.ts";
import { ACCEPT, identify, type RemoteDocument, readCapped } from "./document.ts";
import type { CredentialSearch } from "./host.ts";
import type { HttpResponse } from "./http.ts";
import { isTag } from "./name.ts";
import { refusal } from "./refusal.ts";
import { connectionEnvironment, plainSearch, type RemoteRepository } from "./remote.ts";
import type { Attempted } from "./retry.ts";
import { Session, type SessionOptions, type SessionRequest } from "./session.ts";
import { Warnings } from "./warnings.ts";

export interface ClientOptions extends Omit<SessionOptions, "target" | "onAnswer"> {
  /** "library/alpine" */
  readonly repository: string;
  /** "push" asks for the right to read and to write from the first request on. */
  readonly access: "pull" | "push";
  /** Repositories of the same registry from which blobs may be mounted. */
  readonly mountFrom?: readonly string[];
  /** Told of what a registry wants its users to read (RFC 7234 §5.5, code 299). */
  readonly onWarning?: (text: string) => void;
}

/** Tags and digests. No character of them has a meaning in a path. */
const REFERENCE = /^\w[\w.:-]*$/;
const SHOWN_CHARS = 160;

/** How a request is named when it is refused. */
type Purpose = { readonly what: string; readonly action?: "read" | "push"; readonly isEncrypted?: boolean };

/** One repository of a registry (OCI distribution-spec 1.1). */
export class RegistryClient {
  /** For messages: "127.0.0.1:5000/app". */
  readonly target: string;
  readonly session: Session;
  readonly #options: ClientOptions;
  /** Also takes those of the same registry's answers to other threads. */
  readonly warnings: Warnings;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.target = `${options.host.name}/${options.repository}`;
    this.warnings = new Warnings(options.onWarning);
    const onAnswer = (response: HttpResponse) => this.warnings.read(response.header("warning"));
    this.session = new Session({ ...options, target: this.target, onAnswer });
  }

  /**
   * A manifest or index, whole.
   * @param reference a tag or a digest
   * @throws DecoderError NOT_FOUND, UNAUTHORIZED, REGISTRY, BAD_IMAGE, LIMIT, DIGEST_MISMATCH
   */
  async manifest(reference: string): Promise<RemoteDocument> {
    const what = describeReference(reference);
    const response = await this.expect(await this.manifestRequest("GET", reference), [200], { what });
    const bytes = await readCapped(response, LIMITS.manifestBytes, `${this.target}'s ${what}`);
    const received = {
      contentType: response.header("content-type"),
      digest: response.header("docker-content-digest"),
      name: `${this.target}'s ${what}`,
    };
    return identify(bytes, received, parseDigest(reference) && reference);
  }

  /** Resolves a tag or digest to a SHA-256 digest; undefined if it does not exist. @throws DecoderError as `manifest` */
  async find(reference: string): Promise<string | undefined> {
    const head = await this.manifestRequest("HEAD", reference);
    const { response } = head;
    if (response.status === 404) return undefined;
    // A GET would only send the refused credentials again.
    if (response.status === 401) throw await this.refusal(head, { what: describeReference(reference) });
    const stated = response.header("docker-content-digest") ?? "";
    if (response.status === 200 && parseDigest(stated)?.algorithm === "sha256") return stated;
    // Docker-Content-Digest is optional, and the answer to HEAD has no body to compute it from or to explain a refusal.
    const attempted = await this.manifestRequest("GET", reference);
    if (attempted.response.status === 404) return undefined;
    const what = describeReference(reference);
    const bytes = await readCapped(
      await this.expect(attempted, [200], { what }),
      LIMITS.manifestBytes,
      `${this.target}'s ${what}`,
    );
    return digestOf(bytes);
  }

  /** A small blob whole, checked against its digest. @throws DecoderError LIMIT beyond `most` bytes */
  async blob(digest: string, most: number): Promise<Uint8Array> {
    const response = await this.requestBlob(digest, {}, most + 1);
    const bytes = await readCapped(response, most, `blob ${digest} of ${this.target}`);
    if (digestOf(bytes, checkedDigest(digest).algorithm) === digest) return bytes;
    throw new DecoderError(
      "DIGEST_MISMATCH",
      `blob ${digest} of ${this.target} has other bytes than its digest says`,
    );
  }

  /**
   * The answer to a request for a blob or a part of it: 200 or 206.
   * @param readsAhead of a small blob, see `SessionRequest`
   */
  async requestBlob(
    digest: string,
    headers: Readonly<Record<string, string>>,
    readsAhead?: number,
  ): Promise<Attempted["response"]> {
    checkedDigest(digest);
    const attempted = await this.send({
      method: "GET",
      to: this.path(`blobs/${digest}`),
      headers,
      scopes: this.scopes,
      ...(readsAhead !== undefined && { readsAhead }),
    });
    return await this.expect(attempted, [200, 206], { what: `blob ${digest}` });
  }

  async hasBlob(digest: string): Promise<boolean> {
    checkedDigest(digest);
    const { response } = await this.send({
      method: "HEAD",
      to: this.path(`blobs/${digest}`),
      scopes: this.scopes,
    });
    return response.status === 200;
  }

  /**
   * @param mediaType of the document itself
   * @returns whether the registry lists it as a referrer of its subject (distribution-spec, `OCI-Subject`)
   * @throws DecoderError as `manifest`
   */
  async putManifest(reference: string, bytes: Uint8Array, mediaType: string): Promise<boolean> {
    const attempted = await this.send({
      method: "PUT",
      to: this.#manifestPath(reference),
      headers: { "Content-Type": mediaType },
      body: { bytes },
      scopes: this.scopes,
      answerMs: SYSTEM_LIMITS.registryCommitMs,
    });
    const isEncrypted = Buffer.from(bytes).includes("+encrypted");
    const what = parseDigest(reference) === undefined ? "the manifest" : `the manifest ${reference}`;
    const response = await this.expect(attempted, [200, 201, 202, 204], {
      what,
      action: "push",
      isEncrypted,
    });
    await response.discard();
    this.checkStored(response, digestOf(bytes), what);
    return response.header("oci-subject") !== undefined;
  }

  /** Compares what a registry says that it has stored. @throws DecoderError DIGEST_MISMATCH */
  checkStored(response: HttpResponse, digest: string, what: string): void {
    const stored = response.header("docker-content-digest");
    // Some registries store other algorithms' blobs under their SHA-256.
    if (
      stored === undefined ||
      stored === digest ||
      parseDigest(stored)?.algorithm !== parseDigest(digest)?.algorithm
    )
      return;
    throw new DecoderError(
      "DIGEST_MISMATCH",
      `${this.#options.host.name} stored ${what} under another digest than it has`,
    );
  }

  /** The first tags of the repository, for hints. Empty when they can't be had. */
  async tags(): Promise<string[]> {
    try {
      const { response } = await this.send({
        method: "GET",
        to: this.path("tags/list?n=1000"),
        scopes: this.scopes,
      });
      const bytes = await response.read(SYSTEM_LIMITS.tagListBytes);
      const tags = response.status === 200 ? parseJsonObject(bytes)?.["tags"] : undefined;
      return Array.isArray(tags) ? tags.filter(isTag) : [];
    } catch {
      return [];
    }
  }

  /** The credentials that were found, whether or not they were needed yet. */
  search(): Promise<CredentialSearch> {
    return this.session.search();
  }

  /** The same repository as data for other threads. */
  async remote(id: string): Promise<RemoteRepository> {
    const { repository, access, environment, attempts = SYSTEM_LIMITS.registryAttempts } = this.#options;
    const { challenge } = this.session;
    return {
      id,
      host: this.session.host,
      ...(challenge && { challenge }),
      repository,
      access,
      attempts,
      environment: connectionEnvironment(environment),
      search: await plainSearch(() => this.search()),
    };
  }

  async close(): Promise<void> {
    await this.session.close();
  }

  get scopes(): readonly string[] {
    const { repository, access, mountFrom = [] } = this.#options;
    const actions = access === "push" ? "pull,push" : "pull";
    return [
      `repository:${repository}:${actions}`,
      ...mountFrom.filter((name) => name !== repository).map((name) => `repository:${name}:pull`),
    ];
  }

  path(below: string): string {
    return `${this.#options.repository}/${below}`;
  }

  /** @throws DecoderError BAD_DESCRIPTOR for what an index may call a digest, and what leads elsewhere: "sha256:/../../x" */
  #manifestPath(reference: string): string {
    if (REFERENCE.test(reference)) return this.path(`manifests/${reference}`);
    throw new DecoderError(
      "BAD_DESCRIPTOR",
      `not a tag or digest: ${JSON.stringify(reference.slice(0, SHOWN_CHARS))}`,
    );
  }

  send(request: SessionRequest): Promise<Attempted> {
    return this.session.send(request);
  }

  /** @throws DecoderError when the answer is none of those that were expected */
  async expect(
    attempted: Attempted,
    statuses: readonly number[],
    purpose: Purpose,
  ): Promise<Attempted["response"]> {
    if (statuses.includes(attempted.response.status)) return attempted.response;
    throw await this.refusal(attempted, purpose);
  }

  async refusal(
    attempted: Attempted,
    { what, action = "read", isEncrypted = false }: Purpose,
  ): Promise<DecoderError> {
    const { challenge } = this.session;
    return await refusal(attempted, {
      host: this.#options.host.name,
      target: this.target,
      plainHttpAdvice: this.session.plainHttpAdvice,
      isElsewhere: attempted.response.url.host !== new URL(this.session.host.api).host,
      what,
      action,
      search: challenge === undefined ? { lookedIn: [], unreadable: [] } : await this.search(),
      hasToken: challenge?.scheme === "bearer",
      isEncrypted,
    });
  }

  async manifestRequest(method: "GET" | "HEAD", reference: string): Promise<Attempted> {
    return await this.send({
      method,
      to: this.#manifestPath(reference),
      headers: { Accept: ACCEPT },
      scopes: this.scopes,
      ...(method === "GET" && { readsAhead: LIMITS.manifestBytes + 1 }),
    });
  }
}

/** "tag v9", "digest sha256:…" */
function describeReference(reference: string): string {
  return parseDigest(reference) === undefined ? `tag ${reference}` : `manifest ${reference}`;
}
