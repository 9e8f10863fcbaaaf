import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { certificatesFor, systemAuthorities } from "../../../src/registry/certificates.ts";
import type { RegistryClient } from "../../../src/registry/client.ts";
import { connectionError, cutOff } from "../../../src/registry/connection-error.ts";
import { download } from "../../../src/registry/download.ts";
import type { HttpResponse } from "../../../src/registry/http.ts";
import { openClient } from "../../../src/registry/open.ts";
import { parseReferrers } from "../../../src/registry/referrers.ts";
import { listReferrers } from "../../../src/registry/referrers-list.ts";
import { backoff, retrying } from "../../../src/registry/retry.ts";
import { TokenServer } from "../../../src/registry/tokens.ts";
import { Upload } from "../../../src/registry/upload.ts";
import { FakeTimers } from "../../support/fake-timers.ts";
import { sha256 } from "../../support/images.ts";
import { end, TestRegistry } from "../../support/registry.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const MiB = 1_048_576;
const folder = temporaryFolder();
const DIGEST = sha256(Buffer.from("image"));

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

function client(retries?: number): RegistryClient {
  const name = { registry: registry.host, repository: "app" };
  const options = { environment: {}, plainHttp: true, ...(retries !== undefined && { retries }) };
  const made = openClient(name, options, { access: "push" });
  clients.push(made);
  return made;
}

/** A JSON object of a size. Its last byte is its last brace. */
function sized(value: object, size: number): Buffer<ArrayBuffer> {
  const text = JSON.stringify(value);
  return Buffer.from(`${text.slice(0, -1).padEnd(size - 1)}}`);
}

function response(
  change: Partial<HttpResponse>,
  headers: Readonly<Record<string, string>> = {},
): HttpResponse {
  return {
    status: 200,
    url: new URL(registry.origin),
    header: (name) => headers[name],
    body: bodyOf(),
    read: async () => Buffer.of(),
    discard: async () => undefined,
    ...change,
  };
}

async function* bodyOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

const broken = () => connectionError(cutOff(), new URL(registry.origin));

async function* breaking(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
  throw broken();
}

describe("of an answer,", () => {
  test("1 MiB with a token is read, and no more", async () => {
    const granted = async (size: number) => {
      const bytes = sized({ token: "secret" }, size);
      const server = new TokenServer(
        async () => response({ read: async (most) => bytes.subarray(0, most) }),
        () => undefined,
      );
      const challenge = { scheme: "bearer", parameters: new Map([["realm", registry.origin]]) };
      const search = { lookedIn: [], unreadable: [] };
      return await server.fetch({
        challenge,
        api: new URL(registry.origin),
        scopes: [],
        search,
        target: "app",
      });
    };
    expect(await granted(MiB)).toMatchObject({ scopes: new Set() });
    await expect(granted(MiB + 1)).rejects.toThrow("answered without a token");
  });

  test("64 KiB with an error are read, and no more", async () => {
    const said = async (size: number) => {
      registry.intercept = (_request, response) => {
        end(response, 400, sized({ errors: [{ code: "A", message: "b" }] }, size));
        return true;
      };
      return await client()
        .manifest("v1")
        .catch(({ message }) => message);
    };
    expect(await said(65_536)).toMatch(/: A: b$/);
    expect(await said(65_537)).not.toMatch(/A: b/);
  });

  test("64 KiB with tags are read, and no more", async () => {
    const tags = async (size: number) => {
      registry.intercept = (_request, response) => {
        end(response, 200, sized({ tags: ["v1"] }, size));
        return true;
      };
      return await client().tags();
    };
    expect(await tags(65_536)).toEqual(["v1"]);
    expect(await tags(65_537)).toEqual([]);
  });

  test("64 referrers are taken, and pages are requested for no more", async () => {
    const entries = (count: number) => ({
      schemaVersion: 2,
      manifests: Array.from({ length: count }, (_, i) => ({
        mediaType: "a/b",
        digest: sha256(Buffer.from(String(i))),
        size: 1,
      })),
    });
    expect(parseReferrers(Buffer.from(JSON.stringify(entries(65))))).toHaveLength(64);
    const listed = async (count: number) => {
      registry.seen.length = 0;
      registry.intercept = (request, response) => {
        response.setHeader("Link", `<${request.url}>; rel="next"`);
        end(response, 200, Buffer.from(JSON.stringify(entries(count))));
        return true;
      };
      return [(await listReferrers(client(), DIGEST)).length, registry.seen.length];
    };
    expect(await listed(64)).toEqual([64, 1]);
    expect(await listed(63)).toEqual([64, 2]);
  });
});

describe("of a folder,", () => {
  const filled = (count: number, ending: string) => {
    const place = mkdtempSync(join(folder, "certificates-"));
    for (let i = 0; i < count; i++) writeFileSync(join(place, `${i}${ending}`), "");
    return place;
  };

  test("256 files of a registry are read, and no more", () => {
    expect(certificatesFor("host", {}, filled(256, ".crt")).authorities).toHaveLength(256);
    expect(() => certificatesFor("host", {}, filled(257, ".crt"))).toThrow(
      expect.objectContaining({ code: "LIMIT" }),
    );
  });

  test("1,024 certificates of the system are read, and no more", async () => {
    const [SSL_CERT_FILE, SSL_CERT_DIR] = [join(filled(1, ".pem"), "0.pem"), filled(1025, ".pem")];
    expect(await systemAuthorities({ SSL_CERT_FILE, SSL_CERT_DIR })).toHaveLength(1 + 1024);
  });
});

describe("a request", () => {
  test("is sent again after at most half a minute of our own accord", () => {
    const random = vi.spyOn(Math, "random").mockReturnValue(0.5);
    onTestFinished(() => random.mockRestore());
    expect([1, 6, 7, 100].map(backoff)).toEqual([500, 16_000, 30_000, 30_000]);
  });

  test("is sent again after a minute if the server asks for that, but not after longer", async () => {
    const asked = async (seconds: number) => {
      const controller = new AbortController();
      const discard = async () => controller.abort();
      const busy = response({ status: 503, discard }, { "retry-after": String(seconds) });
      return await retrying(async () => busy, { attempts: 2, signal: controller.signal });
    };
    // The wait has begun.
    await expect(asked(60)).rejects.toMatchObject({ code: "INTERRUPTED" });
    expect(await asked(61)).toMatchObject({ attempts: 1 });
  });

  const late = { status: "rejected", reason: expect.objectContaining({ code: "REGISTRY" }) };

  test("that stores a manifest may take five minutes", async () => {
    registry.intercept = () => true;
    const putting = client(0);
    const timers = new FakeTimers();
    const put = putting.putManifest("v1", Buffer.from("{}"), "a/b");
    // For the connection, the request, and the answer.
    await timers.started(3);
    expect(await timers.endOf(put, 300_000)).toEqual(late);
  });

  test("that ends an upload may take five minutes", async () => {
    const upload = await Upload.begin(client(0), "layer 0");
    registry.intercept = () => true;
    const timers = new FakeTimers();
    const committed = upload.commit(DIGEST);
    await timers.started(2);
    expect(await timers.endOf(committed, 300_000)).toEqual(late);
  });

  test("that gives an upload up may take two seconds", async () => {
    const upload = await Upload.begin(client(), "layer 0");
    registry.intercept = () => true;
    const aborting = new AbortController();
    const timeout = vi.spyOn(AbortSignal, "timeout").mockReturnValue(aborting.signal);
    onTestFinished(() => timeout.mockRestore());
    expect(await new FakeTimers().endOf(upload.cancel(), 2000)).toMatchObject({ status: "fulfilled" });
    expect(timeout.mock.calls).toEqual([[2000]]);
    aborting.abort();
  });
});

describe("a download that breaks", () => {
  const CHUNK = Buffer.alloc(MiB);
  let requests = 0;
  beforeEach(() => {
    requests = 0;
    // There is no wait between two attempts.
    const random = vi.spyOn(Math, "random").mockReturnValue(-2);
    onTestFinished(() => random.mockRestore());
  });

  /** @param answers the answer to each request for what begins at `start` */
  async function bytesOf(size: number, answers: (start: number) => HttpResponse): Promise<number> {
    const requestBlob: RegistryClient["requestBlob"] = async (_digest, { Range = "bytes=0-" }) => {
      requests += 1;
      return answers(Number(/\d+/.exec(Range)?.[0]));
    };
    const source = { requestBlob, session: {} } as unknown as RegistryClient;
    let bytes = 0;
    for await (const chunk of download(source, { digest: DIGEST, size })) bytes += chunk.length;
    return bytes;
  }

  test("is tried five times, unless it makes progress of 1 MiB", async () => {
    const size = 10 * MiB;
    const part = (start: number, chunk: Uint8Array) =>
      response(
        { status: 206, body: breaking(chunk) },
        { "content-range": `bytes ${start}-${size - 1}/${size}` },
      );
    expect(await bytesOf(size, (start) => part(start, CHUNK))).toBe(size);
    requests = 0;
    await expect(bytesOf(size, (start) => part(start, CHUNK.subarray(1)))).rejects.toThrow(/, 5 times: /);
    expect(requests).toBe(5);
  });

  test("continues after answers that hold less than was asked for, and does not call the blob too small", async () => {
    const size = 10 * MiB;
    const less = (start: number, chunk: Uint8Array, says: boolean) =>
      response(
        { status: 206, body: bodyOf(chunk) },
        {
          "content-range": `bytes ${start}-${start + chunk.length - 1}/${size}`,
          ...(says && { "content-length": String(chunk.length) }),
        },
      );
    const answers =
      (chunk: Uint8Array, says = true) =>
      (start: number) =>
        start === 0 ? response({ body: breaking(CHUNK) }) : less(start, chunk, says);
    expect(await bytesOf(size, answers(CHUNK))).toBe(size);
    expect(await bytesOf(size, answers(CHUNK, false))).toBe(size);
    await expect(bytesOf(size, answers(CHUNK.subarray(1)))).rejects.toThrow(
      /, 5 times: \S+ sent only a part of what was asked for$/,
    );
  });

  test("drops 64 MiB that come again, and no more", async () => {
    const again = async (extra: number) => {
      const start = [...Array<Uint8Array>(64).fill(CHUNK), Buffer.alloc(extra)];
      const whole = [...start, CHUNK];
      return await bytesOf(65 * MiB + extra, () =>
        response({ body: requests === 1 ? breaking(...start) : bodyOf(...whole) }),
      );
    };
    expect(await again(0)).toBe(65 * MiB);
    requests = 0;
    await expect(again(1)).rejects.toThrow("can't continue it");
  });
});
