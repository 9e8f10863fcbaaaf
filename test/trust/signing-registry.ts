import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { sha256 } from "../support/images.ts";
import { signBytes, simplePayload, type TestSigner } from "../support/trust.ts";

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const CONFIG = "application/vnd.oci.image.config.v1+json";
const SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json";
const OTHER_DIGEST = `sha256:${"1".repeat(64)}`;

/**
 * A registry that has one image under every name. Who signed it, and as what, depends on the first part of its path:
 * `a` and `b` by that key, `ab` by both, `moved` another digest, `other` another name, and all else by nobody.
 */
export class SigningRegistry {
  readonly digest: string;
  /** Paths that were asked for. */
  readonly requests: string[] = [];
  /** Never answers while this is set. */
  isSilent = false;
  readonly #server: Server;
  readonly #signers: { readonly a: TestSigner; readonly b: TestSigner };
  readonly #blobs = new Map<string, Buffer>();
  readonly #manifest: Buffer;

  private constructor(signers: { readonly a: TestSigner; readonly b: TestSigner }) {
    this.#signers = signers;
    const config = Buffer.from(
      JSON.stringify({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } }),
    );
    this.#manifest = manifestOf(this.#descriptor(CONFIG, config), []);
    this.digest = sha256(this.#manifest);
    this.#server = createServer((request, response) => {
      this.requests.push(request.url ?? "");
      if (this.isSilent) return;
      const { status, type = "application/json", body } = this.#answer(request.url ?? "");
      response.writeHead(status, { "Content-Type": type, "Content-Length": body.length });
      response.end(request.method === "HEAD" ? undefined : body);
    });
  }

  static async start(signers: { readonly a: TestSigner; readonly b: TestSigner }): Promise<SigningRegistry> {
    const registry = new SigningRegistry(signers);
    await new Promise<void>((resolve) => registry.#server.listen(0, "127.0.0.1", resolve));
    return registry;
  }

  /** `127.0.0.1:41234` */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(url: string): { status: number; type?: string; body: Buffer } {
    if (url === "/v2/") return { status: 200, body: Buffer.from("{}") };
    const [, path = "", kind, reference = ""] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(url) ?? [];
    if (kind === "blobs") {
      const body = this.#blobs.get(reference);
      return body === undefined ? missing : { status: 200, type: "application/octet-stream", body };
    }
    if (kind !== "manifests") return missing;
    if (/^\d$/.test(reference) || reference === this.digest)
      return { status: 200, type: MANIFEST, body: this.#manifest };
    if (reference !== `${this.digest.replace(":", "-")}.sig`) return missing;
    const signatures = this.#signatures(path);
    if (signatures.length === 0) return missing;
    const layers = signatures.map(([signer, payload]) => ({
      ...this.#descriptor(SIMPLE, payload),
      annotations: { "dev.cosignproject.cosign/signature": signBytes(signer, payload) },
    }));
    return {
      status: 200,
      type: MANIFEST,
      body: manifestOf(this.#descriptor(CONFIG, Buffer.from("{}")), layers),
    };
  }

  #signatures(path: string): readonly (readonly [TestSigner, Buffer])[] {
    const { a, b } = this.#signers;
    const name = `${this.address}/${path}`;
    const byA = [a, simplePayload(this.digest, `${name}:1`)] as const;
    // cosign leaves the tag out.
    const byB = [b, simplePayload(this.digest, name)] as const;
    switch (path.split("/")[0]) {
      case "a":
        return [byA];
      case "b":
        return [byB];
      case "ab":
        return [byB, byA];
      case "moved":
        return [[a, simplePayload(OTHER_DIGEST, `${name}:1`)]];
      case "other":
        return [[a, simplePayload(this.digest, `${this.address}/a/app:1`)]];
      default:
        return [];
    }
  }

  #descriptor(mediaType: string, bytes: Buffer) {
    const digest = sha256(bytes);
    this.#blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }
}

const missing = { status: 404, body: Buffer.from('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}') };

function manifestOf(config: object, layers: readonly object[]): Buffer {
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config, layers }));
}
