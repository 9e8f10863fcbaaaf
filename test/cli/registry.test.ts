import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { certify } from "../support/certificates.ts";
import { command, type KeyPairFiles, ONE_ERROR, rsaKeys, succeed } from "../support/cli.ts";
import { sha256, tar } from "../support/images.ts";
import { putManifest, putPlatforms, tagRoot } from "../support/layouts.ts";
import { describeWith, openssl, ours } from "../support/peers.ts";
import { end, fail, TestRealm, TestRegistry, type TestRegistryOptions } from "../support/registry.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const files = join(folder, "files");
let ann: KeyPairFiles;
let bob: KeyPairFiles;
let registry: TestRegistry;

beforeAll(async () => {
  ann = await rsaKeys(folder, "ann");
  bob = await rsaKeys(folder, "bob");
  mkdirSync(files);
  // Larger than a connection's buffers.
  writeFileSync(join(files, "data"), Buffer.alloc(24 << 20, "some data"));
});

beforeEach(async () => await restart());

afterEach(async () => await registry.stop());

async function restart(options: TestRegistryOptions = {}): Promise<void> {
  await registry?.stop();
  registry = await TestRegistry.start(options);
}

const at = (name: string) => `docker://${registry.host}/${name}`;
const encrypt = (...args: readonly string[]) => [
  "encrypt",
  "-q",
  "--recipient",
  `jwe:${ann.publicKey}`,
  ...args,
];
const rewrap = (...args: readonly string[]) => [
  "rewrap",
  "--key",
  ann.privateKey,
  "--recipient",
  `jwe:${bob.publicKey}`,
  ...args,
];
const tagOf = (name: string) => registry.manifests.get(name)?.bytes.toString();

async function publish(name = "app:v1"): Promise<void> {
  await succeed(encrypt("--compression", "none", `rootfs:${files}`, at(name)));
  registry.seen.length = 0;
}

/** Sends a signal to a command once it has reached a point. @returns what it reported before it ended by that signal */
async function stopped(args: readonly string[], point: Promise<void>, by: NodeJS.Signals): Promise<string> {
  const child = spawn(ours.command, args, { stdio: "pipe" });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const ended = new Promise((resolve) => child.once("close", (_code, signal) => resolve(signal)));
  await point;
  child.kill(by);
  expect(await ended).toBe(by);
  return stderr;
}

/** The first bytes of a body. */
async function head(request: IncomingMessage): Promise<Buffer> {
  return await new Promise((resolve) => request.once("data", resolve));
}

describeWith([ours], "docker://", {}, () => {
  test("changes recipients in place with three requests", async () => {
    await publish();
    await succeed(rewrap("-q", "--force", at("app:v1"), at("app:v1")));
    expect(registry.log).toEqual(["GET", "HEAD", "PUT"].map((method) => `${method} /v2/app/manifests/v1`));
    await succeed(["verify", "-q", "--key", bob.privateKey, at("app:v1")]);
  });

  test.each([
    ["verify", (_to: string) => ["verify", "-q", "--key", ann.privateKey, at("app:v1")]],
    ["decrypt", (to: string) => ["decrypt", "-q", "--key", ann.privateKey, at("app:v1"), to]],
  ])("%s fetches each blob once", async (name, args) => {
    await publish();
    await succeed(args(`docker-archive:${join(folder, `${name}.tar`)}:app:v1`));
    const blobs = registry.log.filter((line) => line.startsWith("GET /v2/app/blobs/"));
    expect(blobs).toHaveLength(2);
    expect(new Set(blobs).size).toBe(2);
  });

  test("sets the tag once, after everything else", async () => {
    await publish("one:v1");
    await succeed(rewrap("-q", at("one:v1"), at("two:v1")));
    const writes = registry.seen.filter(({ method }) => method === "PUT").map(({ path }) => path);
    expect(writes).toEqual(["/v2/two/manifests/v1"]);
    expect(registry.log.at(-1)).toBe("PUT /v2/two/manifests/v1");
  });

  test("sends a blob in the upload that was begun instead of a mount", async () => {
    const user = { name: "ann", password: "secret" };
    const creds = ["--creds", "ann:secret"];
    await restart({ user, mounts: false });
    await succeed(encrypt("--compression", "none", ...creds, `rootfs:${files}`, at("one:v1")));
    registry.seen.length = 0;
    await succeed(rewrap("-q", ...creds, at("one:v1"), at("two:v1")));
    const writes = registry.seen.filter(({ method }) => method !== "GET" && method !== "HEAD");
    // The configuration and the layer, each authorized at once, and the tag.
    expect(writes.map(({ method }) => method).sort()).toEqual(
      [..."POST PATCH PUT".split(" "), ..."POST PATCH PUT".split(" "), "PUT"].sort(),
    );
    expect(registry.openUploads).toBe(0);
  });

  test("a tag that was moved meanwhile is not overwritten", async () => {
    await publish();
    let moved: string | undefined;
    registry.intercept = (request) => {
      if (request.method === "HEAD" && moved === undefined) {
        registry.addManifest(
          "app",
          "v1",
          { schemaVersion: 2, layers: [], by: "a colleague" },
          "application/vnd.oci.image.manifest.v1+json",
        );
        moved = tagOf("app v1");
      }
      return false;
    };
    const { exit, stderr } = await command(rewrap("--force", at("app:v1"), at("app:v1")));
    expect(exit).toBe(1);
    expect(stderr).toMatch(/app:v1: the tag was moved meanwhile\n/);
    expect(tagOf("app v1")).toBe(moved);
  });

  test("a tag that appears meanwhile is not overwritten", async () => {
    let count = 0;
    registry.intercept = (request) => {
      if (request.method === "HEAD" && request.url?.includes("/manifests/")) count += 1;
      if (count === 2)
        registry.addManifest(
          "app",
          "v1",
          { schemaVersion: 2, layers: [] },
          "application/vnd.oci.image.manifest.v1+json",
        );
      return false;
    };
    const { exit, stderr } = await command(encrypt(`rootfs:${files}`, at("app:v1")));
    expect(exit).toBe(1);
    expect(stderr).toMatch(/the tag "v1" already exists\n/);
    expect(tagOf("app v1")).toBe('{"schemaVersion":2,"layers":[]}');
  });

  test("nothing is sent when the tag exists", async () => {
    await publish();
    const { exit } = await command(encrypt(`rootfs:${files}`, at("app:v1")));
    expect(exit).toBe(1);
    expect(registry.log).toEqual(["HEAD /v2/app/manifests/v1"]);
  });

  test.each(["", "sha512:x", "sha256:00"])("a tag exists whose digest HEAD states as %j", async (stated) => {
    await publish();
    const before = tagOf("app v1");
    registry.intercept = ({ method, url = "" }, response) => {
      if (method !== "HEAD" || !url.endsWith("/manifests/v1")) return false;
      if (stated !== "") response.setHeader("Docker-Content-Digest", stated);
      response.writeHead(200).end();
      return true;
    };
    const { exit, stderr } = await command(encrypt(`rootfs:${files}`, at("app:v1")));
    expect(exit).toBe(1);
    expect(stderr).toMatch(/the tag "v1" already exists\n/);
    expect(tagOf("app v1")).toBe(before);
    await succeed(rewrap("-q", "--force", at("app:v1"), at("app:v1")));
    expect(tagOf("app v1")).not.toBe(before);
  });

  test("a broken download resumes", async () => {
    await publish();
    let cuts = 0;
    registry.intercept = (request, response) => {
      const digest = /blobs\/(sha256:\w+)$/.exec(request.url ?? "")?.[1];
      const bytes = registry.blobs.get(`app ${digest}`);
      if (request.method !== "GET" || bytes === undefined || bytes.length < 1 << 20 || cuts === 2)
        return false;
      cuts += 1;
      const start = Number(/\d+/.exec(request.headers.range ?? "0")?.[0]);
      const range = { "Content-Range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
      response.writeHead(start === 0 ? 200 : 206, {
        "Content-Length": bytes.length - start,
        ...(start > 0 && range),
      });
      response.write(bytes.subarray(start, start + (5 << 20)), () => response.destroy());
      return true;
    };
    await succeed(["decrypt", "-q", "--key", ann.privateKey, at("app:v1"), at("plain:v1")]);
    const ranges = registry.seen.flatMap(({ headers }) => headers.range ?? []);
    expect(cuts).toBe(2);
    expect(ranges).toHaveLength(2);
  });

  test("a broken upload starts again, with another key and nonce", async () => {
    const heads: Buffer[] = [];
    registry.intercept = async (request) => {
      if (request.method !== "PATCH" || Number(request.headers["content-length"]) < 1 << 20) return false;
      if (heads.length === 2) return false;
      heads.push((await head(request)).subarray(0, 64));
      request.socket.destroy();
      return true;
    };
    await succeed(encrypt("--compression", "none", `rootfs:${files}`, at("app:v1")));
    const [first, second] = heads;
    expect(heads).toHaveLength(2);
    expect(first?.equals(second ?? Buffer.alloc(0))).toBe(false);
    await succeed(["verify", "-q", "--key", ann.privateKey, at("app:v1")]);
  });

  test("an upload that breaks each time fails with the layer and the number of bytes sent", async () => {
    registry.intercept = async (request) => {
      if (request.method !== "PATCH" || Number(request.headers["content-length"]) < 1 << 20) return false;
      await head(request);
      request.socket.destroy();
      return true;
    };
    const { exit, stderr } = await command(encrypt("--compression", "none", `rootfs:${files}`, at("app:v1")));
    expect(exit).toBe(1);
    expect(stderr).toMatch(
      /error: the connection to \S+ broke after \S+ \S+ of layer 0, 3 times\n.*a proxy may limit time or size\n$/,
    );
    expect(tagOf("app v1")).toBeUndefined();
  });

  test.each([
    ["--retry-times 0", ["--retry-times", "0"], /answered 503$/m, 1],
    ["--retry-times 1", ["--retry-times", "1"], /answered 503, 2 times$/m, 2],
    ["no option", [], /answered 503, 5 times$/m, 5],
  ])("with %s a server that is not ready is asked so often", async (_title, args, message, count) => {
    registry.intercept = (_request, response) => {
      response.setHeader("Retry-After", "0");
      end(response, 503);
      return true;
    };
    const { exit, stderr } = await command(["inspect", ...args, at("app:v1")]);
    expect(exit).toBe(1);
    expect(stderr).toMatch(message);
    expect(registry.seen).toHaveLength(count);
  });

  test("a token that expires during an upload is renewed", async () => {
    const realm = await TestRealm.start();
    await restart({ realm: realm.url });
    realm.registries.push(registry);
    let ends = 0;
    registry.intercept = (request) => {
      if (request.method === "PATCH" && ends++ === 0) registry.tokens.clear();
      return false;
    };
    try {
      await succeed(encrypt(`rootfs:${files}`, at("app:v1")));
      expect(tagOf("app v1")).toBeDefined();
    } finally {
      await realm.stop();
    }
  });

  test("a password goes to no other host, whether by a redirect or by an upload's address", async () => {
    await restart({ user: { name: "ann", password: "hush" } });
    const other = await TestRegistry.start();
    const uploads = new Map<string, Buffer>();
    other.intercept = async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const [path = "", query] = (request.url ?? "").split("?digest=");
      if (request.method === "PATCH") uploads.set(path, Buffer.concat(chunks));
      if (request.method === "PUT")
        registry.blobs.set(`app ${decodeURIComponent(query ?? "")}`, uploads.get(path) ?? Buffer.alloc(0));
      response.setHeader("Location", path);
      if (request.method === "GET")
        end(response, 200, Buffer.from(registry.blobs.get(`app ${path.slice(1)}`) ?? ""));
      else end(response, request.method === "PATCH" ? 202 : 201);
      return true;
    };
    let count = 0;
    registry.intercept = (request, response) => {
      if (request.headers.authorization === undefined) return false;
      const digest = /blobs\/(sha256:\w+)$/.exec(request.url ?? "")?.[1];
      if (request.method === "POST")
        response.writeHead(202, { Location: `${other.origin}/up-${count++}` }).end();
      else if (request.method === "GET" && digest !== undefined)
        response.writeHead(307, { Location: `${other.origin}/${digest}` }).end();
      else return false;
      return true;
    };
    try {
      await succeed(encrypt("--creds", "ann:hush", `rootfs:${files}`, at("app:v1")));
      await succeed(["verify", "-q", "--creds", "ann:hush", "--key", ann.privateKey, at("app:v1")]);
      expect(other.log.some((line) => line.startsWith("PATCH"))).toBe(true);
      expect(other.log.some((line) => line.startsWith("GET"))).toBe(true);
      expect(other.seen.map(({ authorization }) => authorization)).not.toContainEqual(expect.anything());
    } finally {
      await other.stop();
    }
  });

  test("an error names plain HTTP if TLS is required", async () => {
    const { exit, stderr } = await command(["inspect", "--tls-verify=true", at("app:v1")]);
    expect(exit).toBe(1);
    expect(stderr).toBe(
      `ctd-decoder: error: ${registry.host} speaks plain HTTP\nctd-decoder: hint: say --tls-verify=false if that is meant\n`,
    );
  });

  test("encrypted layers that a registry refuses come with a hint", async () => {
    registry.intercept = (request, response) => {
      if (request.method !== "PUT" || !request.url?.includes("/manifests/")) return false;
      request.resume().on("end", () => fail(response, 400, "MANIFEST_INVALID"));
      return true;
    };
    const { exit, stderr } = await command(encrypt(`rootfs:${files}`, at("app:v1")));
    expect(exit).toBe(1);
    expect(stderr).toMatch(ONE_ERROR);
    expect(stderr).toMatch(/some registries take no encrypted layers; this one may be one of them\n$/);
  });

  test("a note names the old digest's signatures and the command that signs", async () => {
    await publish();
    const { digest } = JSON.parse(await succeed(["inspect", "--json", at("app:v1")]));
    registry.addManifest(
      "app",
      `${digest.replace(":", "-")}.sig`,
      { schemaVersion: 2, layers: [] },
      "application/vnd.oci.image.manifest.v1+json",
    );
    const { exit, stderr } = await command(rewrap("--json", "--force", at("app:v1"), at("app:v1")));
    expect(exit).toBe(0);
    expect(stderr).toMatch(/^ctd-decoder: note: .*ctd-decoder sign --key/m);
  });

  test("interrupted, it leaves the tag as it was and no upload behind", async () => {
    await publish();
    const before = tagOf("app v1");
    const stalled = Promise.withResolvers<void>();
    registry.intercept = async (request) => {
      if (request.method !== "PATCH" || Number(request.headers["content-length"]) < 1 << 20) return false;
      await new Promise((resolve) => request.once("data", resolve));
      request.pause();
      stalled.resolve();
      return true;
    };
    const args = encrypt("--force", "--compression", "none", `rootfs:${files}`, at("app:v1"));
    expect(await stopped(args, stalled.promise, "SIGINT")).toContain(
      "ctd-decoder: interrupted; the destination is as it was\n",
    );
    expect(tagOf("app v1")).toBe(before);
    expect(registry.log.filter((line) => line.startsWith("DELETE"))).not.toEqual([]);
  });

  test("interrupted while the tag is being set, it does not claim that the tag is as it was", async () => {
    const isSet = Promise.withResolvers<void>();
    registry.intercept = (request) => {
      if (request.method !== "PUT" || request.url !== "/v2/app/manifests/v1") return false;
      isSet.resolve();
      return true;
    };
    const args = encrypt("--compression", "none", `rootfs:${files}`, at("app:v1"));
    expect(await stopped(args, isSet.promise, "SIGTERM")).toBe(
      "ctd-decoder: interrupted while the tag was being set: " +
        `check whether ${at("app:v1")} is the old image or the new one\n`,
    );
  });

  test("interrupted, sign does not claim that nothing was stored", async () => {
    await publish();
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const key = join(folder, "signer.pem");
    writeFileSync(key, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    const second = Promise.withResolvers<void>();
    registry.intercept = ({ method, url = "" }) => {
      const isSecond = method === "PUT" && url.startsWith("/v2/app/manifests/sha256:");
      if (isSecond) second.resolve();
      return isSecond;
    };
    expect(await stopped(["sign", "--key", key, at("app:v1")], second.promise, "SIGINT")).toBe(
      "ctd-decoder: interrupted; signatures may have been stored: run the command again to complete them\n",
    );
    expect([...registry.manifests.keys()]).toContainEqual(expect.stringMatching(/^app sha256-\w+\.sig$/));
  });

  test("a tag that is set although no answer says so is set", async () => {
    registry.intercept = (request, response) => {
      if (request.method !== "PUT" || request.url !== "/v2/app/manifests/v1") return false;
      response.writeHead = () => response;
      response.end = () => response.destroy();
      return false;
    };
    const { exit, stderr } = await command(
      encrypt("--retry-times", "0", "--compression", "none", `rootfs:${files}`, at("app:v1")),
    );
    expect([exit, stderr]).toEqual([0, expect.not.stringContaining("error")]);
    await succeed(["verify", "-q", "--key", ann.privateKey, at("app:v1")]);
  });

  test("a tag that may be set is not called unchanged by an error", async () => {
    await publish();
    let isSet = false;
    registry.intercept = ({ method }, response) => {
      isSet ||= method === "PUT";
      if (isSet) response.destroy();
      return isSet;
    };
    const { exit, stderr } = await command(
      rewrap("-q", "--force", "--retry-times", "0", at("app:v1"), at("app:v1")),
    );
    expect(exit).toBe(1);
    expect(stderr).toMatch(ONE_ERROR);
    expect(stderr).toMatch(
      /the connection broke, while the tag was being set: check whether \S+app:v1 is the old/,
    );
  });

  test("a registry that refuses to set a tag and then falls silent says when to try again", async () => {
    await publish();
    registry.intercept = ({ method, url }, response) => {
      const isAsked = method === "PUT" && url === "/v2/app/manifests/v1";
      if (isAsked) {
        registry.intercept = (_, later) => later.destroy() !== undefined;
        response.writeHead(429, { "retry-after": "7" }).end();
      }
      return isAsked;
    };
    const { exit, stderr } = await command(
      rewrap("-q", "--force", "--retry-times", "0", at("app:v1"), at("app:v1")),
    );
    expect([exit, stderr]).toEqual([1, expect.stringContaining("while the tag was being set: check")]);
    expect(stderr).toMatch(/^ctd-decoder: hint: try again in 7 s; logged-in users may have more$/m);
  });

  test("a forged layer is not committed, even if the registry has accepted all bytes", async () => {
    await publish();
    const [name, manifest] = [...registry.manifests].find(([key]) => key === "app v1") ?? [];
    const document = JSON.parse(manifest?.bytes.toString() ?? "");
    const [layer] = document.layers;
    const bytes = Buffer.from(registry.blobs.get(`app ${layer.digest}`) ?? "");
    bytes.writeUInt8(bytes.readUInt8(1000) ^ 1, 1000);
    layer.digest = registry.addBlob("app", bytes);
    registry.addManifest("app", "v1", document, manifest?.mediaType ?? "");
    registry.seen.length = 0;
    expect(name).toBe("app v1");
    const { exit, stderr } = await command([
      "decrypt",
      "--key",
      ann.privateKey,
      at("app:v1"),
      at("plain:v1"),
    ]);
    expect(exit).toBe(1);
    expect(stderr).toMatch(/HMAC does not match/);
    // The configuration alone became a blob.
    expect([...registry.blobs.keys()].filter((key) => key.startsWith("plain "))).toHaveLength(1);
    expect(tagOf("plain v1")).toBeUndefined();
    const verify = await command(["verify", "--json", "--key", ann.privateKey, at("app:v1")]);
    expect(verify.exit).toBe(1);
    expect(verify.stdout.toString()).toMatch(/AUTHENTICATION/);
  });

  test("goes through a proxy, which sees no request", async () => {
    const heads: string[] = [];
    const proxy = createServer();
    proxy.on("connect", (request, socket) => {
      heads.push(`${request.url} ${request.headers["proxy-authorization"]}`);
      const target = connect(registry.port, "127.0.0.1", () => socket.write("HTTP/1.1 200 OK\r\n\r\n"));
      socket.on("error", () => target.destroy()).pipe(target);
      target.on("error", () => socket.destroy()).pipe(socket);
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port } = proxy.address() as AddressInfo;
    await publish();
    // 0.0.0.0 counts as another machine. Requests to this machine do not go through a proxy.
    const host = `0.0.0.0:${registry.port}`;
    const env = { HTTP_PROXY: `http://eve:hush@127.0.0.1:${port}` };
    try {
      const options = ["-q", "--plain-http", "--key", ann.privateKey];
      await succeed(["verify", ...options, `docker://${host}/app:v1`], { env });
      const direct = await command(["verify", ...options, `docker://${host}/app:v1`], {
        env: { ...env, NO_PROXY: "0.0.0.0" },
      });
      expect(direct.exit).toBe(0);
      expect([...new Set(heads)]).toEqual([`${host} Basic ${Buffer.from("eve:hush").toString("base64")}`]);
    } finally {
      proxy.closeAllConnections();
      await new Promise((resolve) => proxy.close(resolve));
    }
  });

  test("shows each warning once, whichever request it answers and whichever thread sent that", async () => {
    const layout = join(folder, "two-layers");
    const layers = ["a", "b"].map(async (text) => {
      const bytes = await tar({ file: Buffer.alloc(1 << 20, text) });
      return { bytes, compression: "none", diffId: sha256(bytes) } as const;
    });
    tagRoot(layout, putManifest(layout, await Promise.all(layers)));
    registry.intercept = ({ method, url = "", headers }, response) => {
      // Large layers are sent by threads, all else by the first thread.
      const kind = Number(headers["content-length"]) > 1 << 20 ? /blobs/g : /uploads|mount=|manifests|blobs/g;
      response.setHeader("Warning", `299 - "${method} ${url.match(kind)?.join(" ")}\u009b2J"`);
      return false;
    };
    const warningsOf = async (args: readonly string[]) => {
      const { exit, stderr } = await command(args);
      expect(exit).toBe(0);
      return stderr.split("\n").filter((line) => line.startsWith("ctd-decoder: note: "));
    };
    const notes = (...kinds: readonly string[]) => kinds.map((it) => `ctd-decoder: note: ${it} 2J`);
    const first = await warningsOf(encrypt("--compression", "none", `oci:${layout}`, at("one:v1")));
    expect(first.sort()).toEqual(
      notes(
        "HEAD blobs",
        "HEAD manifests",
        "PATCH blobs",
        "PATCH blobs uploads",
        "POST blobs uploads",
        "PUT blobs uploads",
        "PUT manifests",
      ),
    );
    const second = await warningsOf(rewrap("-q", at("one:v1"), at("two:v1")));
    expect(second.sort()).toEqual(
      notes("GET manifests", "HEAD blobs", "HEAD manifests", "POST blobs uploads mount=", "PUT manifests"),
    );
  });

  test("writes an index after its manifests", async () => {
    const layout = join(folder, "platforms");
    const bytes = await tar({ hello: Buffer.from("hello") });
    putPlatforms(layout, [{ bytes, compression: "none", diffId: sha256(bytes) }]);
    await succeed(encrypt(`oci:${layout}:v1`, at("app:v1")));
    const puts = registry.log.filter((line) => line.startsWith("PUT /v2/app/manifests/"));
    expect(puts.slice(0, -1).every((line) => line.includes("/sha256:"))).toBe(true);
    expect(puts.at(-1)).toBe("PUT /v2/app/manifests/v1");
    await succeed(["verify", "-q", "--key", ann.privateKey, at("app:v1")]);
  });
});

describeWith([ours, openssl], "docker:// over TLS", {}, () => {
  test("shows the client's certificate to the registry that wants it", async () => {
    const made = await certify(join(folder, "mutual"));
    const certs = join(folder, "certs");
    mkdirSync(certs);
    writeFileSync(join(certs, "ca.crt"), made.authority);
    writeFileSync(join(certs, "me.cert"), made.cert);
    await restart({
      tls: {
        cert: made.cert,
        key: made.key,
        ca: made.authority,
        requestCert: true,
        rejectUnauthorized: true,
      },
    });
    const incomplete = await command(encrypt("--cert-dir", certs, `rootfs:${files}`, at("app:v1")));
    expect(incomplete.stderr).toMatch(/me\.key, the key of me\.cert, is missing/);
    writeFileSync(join(certs, "me.key"), made.key, { mode: 0o600 });
    await succeed(encrypt("--cert-dir", certs, `rootfs:${files}`, at("app:v1")));
    rmSync(join(certs, "me.cert"));
    expect(await command(["inspect", "--cert-dir", certs, at("app:v1")])).toMatchObject({ exit: 1 });
  });
});
