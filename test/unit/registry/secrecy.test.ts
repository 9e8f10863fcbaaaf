import { X509Certificate } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { inspect } from "node:util";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { RegistryClient } from "../../../src/registry/client.ts";
import { parsePair } from "../../../src/registry/credentials.ts";
import { hostOf, openClient, type RegistryAccess } from "../../../src/registry/open.ts";
import { uploading } from "../../../src/registry/upload.ts";
import { type Certified, certify } from "../../support/certificates.ts";
import { sha256 } from "../../support/images.ts";
import { describeWith, openssl } from "../../support/peers.ts";
import {
  end,
  type Intercept,
  TestRealm,
  TestRegistry,
  type TestRegistryOptions,
} from "../../support/registry.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const ANN = { name: "ann", password: "pa:ss wörd" };
const MANIFEST = { schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", layers: [] };
const BYTES = Buffer.from("a blob");
const DIGEST = sha256(BYTES);

let stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
});

async function start(options: TestRegistryOptions = {}): Promise<TestRegistry> {
  const registry = await TestRegistry.start(options);
  registry.addManifest("app", "v1", MANIFEST, MANIFEST.mediaType);
  registry.addBlob("app", BYTES);
  stops.push(() => registry.stop());
  return registry;
}

async function startRealm(): Promise<TestRealm> {
  const realm = await TestRealm.start();
  stops.push(() => realm.stop());
  return realm;
}

function client(host: string, access: Partial<RegistryAccess> = {}): RegistryClient {
  const made = openClient(
    { registry: host, repository: "app" },
    {
      environment: { HOME: "/nowhere" },
      credentials: `${ANN.name}:${ANN.password}`,
      plainHttp: true,
      ...access,
    },
    { access: "push" },
  );
  stops.push(() => made.close());
  return made;
}

const send = (asking: RegistryClient) =>
  uploading(asking, "layer 0", async (upload) => {
    const chunks = async function* () {
      yield BYTES;
    };
    await upload.send({ chunks: chunks(), size: BYTES.length });
    await upload.commit(DIGEST);
  });

describe("a password", () => {
  it("is sent after it was asked for, and not before", async () => {
    const registry = await start({ user: ANN });
    const asking = client(registry.host);
    await asking.manifest("v1");
    await asking.manifest("v1");
    const basic = `Basic ${Buffer.from(`${ANN.name}:${ANN.password}`).toString("base64")}`;
    expect(registry.seen.map(({ authorization }) => authorization)).toEqual([undefined, basic, basic]);
  });

  it("that is malformed is reported before any request", async () => {
    const registry = await start();
    expect(() => client(registry.host, { credentials: "ann", credentialsOption: "--src-creds" })).toThrow(
      expect.objectContaining({ code: "USAGE", message: "--src-creds takes USER:PASSWORD" }),
    );
    expect(registry.seen).toEqual([]);
  });

  it("is not sent to a registry that does not ask", async () => {
    const registry = await start();
    await client(registry.host).manifest("v1");
    expect(registry.seen.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  it.each([301, 302, 303, 307, 308])(
    "does not follow a redirect (%i) to another port of the host",
    async (status) => {
      const [registry, other] = [await start({ user: ANN }), await start()];
      registry.intercept = (request, response) => {
        if (request.headers.authorization === undefined) return false;
        response.writeHead(status, { Location: `${other.origin}${request.url}` }).end();
        return true;
      };
      expect(await client(registry.host).blob(DIGEST, 100)).toEqual(BYTES);
      expect(other.seen.map(({ authorization }) => authorization)).toEqual([undefined]);
    },
  );

  it("does not follow a redirect to another name of the host", async () => {
    const registry = await start({ user: ANN });
    const anywhere = `http://localhost:${registry.port}`;
    registry.intercept = (request, response) => {
      if (request.headers.host?.startsWith("localhost")) end(response, 200, BYTES);
      else if (request.headers.authorization === undefined) return false;
      else response.writeHead(307, { Location: `${anywhere}${request.url}` }).end();
      return true;
    };
    await client(registry.host).blob(DIGEST, 100);
    expect(registry.seen.at(-1)).toMatchObject({
      authorization: undefined,
      headers: { host: `localhost:${registry.port}` },
    });
  });

  it("is not sent to an upload's address on another host", async () => {
    const [registry, other] = [await start({ user: ANN }), await start()];
    registry.intercept = (request, response) => {
      if (request.method !== "POST" || request.headers.authorization === undefined) return false;
      response.writeHead(202, { Location: `${other.origin}/up?x=1` }).end();
      return true;
    };
    other.intercept = (request, response) => {
      response.setHeader("Location", "/up?x=2");
      request.resume().on("end", () => end(response, request.method === "PUT" ? 201 : 202));
      return true;
    };
    await send(client(registry.host));
    expect(other.seen.map(({ method, authorization }) => [method, authorization])).toEqual([
      ["PATCH", undefined],
      ["PUT", undefined],
    ]);
  });

  it("is not given to another host that asks for it", async () => {
    const [registry, other] = [await start(), await start({ user: ANN })];
    registry.intercept = (request, response) => {
      response.writeHead(307, { Location: `${other.origin}${request.url}` }).end();
      return true;
    };
    await expect(client(registry.host).blob(DIGEST, 100)).rejects.toThrow();
    expect(other.seen.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  it("that is refused is not sent again", async () => {
    const registry = await start({ user: ANN });
    const refused = {
      code: "UNAUTHORIZED",
      message: expect.stringContaining("refused the credentials of bob"),
    };
    const asking = client(registry.host, { credentials: "bob:guess" });
    await expect(asking.find("v1")).rejects.toMatchObject(refused);
    expect(registry.seen.map(({ authorization }) => authorization !== undefined)).toEqual([false, true]);
    await expect(asking.manifest("v1")).rejects.toMatchObject(refused);
    expect(registry.seen).toHaveLength(3);
  });

  it("is not in an error, nor in what the client shows of itself", async () => {
    const registry = await start({ user: { name: "bob", password: "x" } });
    const asking = client(registry.host);
    const error = await asking.manifest("v1").catch((it: unknown) => it);
    expect(error).toMatchObject({
      code: "UNAUTHORIZED",
      message: expect.stringMatching(/^127\.0\.0\.1:\d+ refused the credentials of ann from --creds$/),
    });
    const shown = inspect(error, { depth: 10 }) + inspect(asking, { depth: 10, showHidden: true });
    expect(shown).not.toContain(ANN.password);
    expect(shown).not.toContain(Buffer.from(`${ANN.name}:${ANN.password}`).toString("base64"));
    expect(registry.seen).toHaveLength(2);
  });

  it("is never sent over plain HTTP to a host that is not this machine, unless that is asked for", async () => {
    const registry = await start({ user: ANN });
    // Linux takes 0.0.0.0 for itself; by its form it is any host.
    const asking = openClient(
      { registry: `0.0.0.0:${registry.port}`, repository: "app" },
      { environment: {}, credentials: "ann:x" },
      { access: "pull" },
    );
    stops.push(() => asking.close());
    await expect(asking.manifest("v1")).rejects.toMatchObject({
      message: expect.stringMatching(/speaks plain HTTP$/),
    });
    const insisting = new RegistryClient({
      host: { ...hostOf(`0.0.0.0:${registry.port}`, { environment: {} }), plainHttp: "only" },
      repository: "app",
      access: "pull",
      environment: {},
      findCredential: async () => ({
        credential: parsePair("ann:x", "--creds"),
        lookedIn: [],
        unreadable: [],
      }),
    });
    stops.push(() => insisting.close());
    await expect(insisting.manifest("v1")).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      message: expect.stringMatching(/asks for credentials over plain HTTP/),
    });
    expect(registry.seen.map(({ authorization }) => authorization)).toEqual([undefined]);
  });
});

describe("a token", () => {
  async function protectedRegistry(): Promise<{ registry: TestRegistry; realm: TestRealm }> {
    const realm = await startRealm();
    realm.user = ANN;
    const registry = await start({ realm: `${realm.url}?own=1` });
    realm.registries.push(registry);
    return { registry, realm };
  }

  it("is had for the password, which the registry never sees", async () => {
    const { registry, realm } = await protectedRegistry();
    const asking = client(registry.host);
    await asking.manifest("v1");
    await send(asking);
    expect(registry.seen.map(({ authorization }) => authorization ?? "none")).not.toContainEqual(
      expect.stringMatching(/^Basic/),
    );
    expect(realm.seen).toHaveLength(1);
    const query = new URL(realm.seen[0]?.path ?? "", realm.url).searchParams;
    expect([query.get("own"), query.get("service"), query.get("account")]).toEqual(["1", "test", "ann"]);
    expect(query.getAll("scope")).toEqual(["repository:app:pull,push", "repository:app:pull"]);
  });

  /** Leaves the challenge out of a 401 to anything but the API's root. */
  function hideChallenge(registry: TestRegistry, root: Intercept = () => false): void {
    registry.intercept = (request, response) => {
      if (request.url === "/v2/") return root(request, response);
      if (request.headers.authorization === undefined) end(response, 401);
      return request.headers.authorization === undefined;
    };
  }

  it("is asked for again while its server is not ready", async () => {
    const { registry, realm } = await protectedRegistry();
    realm.intercept = (_request, response) => {
      response.setHeader("Retry-After", "0");
      if (realm.seen.length < 5) end(response, 503);
      return realm.seen.length < 5;
    };
    await client(registry.host).manifest("v1");
    expect(realm.seen).toHaveLength(5);
  });

  it("is asked for no more often than any request, although another one waits for it", async () => {
    const { registry, realm } = await protectedRegistry();
    realm.intercept = ({ socket }) => Boolean(socket.destroy());
    await expect(client(registry.host, { retries: 1 }).manifest("v1")).rejects.toMatchObject({
      code: "REGISTRY",
      message: `can't reach ${realm.url}: the connection broke, 2 times`,
    });
    expect(realm.seen).toHaveLength(2);
  });

  it("is asked for as the API's root says where another 401 says nothing", async () => {
    const { registry, realm } = await protectedRegistry();
    hideChallenge(registry);
    await client(registry.host).manifest("v1");
    expect(realm.seen).toHaveLength(1);
  });

  it("is not asked for where the API's root leads to another origin, which names a realm", async () => {
    const { registry, realm } = await protectedRegistry();
    const other = await start({ realm: realm.url });
    hideChallenge(registry, (_request, response) =>
      Boolean(response.writeHead(307, { Location: `${other.origin}/v2/app/manifests/v1` }).end()),
    );
    await expect(client(registry.host).manifest("v1")).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    expect(other.seen).toHaveLength(1);
    expect(realm.seen).toEqual([]);
  });

  it("is replaced twice a request, when the registry no longer takes it", async () => {
    const { registry, realm } = await protectedRegistry();
    const asking = client(registry.host);
    await asking.manifest("v1");
    registry.tokens.clear();
    await asking.manifest("v1");
    expect(realm.seen).toHaveLength(2);
    realm.registries.length = 0;
    registry.tokens.clear();
    await expect(asking.manifest("v1")).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    expect(realm.seen).toHaveLength(4);
  });

  it("that does not reach as far as the request is not taken for wrong credentials", async () => {
    const { registry, realm } = await protectedRegistry();
    realm.intercept = (_request, response) => {
      registry.tokens.set("reads", ["repository:app:pull"]);
      end(response, 200, Buffer.from(JSON.stringify({ token: "reads" })));
      return true;
    };
    await expect(send(client(registry.host))).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      message: `ann may not push to ${registry.host}/app`,
    });
  });

  it("may be revoked between its grant and its use", async () => {
    const { registry, realm } = await protectedRegistry();
    let uses = 0;
    registry.intercept = ({ headers }) => {
      if (headers.authorization !== undefined && uses++ === 0) registry.tokens.clear();
      return false;
    };
    await client(registry.host).manifest("v1");
    expect([uses, realm.seen.length]).toEqual([2, 2]);
  });

  it("is had anew at the end of an upload that outlived it", async () => {
    const { registry, realm } = await protectedRegistry();
    registry.intercept = (request) => {
      if (request.method === "PUT" && realm.seen.length === 1) registry.tokens.clear();
      return false;
    };
    await send(client(registry.host));
    expect(registry.blobs.get(`app ${DIGEST}`)).toEqual(BYTES);
  });

  it("that ends in the middle of an upload lets it begin again", async () => {
    const { registry, realm } = await protectedRegistry();
    registry.intercept = (request) => {
      if (request.method === "PATCH" && realm.seen.length === 1) registry.tokens.clear();
      return false;
    };
    await send(client(registry.host));
    expect(registry.blobs.get(`app ${DIGEST}`)).toEqual(BYTES);
  });

  it("does not keep an upload that is given up waiting for a server that hangs", async () => {
    const { registry, realm } = await protectedRegistry();
    const asked = Promise.withResolvers<void>();
    const failing = uploading(client(registry.host), "layer 0", async () => {
      // The token has expired by then.
      const now = Date.now() + 3_600_000;
      vi.useFakeTimers({ now, toFake: ["Date", "setTimeout", "clearTimeout"] });
      realm.intercept = () => {
        asked.resolve();
        return true;
      };
      throw new Error("given up");
    });
    try {
      failing.catch(() => undefined);
      await asked.promise;
      vi.advanceTimersByTime(2000);
      await expect(failing).rejects.toThrow("given up");
    } finally {
      vi.useRealTimers();
    }
  });

  it("is asked for anonymously without credentials", async () => {
    const { registry, realm } = await protectedRegistry();
    realm.user = undefined;
    const asking = openClient(
      { registry: registry.host, repository: "app" },
      { environment: { HOME: "/nowhere" } },
      { access: "pull" },
    );
    stops.push(() => asking.close());
    await asking.manifest("v1");
    expect(realm.seen[0]?.authorization).toBeUndefined();
  });

  it("is not asked for where the password would be readable on the way", async () => {
    const registry = await start({ realm: "http://tokens.example/token" });
    const asking = client(registry.host, { plainHttp: false });
    await expect(asking.manifest("v1")).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      message: expect.stringMatching(
        /asks for credentials over plain HTTP, at http:\/\/tokens\.example\/token$/,
      ),
    });
  });

  it("is not asked for by plain HTTP of a host that nobody named, also with --plain-http", async () => {
    const registry = await start({ realm: "http://tokens.example/token" });
    await expect(client(registry.host).manifest("v1")).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      message: expect.stringMatching(/over plain HTTP, at http:\/\/tokens\.example\/token$/),
      hint: expect.stringMatching(/--tls-verify=false/),
    });
  });

  it("is asked for by plain HTTP of another port of the host that --plain-http names", async () => {
    const realm = await startRealm();
    realm.user = ANN;
    // Linux takes 0.0.0.0 for itself; by its form it is any host.
    const url = realm.url.replace("127.0.0.1", "0.0.0.0");
    const registry = await start({ realm: url });
    realm.registries.push(registry);
    await client(`0.0.0.0:${registry.port}`).manifest("v1");
    expect(realm.seen.map(({ authorization }) => authorization !== undefined)).toEqual([true]);
  });

  it("is not looked for where its server redirects", async () => {
    const { registry, realm } = await protectedRegistry();
    const other = await startRealm();
    realm.intercept = (_request, response) => {
      response.writeHead(307, { Location: other.url }).end();
      return true;
    };
    await expect(client(registry.host).manifest("v1")).rejects.toMatchObject({ code: "REGISTRY" });
    expect(other.seen).toEqual([]);
  });

  it.each(["file:///etc/passwd", "javascript:1", "not a url", ""])("is not had from %j", async (realm) => {
    const registry = await start({ realm });
    await expect(client(registry.host).manifest("v1")).rejects.toMatchObject({ code: "REGISTRY" });
  });

  it("that could end a header is not sent", async () => {
    const { registry, realm } = await protectedRegistry();
    realm.intercept = (_request, response) => {
      end(response, 200, Buffer.from(JSON.stringify({ token: "a\r\nX-Evil: 1" })));
      return true;
    };
    await expect(client(registry.host).manifest("v1")).rejects.toMatchObject({ code: "REGISTRY" });
  });

  it("is read as far as a mebibyte", async () => {
    const { registry, realm } = await protectedRegistry();
    realm.intercept = (_request, response) => {
      end(response, 200, Buffer.from(JSON.stringify({ pad: "x".repeat(2 << 20), token: "t" })));
      return true;
    };
    await expect(client(registry.host).manifest("v1")).rejects.toMatchObject({ code: "REGISTRY" });
  });
});

describe("signed addresses", () => {
  it("are shown without user and query", async () => {
    const registry = await start();
    const gone = await TestRegistry.start();
    const { port } = gone;
    await gone.stop();
    registry.intercept = (_request, response) => {
      response.writeHead(307, { Location: `http://ann:hush@127.0.0.1:${port}/b?signature=hush` }).end();
      return true;
    };
    const error = await client(registry.host)
      .blob(DIGEST, 100)
      .catch((it: unknown) => it);
    expect(error).toMatchObject({
      message: `can't reach http://127.0.0.1:${port}/b: the connection was refused`,
    });
  });
});

describe("a proxy", () => {
  let proxy: Server;
  let heads: string[] = [];

  beforeEach(async () => {
    heads = [];
    proxy = createServer((socket) => {
      socket.once("data", (head) => {
        heads.push(head.toString());
        socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
      });
      socket.on("error", () => undefined);
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    stops.push(() => new Promise((resolve) => proxy.close(() => resolve())));
  });

  it.each(["http", "https"])(
    "is asked to CONNECT to an %s registry, with its own credentials and no others",
    async (scheme) => {
      const { port } = proxy.address() as { port: number };
      const environment = {
        HTTPS_PROXY: `http://eve:p@127.0.0.1:${port}`,
        HTTP_PROXY: `http://eve:p@127.0.0.1:${port}`,
      };
      const asking = client("reg.example", { environment, plainHttp: scheme === "http" });
      await expect(asking.manifest("v1")).rejects.toMatchObject({
        code: "REGISTRY",
        message: expect.stringMatching(
          /^the proxy 127\.0\.0\.1:\d+ opens no connection to reg\.example:\d+: it wants other credentials$/,
        ),
      });
      const [first = ""] = heads;
      expect(first).toMatch(
        new RegExp(`^CONNECT reg\\.example:${scheme === "http" ? 80 : 443} HTTP/1\\.1\r\n`),
      );
      expect(first).toContain(`Proxy-Authorization: Basic ${Buffer.from("eve:p").toString("base64")}\r\n`);
      expect(first).not.toContain(Buffer.from(ANN.name).toString("base64"));
    },
  );
});

describeWith([openssl], "over TLS", {}, () => {
  const folder = temporaryFolder();
  let certified: Certified;

  beforeAll(async () => {
    certified = await certify(folder);
  });

  const tls = () => ({ tls: { cert: certified.cert, key: certified.key } });
  const verified = (host: string, access: Partial<RegistryAccess> = {}) =>
    client(host, { plainHttp: false, certificateFolder: folder, ...access });

  beforeAll(async () => {
    // The folder of certificates holds the authority alone.
    for (const name of ["ca.key", "ca.srl", "server.key", "server.csr", "server.crt", "names"])
      rmSync(`${folder}/${name}`, { force: true });
  });

  it("a registry is reached with its authority's certificate", async () => {
    const registry = await start({ ...tls(), user: ANN });
    await verified(registry.host).manifest("v1");
  });

  it("an unknown authority is named", async () => {
    const registry = await start(tls());
    await expect(client(registry.host, { plainHttp: false }).manifest("v1")).rejects.toMatchObject({
      code: "REGISTRY",
      message: `${registry.host}'s certificate is signed by an authority unknown here: Test authority`,
      hint: `put its certificate as ca.crt in ~/.config/containers/certs.d/${registry.host} or name --cert-dir`,
    });
    expect(registry.seen).toEqual([]);
  });

  it("no connection is left open where the system's certificates can't be read", async () => {
    const closed = Promise.withResolvers<void>();
    const server = createServer((socket) => socket.resume().once("close", () => closed.resolve()));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    stops.push(async () => void server.close());
    const { port } = server.address() as AddressInfo;
    const environment = { HOME: "/nowhere", SSL_CERT_FILE: "/nowhere/bundle.pem" };
    const asking = verified(`127.0.0.1:${port}`, { environment });
    await expect(asking.manifest("v1")).rejects.toMatchObject({ code: "CONFIG" });
    await closed.promise;
  });

  it("any certificate will do where that is asked for", async () => {
    const registry = await start(tls());
    await client(registry.host, { plainHttp: false, tlsVerify: false }).manifest("v1");
  });

  it("a certificate for another name is refused", async () => {
    const other = await certify(`${folder}/other`, { names: "DNS:other.example" });
    const registry = await start({ tls: { cert: other.cert, key: other.key } });
    mkdirSync(`${folder}/ca2`);
    writeFileSync(`${folder}/ca2/ca.crt`, other.authority);
    await expect(
      verified(registry.host, { certificateFolder: `${folder}/ca2` }).manifest("v1"),
    ).rejects.toMatchObject({
      message: `${registry.host}'s certificate is not for 127.0.0.1, but for other.example`,
    });
  });

  it.each([
    ["has expired", [-2, -1], ({ validTo }: X509Certificate) => `expired on ${validTo}`],
    [
      "is not yet valid",
      [1, 2],
      ({ validFrom }: X509Certificate) => `is not valid yet, but from ${validFrom} on`,
    ],
  ] as const)("a certificate that %s is refused with its date", async (what, days, problem) => {
    const place = `${folder}/${what}`;
    const { cert, key, authority } = await certify(place, { days });
    const registry = await start({ tls: { cert, key } });
    const certificateFolder = `${place}/authorities`;
    mkdirSync(certificateFolder);
    writeFileSync(`${certificateFolder}/ca.crt`, authority);
    await expect(verified(registry.host, { certificateFolder }).manifest("v1")).rejects.toMatchObject({
      code: "REGISTRY",
      message: `${registry.host}'s certificate ${problem(new X509Certificate(cert))}`,
    });
    expect(registry.seen).toEqual([]);
  });

  it("a redirect to plain HTTP is not followed", async () => {
    const [registry, plain] = [await start(tls()), await start()];
    registry.intercept = (request, response) => {
      response.writeHead(307, { Location: `${plain.origin}${request.url}` }).end();
      return true;
    };
    await expect(verified(registry.host).blob(DIGEST, 100)).rejects.toMatchObject({
      message: expect.stringMatching(/leads from https to http:/),
    });
    expect(plain.seen).toEqual([]);
  });

  it("an upload's address on plain HTTP is not used", async () => {
    const registry = await start(tls());
    registry.intercept = (request, response) => {
      if (request.method !== "POST") return false;
      response.writeHead(202, { Location: `http://127.0.0.1:${registry.port}/up` }).end();
      return true;
    };
    await expect(send(verified(registry.host))).rejects.toMatchObject({
      message: expect.stringMatching(/from https to http:/),
    });
  });

  it("a token server on plain HTTP gets no password", async () => {
    const realm = await startRealm();
    const registry = await start({ ...tls(), realm: realm.url });
    await expect(verified(registry.host).manifest("v1")).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    expect(realm.seen).toEqual([]);
  });

  it("plain HTTP is not fallen back to where TLS is insisted on", async () => {
    const registry = await start();
    await expect(verified(registry.host, { tlsVerify: true }).manifest("v1")).rejects.toMatchObject({
      message: `${registry.host} speaks plain HTTP`,
      hint: "say --tls-verify=false if that is meant",
    });
    expect(registry.seen).toEqual([]);
  });

  it("plain HTTP is fallen back to on this machine only", async () => {
    const registry = await start();
    await client(registry.host, { plainHttp: false }).manifest("v1");
    expect(registry.log).toEqual(["GET /v2/app/manifests/v1"]);
  });
});
