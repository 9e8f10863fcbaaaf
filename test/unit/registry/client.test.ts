import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClientOptions, RegistryClient } from "../../../src/registry/client.ts";
import { download } from "../../../src/registry/download.ts";
import { openClient } from "../../../src/registry/open.ts";
import { listReferrers } from "../../../src/registry/referrers-list.ts";
import { Upload, uploading } from "../../../src/registry/upload.ts";
import { sha256 } from "../../support/images.ts";
import { end, fail, type Intercept, TestRegistry } from "../../support/registry.ts";

const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
const MANIFEST = { schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [] };

let registry: TestRegistry;
let clients: RegistryClient[] = [];

beforeEach(async () => {
  registry = await TestRegistry.start();
});

afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  clients = [];
  await registry.stop();
});

function client(options: Partial<ClientOptions> = {}): RegistryClient {
  const name = { registry: registry.host, repository: "app" };
  const made = openClient(name, { environment: {}, plainHttp: true }, { access: "push", ...options });
  clients.push(made);
  return made;
}

const failing = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

async function* pieces(bytes: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe("manifests", () => {
  it("are read with their type and digest, and asked for in every form but Docker's first", async () => {
    const digest = registry.addManifest("app", "v1", MANIFEST, `${OCI_MANIFEST}; charset=utf-8`);
    const found = await client().manifest("v1");
    expect(found).toMatchObject({ digest, mediaType: OCI_MANIFEST, size: found.bytes.length });
    expect(registry.seen[0]?.headers.accept).toBe(
      `${OCI_INDEX}, ${OCI_MANIFEST}, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json`,
    );
  });

  it("are known by their fields where the registry does not say what they are", async () => {
    registry.addManifest("app", "a", { schemaVersion: 2, manifests: [] }, "application/json");
    registry.addManifest("app", "b", { schemaVersion: 2, layers: [] }, "text/plain");
    registry.addManifest("app", "c", { schemaVersion: 2, layers: [], manifests: [] }, "application/json");
    expect((await client().manifest("a")).mediaType).toBe(OCI_INDEX);
    expect((await client().manifest("b")).mediaType).toBe(OCI_MANIFEST);
    await expect(client().manifest("c")).rejects.toEqual(failing("BAD_IMAGE", /whether/));
  });

  it.each([
    [
      "of Docker's first schema, by type",
      { schemaVersion: 2 },
      "application/vnd.docker.distribution.manifest.v1+prettyjws",
      /schema 1/,
    ],
    ["of Docker's first schema, by content", { schemaVersion: 1 }, "application/json", /schema 1/],
    ["with two types", MANIFEST, OCI_INDEX, /ambiguous/],
    ["that are a web page", {}, "text/html", /web page/],
  ])("%s are refused", async (_title, document, type, message) => {
    registry.addManifest("app", "v1", document, type);
    await expect(client().manifest("v1")).rejects.toEqual(failing("BAD_IMAGE", message));
  });

  it("must have the digest that they are asked by", async () => {
    const digest = registry.addManifest("app", "v1", MANIFEST, OCI_MANIFEST);
    registry.manifests.set(`app ${digest}`, { bytes: Buffer.from("{}"), mediaType: OCI_MANIFEST });
    await expect(client().manifest(digest)).rejects.toEqual(failing("DIGEST_MISMATCH", /other bytes/));
  });

  it("must have the digest that the registry states", async () => {
    registry.intercept = (_request, response) => {
      response.writeHead(200, {
        "Content-Type": OCI_MANIFEST,
        "Docker-Content-Digest": sha256(Buffer.from("x")),
      });
      response.end(JSON.stringify(MANIFEST));
      return true;
    };
    await expect(client().manifest("v1")).rejects.toEqual(failing("DIGEST_MISMATCH", /other bytes/));
  });

  it("are read as far as the limit and no further", async () => {
    let sent = 0;
    registry.intercept = (_request, response) => {
      response.writeHead(200, { "Content-Type": OCI_MANIFEST });
      const chunk = Buffer.alloc(1 << 20);
      const more = () => {
        while (!response.destroyed && response.write(chunk)) sent += chunk.length;
        sent += chunk.length;
      };
      response.on("drain", more);
      more();
      return true;
    };
    await expect(client().manifest("v1")).rejects.toEqual(failing("LIMIT", /4194304/));
    expect(sent).toBeLessThan(64 << 20);
  });

  it.each<[string, (asking: RegistryClient) => Promise<unknown>]>([
    ["to be read", (asking) => asking.manifest("v1")],
    ["to be resolved", (asking) => asking.find("v1")],
    ["as a list of referrers", (asking) => listReferrers(asking, sha256(Buffer.from("image")))],
  ])("%s are asked for again where the answer breaks off", async (_title, ask) => {
    registry.addManifest("app", "v1", MANIFEST, OCI_MANIFEST);
    let cuts = 0;
    registry.intercept = ({ method }, response) => {
      // Without a digest in the answer to HEAD, the manifest itself is read.
      if (method === "HEAD") response.writeHead(200).end();
      if (method === "HEAD" || cuts === 1) return method === "HEAD";
      cuts += 1;
      response.writeHead(200, { "Content-Type": OCI_MANIFEST, "Content-Length": 100 });
      response.write("{", () => response.destroy());
      return true;
    };
    await ask(client());
    expect(cuts).toBe(1);
  });

  it.each(["sha256:/../../../other/manifests/v1", "v1?x", "v1#", "%2e%2e", "..", ""])(
    "are not asked for as %j",
    async (reference) => {
      const bytes = Buffer.from(JSON.stringify(MANIFEST));
      const refused = failing("BAD_DESCRIPTOR", /^not a tag or digest: "/);
      await expect(client().manifest(reference)).rejects.toEqual(refused);
      await expect(client().putManifest(reference, bytes, OCI_MANIFEST)).rejects.toEqual(refused);
      expect(registry.seen).toEqual([]);
    },
  );

  it("of too many values are not parsed", async () => {
    registry.addManifest("app", "v1", { ...MANIFEST, more: Array(131_072).fill(0) }, OCI_MANIFEST);
    await expect(client().manifest("v1")).rejects.toEqual(
      failing("LIMIT", /app's tag v1 has more than 131072 values$/),
    );
  });

  it("that are not there are NOT_FOUND to read and undefined to find", async () => {
    await expect(client().manifest("v9")).rejects.toEqual(failing("NOT_FOUND", /app has no tag v9/));
    expect(await client().find("v9")).toBeUndefined();
  });

  it("are put with their own type", async () => {
    const bytes = Buffer.from(JSON.stringify(MANIFEST));
    await client().putManifest("v2", bytes, OCI_MANIFEST);
    expect(registry.manifests.get("app v2")).toEqual({ bytes, mediaType: OCI_MANIFEST });
  });

  it("must be stored under their own digest", async () => {
    const bytes = Buffer.from(JSON.stringify(MANIFEST));
    const storedAs = (digest: string) => {
      registry.intercept = (_request, response) => {
        response.setHeader("Docker-Content-Digest", digest);
        end(response, 201);
        return true;
      };
      return client().putManifest("v2", bytes, OCI_MANIFEST);
    };
    await storedAs(sha256(bytes));
    await storedAs(`sha512:${"0".repeat(128)}`);
    await expect(storedAs(sha256(Buffer.from("other")))).rejects.toEqual(
      failing("DIGEST_MISMATCH", /^127\.0\.0\.1:\d+ stored the manifest under another digest than it has$/),
    );
  });

  it.each([
    [400, "MANIFEST_INVALID", "REGISTRY"],
    [403, "DENIED", "UNAUTHORIZED"],
    [415, "UNSUPPORTED", "REGISTRY"],
  ])("with encrypted layers that are refused with %i come with a hint", async (status, said, code) => {
    registry.intercept = (_request, response) => {
      fail(response, status, said, "invalid media type");
      return true;
    };
    const bytes = Buffer.from(
      JSON.stringify({ layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+encrypted" }] }),
    );
    await expect(client().putManifest("v2", bytes, OCI_MANIFEST)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(`${said}: invalid media type$`),
      hint: "some registries take no encrypted layers; this one may be one of them",
    });
  });
});

describe("blobs", () => {
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
  const blob = { digest: sha256(bytes), size: bytes.length };

  beforeEach(() => {
    registry.addBlob("app", bytes);
  });

  it("are whole where only the end of the answer is missing", async () => {
    registry.intercept = ({ method, headers }, response) => {
      if (method !== "GET" || headers.range !== undefined) return false;
      response.writeHead(200, { "Transfer-Encoding": "chunked" });
      response.write(bytes, () => response.destroy());
      return true;
    };
    expect(await collect(download(client(), blob))).toEqual(bytes);
    expect(registry.seen).toHaveLength(1);
  });

  it("are downloaded", async () => {
    expect(await collect(download(client(), blob))).toEqual(bytes);
  });

  it("go on where the connection broke, at the registry", async () => {
    const ranges: (string | undefined)[] = [];
    registry.intercept = (request, response) => {
      ranges.push(request.headers.range);
      if (ranges.length > 2) return false;
      const start = Number(/\d+/.exec(request.headers.range ?? "0")?.[0]);
      response.writeHead(start === 0 ? 200 : 206, {
        "Content-Length": bytes.length - start,
        ...(start > 0 && { "Content-Range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
      });
      response.write(bytes.subarray(start, start + 100_000), () => response.destroy());
      return true;
    };
    expect(await collect(download(client(), blob))).toEqual(bytes);
    expect(ranges).toEqual([undefined, "bytes=100000-", "bytes=200000-"]);
  });

  it("are read again from the start where the registry ignores Range", async () => {
    let count = 0;
    registry.intercept = (_request, response) => {
      count += 1;
      response.writeHead(200, { "Content-Length": bytes.length });
      if (count === 1) response.write(bytes.subarray(0, 100_000), () => response.destroy());
      else response.end(bytes);
      return true;
    };
    expect(await collect(download(client(), blob))).toEqual(bytes);
    expect(count).toBe(2);
  });

  it("are given up when another part comes than was asked for", async () => {
    let count = 0;
    registry.intercept = (_request, response) => {
      count += 1;
      if (count === 1) {
        response.writeHead(200, { "Content-Length": bytes.length });
        response.write(bytes.subarray(0, 100_000), () => response.destroy());
      } else {
        response.writeHead(206, { "Content-Range": `bytes 99999-${bytes.length - 1}/${bytes.length}` });
        response.end(bytes.subarray(99_999));
      }
      return true;
    };
    await expect(collect(download(client(), blob))).rejects.toEqual(failing("REGISTRY", /another part/));
  });

  it.each([-1, 1])("of another length (%i) are refused at once", async (difference) => {
    const other = { ...blob, size: blob.size + difference };
    const chunks = download(client(), other);
    await expect(chunks.next()).rejects.toEqual(failing("SIZE_MISMATCH", /300000 bytes, not the/));
  });

  it("are named like their layer in errors", async () => {
    const other = { digest: blob.digest, size: bytes.length + 1 };
    await expect(collect(download(client(), other, "layer 2"))).rejects.toEqual(
      failing("SIZE_MISMATCH", new RegExp(`^layer 2 \\(${blob.digest}\\) has 300000 bytes`)),
    );
  });

  it("without a stated length end after the promised bytes", async () => {
    registry.intercept = (_request, response) => {
      response.writeHead(200);
      response.write(bytes);
      response.end("more");
      return true;
    };
    await expect(collect(download(client(), blob))).rejects.toEqual(
      failing("SIZE_MISMATCH", /more than 300000/),
    );
  });

  it("that are small are checked against their digest", async () => {
    expect(await client().blob(blob.digest, 1 << 20)).toEqual(bytes);
    await expect(client().blob(blob.digest, 1000)).rejects.toEqual(failing("LIMIT", /1000/));
    registry.blobs.set(`app ${blob.digest}`, Buffer.from("other"));
    await expect(client().blob(blob.digest, 1000)).rejects.toEqual(failing("DIGEST_MISMATCH", /other bytes/));
  });

  it("that are small are asked for again where the answer breaks off", async () => {
    registry.intercept = (_request, response) => {
      if (registry.seen.length > 1) return false;
      response.writeHead(200, { "Content-Length": bytes.length });
      response.write(bytes.subarray(1000), () => response.destroy());
      return true;
    };
    expect(await client().blob(blob.digest, 1 << 20)).toEqual(bytes);
  });

  it("are asked for as they are, not compressed", async () => {
    await client().blob(blob.digest, 1 << 20);
    expect(registry.seen[0]?.headers["accept-encoding"]).toBe("identity");
  });

  it("are fetched from where the registry leads", async () => {
    const store = await TestRegistry.start();
    store.intercept = (_request, response) => {
      end(response, 200, bytes);
      return true;
    };
    registry.intercept = (_request, response) => {
      response.writeHead(307, { Location: `${store.origin}/signed?x=1` }).end();
      return true;
    };
    try {
      expect(await client().blob(blob.digest, 1 << 20)).toEqual(bytes);
      expect(store.seen[0]?.path).toBe("/signed?x=1");
    } finally {
      await store.stop();
    }
  });

  it.each([401, 403])(
    "that another server refuses with %i are not refused by the registry",
    async (status) => {
      const store = await TestRegistry.start();
      store.intercept = (_request, response) => {
        fail(response, status, "AccessDenied", "expired");
        return true;
      };
      registry.intercept = (_request, response) => {
        response.writeHead(307, { Location: `${store.origin}/signed?x=1` }).end();
        return true;
      };
      try {
        await expect(client().blob(blob.digest, 1 << 20)).rejects.toMatchObject({
          code: "REGISTRY",
          message: `${store.host}, to which ${registry.host} leads for blob ${blob.digest}, answered ${status}: AccessDenied: expired`,
        });
      } finally {
        await store.stop();
      }
    },
  );

  it("are not followed in circles", async () => {
    registry.intercept = (request, response) => {
      response.writeHead(302, { Location: request.url }).end();
      return true;
    };
    await expect(client().blob(blob.digest, 1000)).rejects.toEqual(
      failing("REGISTRY", /redirects more than 10 times/),
    );
    expect(registry.seen).toHaveLength(11);
  });
});

describe("uploads", () => {
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 253));
  const digest = sha256(bytes);
  const send = async (upload: Upload) => {
    await upload.send({ chunks: pieces(bytes), size: bytes.length });
    await upload.commit(digest);
  };

  it("are one POST, one PATCH with the length, and one PUT", async () => {
    await uploading(client(), "layer 0", send);
    expect(registry.blobs.get(`app ${digest}`)).toEqual(bytes);
    expect(registry.seen.map(({ method }) => method)).toEqual(["POST", "PATCH", "PUT"]);
    expect(registry.seen[1]?.headers).toMatchObject({
      "content-length": "100000",
      "content-type": "application/octet-stream",
    });
    expect(registry.seen[2]?.headers["content-type"]).toBe("application/octet-stream");
  });

  it("go out in chunks when the length is not known", async () => {
    await uploading(client(), "layer 0", async (upload) => {
      await upload.send({ chunks: pieces(bytes) });
      await upload.commit(digest);
    });
    expect(registry.blobs.get(`app ${digest}`)).toEqual(bytes);
    expect(registry.seen[1]?.headers["transfer-encoding"]).toBe("chunked");
  });

  it("begin again when the connection breaks", async () => {
    let patches = 0;
    registry.intercept = (request) => {
      if (request.method !== "PATCH") return false;
      patches += 1;
      if (patches > 1) return false;
      request.once("data", () => request.destroy());
      return true;
    };
    let attempts = 0;
    await uploading(client(), "layer 0", async (upload) => {
      attempts += 1;
      await send(upload);
    });
    expect(attempts).toBe(2);
    expect(registry.blobs.get(`app ${digest}`)).toEqual(bytes);
  });

  it("arrive where no connection takes a second request, although the registry says so of none", async () => {
    const used = new Set<object>();
    registry.intercept = ({ socket }) => {
      const isSecond = used.has(socket);
      used.add(socket);
      if (isSecond) socket.destroy();
      return isSecond;
    };
    await uploading(client(), "layer 0", send);
    expect(registry.blobs.get(`app ${digest}`)).toEqual(bytes);
  });

  it("do not try the other kept connections of a registry that ended one", async () => {
    registry.addManifest("app", "v1", MANIFEST, OCI_MANIFEST);
    const used = new Set<object>();
    let ended = 0;
    registry.intercept = ({ socket }) => {
      const isSecond = used.has(socket);
      used.add(socket);
      if (!isSecond) return false;
      ended += 1;
      socket.destroy();
      return true;
    };
    const reader = client();
    await Promise.all([1, 2, 3].map(() => reader.manifest("v1")));
    expect(used.size).toBe(3);
    await uploading(reader, "layer 0", send);
    expect(ended).toBe(1);
  });

  it("are given up after three breaks, with what was sent", async () => {
    registry.intercept = (request) => {
      if (request.method !== "PATCH") return false;
      request.once("data", () => request.destroy());
      return true;
    };
    const run = uploading(client(), "layer 2", send);
    await expect(run).rejects.toMatchObject({
      code: "REGISTRY",
      message: expect.stringMatching(
        /^the connection to 127\.0\.0\.1:\d+ broke after .* of layer 2, 3 times$/,
      ),
      hint: "a proxy may limit time or size",
    });
  });

  it("are not begun again when their bytes can't be made", async () => {
    const broken = async function* () {
      yield bytes.subarray(0, 1000);
      throw new Error("no more");
    };
    let attempts = 0;
    const run = uploading(client(), "layer 0", async (upload) => {
      attempts += 1;
      await upload.send({ chunks: broken() });
    });
    await expect(run).rejects.toThrow("no more");
    expect(attempts).toBe(1);
    expect(registry.blobs.has(`app ${digest}`)).toBe(false);
  });

  it("are not accepted before the verdict on their bytes, whatever the registry has answered by then", async () => {
    const doubtful = async function* () {
      yield bytes;
      await new Promise((resolve) => setTimeout(resolve, 300));
      throw new Error("the HMAC is wrong");
    };
    const run = uploading(client(), "layer 0", async (upload) => {
      await upload.send({ chunks: doubtful(), size: bytes.length });
      await upload.commit(digest);
    });
    await expect(run).rejects.toThrow("the HMAC is wrong");
    expect(registry.blobs.has(`app ${digest}`)).toBe(false);
  });

  it("are an error where the registry accepts what it did not get", async () => {
    registry.intercept = (request, response) => {
      if (request.method !== "PATCH") return false;
      response.writeHead(202, { Location: "/v2/app/blobs/uploads/1" }).end();
      return true;
    };
    const endless = async function* () {
      for (;;) {
        yield bytes;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    const run = uploading(client(), "layer 0", (upload) => upload.send({ chunks: endless(), size: 1 << 30 }));
    await expect(run).rejects.toEqual(failing("REGISTRY", /accepted a body before it was all sent/));
  });

  it("that are not finished leave nothing behind", async () => {
    const run = uploading(client(), "layer 0", async (upload) => {
      await upload.send({ chunks: pieces(bytes), size: bytes.length });
      throw new Error("the HMAC is wrong");
    });
    await expect(run).rejects.toThrow("the HMAC is wrong");
    expect(registry.openUploads).toBe(0);
    expect(registry.log.at(-1)).toMatch(/^DELETE /);
  });

  it("are refused when fewer bytes come than were announced", async () => {
    const run = uploading(client(), "layer 0", (upload) =>
      upload.send({ chunks: pieces(bytes), size: bytes.length + 1 }),
    );
    await expect(run).rejects.toEqual(failing("SIZE_MISMATCH", /the body has 100000 bytes, not the 100001/));
  });

  it("keep the address's own query as it is", async () => {
    registry.intercept = (request, response) => {
      if (request.method === "POST")
        response.writeHead(202, { Location: "/v2/app/blobs/uploads/1?_state=a%2Bb/=+c" }).end();
      else request.resume().on("end", () => end(response, request.method === "PUT" ? 201 : 202));
      return true;
    };
    await uploading(client(), "layer 0", send);
    expect(registry.seen.at(-1)?.path).toBe(
      `/v2/app/blobs/uploads/1?_state=a%2Bb/=+c&digest=${encodeURIComponent(digest)}`,
    );
  });

  it("are committed once, even when the answer is lost", async () => {
    let puts = 0;
    registry.intercept = (request, response) => {
      if (request.method !== "PUT") return false;
      puts += 1;
      if (puts > 1) fail(response, 404, "BLOB_UPLOAD_UNKNOWN");
      else {
        registry.addBlob("app", bytes);
        request.destroy();
      }
      return true;
    };
    await uploading(client(), "layer 0", send);
    expect(puts).toBe(2);
  });

  it("are replaced by a mount where the registry has the blob", async () => {
    registry.addBlob("base", bytes);
    expect(await Upload.mount(client({ mountFrom: ["base"] }), digest, "base")).toBe("mounted");
    expect(registry.blobs.get(`app ${digest}`)).toEqual(bytes);
  });

  it("use what was begun instead of a mount, once", async () => {
    const begun = await Upload.mount(client({ mountFrom: ["base"] }), digest, "base");
    if (!(begun instanceof Upload)) throw new Error("it was mounted");
    await uploading(client(), "layer 0", send, begun.location);
    expect(registry.seen.map(({ method }) => method)).toEqual(["POST", "PATCH", "PUT"]);
    registry.seen.length = 0;
    await uploading(client(), "layer 0", send, begun.location);
    expect(registry.seen.map(({ method }) => method)).toEqual(["PATCH", "DELETE", "POST", "PATCH", "PUT"]);
    expect(registry.openUploads).toBe(0);
  });

  it.each([401, 403, 404, 405, 500])(
    "are not hindered by a mount that is refused with %i",
    async (status) => {
      registry.intercept = (request, response) => {
        if (!request.url?.includes("mount=")) return false;
        response.setHeader("WWW-Authenticate", "Basic realm=x");
        fail(response, status, "DENIED");
        return true;
      };
      expect(await Upload.mount(client(), digest, "base")).toBeUndefined();
    },
  );

  it.each<[string, Intercept]>([
    ["a broken connection", ({ socket }) => Boolean(socket.destroy())],
    ["an upload without an address", (_request, response) => Boolean(response.writeHead(202).end())],
  ])("are not hindered by a mount that ends in %s", async (_title, answer) => {
    registry.intercept = (request, response) =>
      request.url?.includes("mount=") === true && answer(request, response);
    expect(await Upload.mount(client(), digest, "base")).toBeUndefined();
  });

  it("stop at an interruption, also while a mount is asked for", async () => {
    const controller = new AbortController();
    registry.intercept = () => {
      controller.abort();
      return true;
    };
    const run = Upload.mount(client({ signal: controller.signal }), digest, "base");
    await expect(run).rejects.toEqual(failing("INTERRUPTED", /interrupted/));
  });

  it("are too large where the registry says so", async () => {
    registry.intercept = (request, response) => {
      if (request.method !== "PATCH") return false;
      request.resume().on("end", () => fail(response, 413, ""));
      return true;
    };
    await expect(uploading(client(), "layer 1", send)).rejects.toEqual(
      failing("REGISTRY", /layer 1 is larger than/),
    );
  });
});

describe("referrers", () => {
  const subject = { mediaType: OCI_MANIFEST, digest: sha256(Buffer.from("image")), size: 5 };
  const referrer = { ...MANIFEST, artifactType: "application/x.signature", subject };

  it("are asked of the registry", async () => {
    await registry.stop();
    registry = await TestRegistry.start({ referrers: true });
    const digest = registry.addManifest("app", "s", referrer, OCI_MANIFEST);
    expect(await listReferrers(client(), subject.digest)).toMatchObject([{ digest }]);
    expect(await listReferrers(client(), subject.digest, "application/x.signature")).toMatchObject([
      { digest },
    ]);
    expect(await listReferrers(client(), subject.digest, "application/x.other")).toEqual([]);
  });

  it("are read from the fallback tag where there is no such API", async () => {
    const entry = { mediaType: OCI_MANIFEST, digest: sha256(Buffer.from("sig")), size: 3 };
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entry, { digest: "../x" }, 7] };
    registry.addManifest("app", subject.digest.replace(":", "-"), index, OCI_INDEX);
    expect(await listReferrers(client(), subject.digest)).toEqual([entry]);
  });

  it("are read page by page", async () => {
    const entries = ["a", "b"].map((text) => ({
      mediaType: OCI_MANIFEST,
      digest: sha256(Buffer.from(text)),
      size: 1,
    }));
    registry.intercept = (request, response) => {
      const page = request.url?.includes("page=2") ? 1 : 0;
      response.setHeader("Content-Type", OCI_INDEX);
      if (page === 0) response.setHeader("Link", `<${request.url}?page=2>; rel="next"`);
      end(response, 200, Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [entries[page]] })));
      return true;
    };
    expect(await listReferrers(client(), subject.digest)).toEqual(entries);
  });

  it("are none where neither is there", async () => {
    expect(await listReferrers(client(), subject.digest)).toEqual([]);
  });
});

describe("answers that pass", () => {
  it.each([408, 429, 500, 502, 503, 504, 522])("%i is tried again", async (status) => {
    registry.addManifest("app", "v1", MANIFEST, OCI_MANIFEST);
    let count = 0;
    registry.intercept = (_request, response) => {
      count += 1;
      if (count > 2) return false;
      response.setHeader("Retry-After", "0");
      end(response, status);
      return true;
    };
    await client().manifest("v1");
    expect(count).toBe(3);
  });

  it.each([400, 404, 410, 501])("%i is not", async (status) => {
    registry.intercept = (_request, response) => {
      end(response, status);
      return true;
    };
    await expect(client().manifest("v1")).rejects.toThrow();
    expect(registry.seen).toHaveLength(1);
  });

  it("are waited for five times", async () => {
    registry.intercept = (_request, response) => {
      response.setHeader("Retry-After", "0");
      end(response, 503);
      return true;
    };
    await expect(client().manifest("v1")).rejects.toEqual(
      failing("REGISTRY", /^127\.0\.0\.1:\d+ answered 503, 5 times$/),
    );
  });

  it("are as many as --retry-times says, and one", async () => {
    registry.intercept = (_request, response) => {
      response.setHeader("Retry-After", "0");
      end(response, 503);
      return true;
    };
    const name = { registry: registry.host, repository: "app" };
    const asking = openClient(name, { environment: {}, plainHttp: true, retries: 1 }, { access: "pull" });
    clients.push(asking);
    await expect(asking.manifest("v1")).rejects.toEqual(failing("REGISTRY", /answered 503, 2 times$/));
    expect(registry.seen).toHaveLength(2);
  });

  it("are not waited for longer than a minute", async () => {
    registry.intercept = (_request, response) => {
      response.setHeader("Retry-After", "3600");
      fail(response, 429, "TOOMANYREQUESTS", "pull rate limit");
      return true;
    };
    await expect(client().manifest("v1")).rejects.toMatchObject({
      message: expect.stringMatching(/allows no more requests for now: TOOMANYREQUESTS: pull rate limit$/),
      hint: "try again in 3600 s; logged-in users may have more",
    });
    expect(registry.seen).toHaveLength(1);
  });

  it("come with the wait that is asked for, if there is any", async () => {
    registry.intercept = (_request, response) => {
      response.setHeader("Retry-After", "0");
      fail(response, 429, "TOOMANYREQUESTS");
      return true;
    };
    await expect(client().manifest("v1")).rejects.toMatchObject({
      hint: "try again later; logged-in users may have more",
    });
  });

  it("a connection that breaks is made again", async () => {
    registry.addManifest("app", "v1", MANIFEST, OCI_MANIFEST);
    let count = 0;
    registry.intercept = (request) => {
      count += 1;
      if (count === 1) request.socket.destroy();
      return count === 1;
    };
    await client().manifest("v1");
    expect(count).toBe(2);
  });

  it("a refused connection is not", async () => {
    const lonely = client();
    await registry.stop();
    await expect(lonely.manifest("v1")).rejects.toEqual(failing("REGISTRY", /the connection was refused/));
    registry = await TestRegistry.start();
  });
});

describe("what a registry says", () => {
  it("is shown without its details, as one line each of three", async () => {
    registry.intercept = (_request, response) => {
      const errors = ["A", "B", "C", "D"].map((code) => ({
        code,
        message: code.toLowerCase(),
        detail: "secret",
      }));
      end(response, 400, Buffer.from(JSON.stringify({ errors })));
      return true;
    };
    await expect(client().manifest("v1")).rejects.toEqual(failing("REGISTRY", /: A: a; B: b; C: c$/));
  });

  it("as a warning is passed on once", async () => {
    registry.addManifest("app", "v1", MANIFEST, OCI_MANIFEST);
    registry.intercept = (_request, response) => {
      response.setHeader("Warning", [
        '299 - "this registry \\"moves\\""',
        '110 - "stale"',
        '299 - "soon, at 9"',
      ]);
      return false;
    };
    const warnings: string[] = [];
    const asking = client({ onWarning: (text) => warnings.push(text) });
    await asking.manifest("v1");
    await asking.manifest("v1");
    expect(warnings).toEqual(['this registry "moves"', "soon, at 9"]);
  });

  it("is not waited for once the client is closed, not even for the TLS handshake", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    const accepted = once(server, "connection");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const asking = openClient(
      { registry: `127.0.0.1:${port}`, repository: "app" },
      { environment: {}, retries: 0 },
      { access: "pull" },
    );
    const run = asking.manifest("v1");
    run.catch(() => undefined);
    const [socket] = await accepted;
    socket.resume();
    await Promise.all([once(socket, "close"), asking.close()]);
    await expect(run).rejects.toEqual(failing("REGISTRY", /the connection broke/));
    server.close();
  });

  it("is not asked for again once the client is closed", async () => {
    const asked = Promise.withResolvers<void>();
    registry.intercept = (_request, response) => {
      response.setHeader("Retry-After", "1");
      response.on("finish", asked.resolve);
      end(response, 503);
      return true;
    };
    const closing = client();
    const manifest = closing.manifest("v1");
    manifest.catch(() => undefined);
    await asked.promise;
    await closing.close();
    await expect(manifest).rejects.toMatchObject({ code: expect.stringMatching(/INTERRUPTED|REGISTRY/) });
    expect(registry.seen).toHaveLength(1);
  });

  it("is not downloaded further once the client is closed", async () => {
    registry.intercept = (_request, response) => {
      response.writeHead(200, { "Content-Length": "1000" }).write("begin");
      setTimeout(() => response.destroy(), 50);
      return true;
    };
    const closing = client();
    const chunks = download(closing, { digest: sha256(Buffer.from("x")), size: 1000 });
    expect(await chunks.next()).toMatchObject({ value: Buffer.from("begin") });
    const next = chunks.next();
    next.catch(() => undefined);
    await closing.close();
    await expect(next).rejects.toEqual(failing("INTERRUPTED", /interrupted/));
    expect(registry.seen).toHaveLength(1);
  });

  it("can be stopped being waited for", async () => {
    registry.intercept = () => true;
    const controller = new AbortController();
    const run = client({ signal: controller.signal }).manifest("v1");
    setTimeout(() => controller.abort(), 50);
    await expect(run).rejects.toEqual(failing("INTERRUPTED", /interrupted/));
  });
});
