import { mkdirSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { ServerCredentials, type sendUnaryData, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { unwrap } from "../../../../src/keywrap/provider/unwrap.ts";
import { prepare } from "../../../../src/keywrap/provider/wrap.ts";
import type { SchemeSettings } from "../../../../src/keywrap/scheme.ts";
import { frame, type Handler, serve, vaultHandler } from "../../../support/providers/service.mjs";
import { Vault } from "../../../support/providers/vault.mjs";
import { temporaryFolder } from "../../../support/temporary.ts";
import { base64, contextFor, OPTIONS, requestsIn, settingsFor } from "./support.ts";

const folder = temporaryFolder();
const packet = new Uint8Array(Buffer.from("packet"));
const services: { close(): void }[] = [];

afterAll(() => {
  for (const service of services) service.close();
});

async function serveAt(address: string, handler: Handler): Promise<string> {
  const service = await serve(address, ServerCredentials.createInsecure(), handler);
  services.push(service);
  return address.replace(/:0$/, `:${service.port}`);
}

const serveLocally = (handler: Handler) => serveAt("127.0.0.1:0", handler);

const answer =
  (json: string): Handler =>
  (_message, callback) =>
    callback(null, frame(Buffer.from(json)));

async function roundTrip(settings: SchemeSettings, size = 0): Promise<string> {
  const [wrapper] = await prepare(["kms"], settings);
  const wrapped = await wrapper?.wrap(Buffer.from(OPTIONS + " ".repeat(size)));
  const opened = await unwrap(new Uint8Array(wrapped ?? []), contextFor("kms", settings));
  return Buffer.from(opened?.options.bytes ?? []).toString();
}

function ask(grpc: string, changes: Partial<SchemeSettings> = {}) {
  return unwrap(packet, contextFor("kms", settingsFor(folder, { kms: { grpc } }, changes)));
}

const failsWith = (message: RegExp) =>
  expect.objectContaining({ code: "PROVIDER", message: expect.stringMatching(message) });

describe("a provider by gRPC", () => {
  const log = join(folder, "log");
  let port: string | undefined;

  beforeAll(async () => {
    port = (await serveLocally(vaultHandler(new Vault("secret", log)))).split(":")[1];
    mkdirSync(join(folder, "run"));
    await serveAt(`unix://${folder}/run/kms.sock`, vaultHandler(new Vault("secret", log)));
  });

  test.each([
    "127.0.0.1:PORT",
    "localhost:PORT",
    "dns:///localhost:PORT",
    "unix://FOLDER/run/kms.sock",
    "unix:FOLDER/run/kms.sock",
  ])("%s wraps and unwraps", async (target) => {
    const grpc = target.replace("PORT", port ?? "").replace("FOLDER", folder);
    expect(await roundTrip(settingsFor(folder, { kms: { grpc } }))).toBe(OPTIONS);
  });

  test("is told its own parameters only, in a message of any length", async () => {
    const settings = settingsFor(folder, { kms: { grpc: `127.0.0.1:${port}` } });
    expect(await roundTrip(settings, 40_000)).toHaveLength(OPTIONS.length + 40_000);
    const parameters = new Map([
      ["privkeys", [new Uint8Array([1])]],
      ["kms", [new Uint8Array(Buffer.from("token"))]],
    ]);
    const [wrapper] = await prepare(["kms:a"], settings);
    const wrapped = await wrapper?.wrap(Buffer.from(OPTIONS));
    await unwrap(new Uint8Array(wrapped ?? []), contextFor("kms", settings, parameters));
    const [wrap, unwrapped] = requestsIn(log).slice(-2);
    expect(wrap).toMatchObject({
      op: "keywrap",
      keywrapparams: { ec: { Parameters: { kms: [base64("a")] } } },
    });
    expect(unwrapped).toHaveProperty("op", "keyunwrap");
    expect(unwrapped).toHaveProperty("keyunwrapparams.dc.Parameters", { kms: [base64("token")] });
  });

  test("is reached past every proxy that the environment names", async () => {
    // The library reads the process's own variables.
    for (const name of ["grpc_proxy", "http_proxy", "https_proxy"]) vi.stubEnv(name, "http://127.0.0.1:9");
    try {
      const settings = settingsFor(folder, { kms: { grpc: `localhost:${port}` } });
      expect(await roundTrip({ ...settings, environment: { ...process.env, ...settings.environment } })).toBe(
        OPTIONS,
      );
    } finally {
      vi.unstubAllEnvs();
    }
  });

  test("unknown fields of its message are ignored", async () => {
    const json = Buffer.from(`{"keyunwrapresults":{"optsdata":"${base64("opts")}"}}`);
    const grpc = await serveLocally((_message, callback) =>
      callback(null, Buffer.concat([Buffer.from("1800", "hex"), frame(json), Buffer.from("120178", "hex")])),
    );
    expect(Buffer.from((await ask(grpc))?.options.bytes ?? []).toString()).toBe("opts");
  });
});

describe("a provider that fails is named", () => {
  test.each<[string, Handler, RegExp]>([
    ["refuses", refuse(status.PERMISSION_DENIED), /"kms" failed with gRPC status PERMISSION_DENIED/],
    ["is unavailable, as it says", refuse(status.UNAVAILABLE), /"kms" failed with gRPC status UNAVAILABLE/],
    ["answers with garbage", answer("garbage"), /"kms" gave an answer that is not a JSON/],
    ["answers with no base64", answer('{"keyunwrapresults":{"optsdata":"?"}}'), /"kms".*not valid base64/],
    [
      "answers with nothing",
      (_, callback) => callback(null, Buffer.alloc(0)),
      /"kms".*not a key provider message/,
    ],
    ["answers with an empty field", answer(""), /"kms" gave no answer/],
    [
      "answers with no message",
      (_, callback) => callback(null, Buffer.from("0aff", "hex")),
      /"kms".*not a key provider/,
    ],
    ["answers with too much", answer(`"${"x".repeat(1 << 20)}"`), /"kms".*RESOURCE_EXHAUSTED/],
  ])("%s", async (_what, handler, message) => {
    await expect(ask(await serveLocally(handler))).rejects.toEqual(failsWith(message));
  });

  test("an answer of exactly the limit is read", async () => {
    const head = '{"keyunwrapresults":{"optsdata":"b3B0cw=="},"padding":"';
    const grpc = await serveLocally(answer(`${head}${"x".repeat((1 << 20) - head.length - 2)}"}`));
    expect(await ask(grpc)).not.toBeNull();
  });

  test("its own words are shown with verbose only, on one line", async () => {
    const grpc = await serveLocally(refuse(status.NOT_FOUND));
    const quiet = await ask(grpc).catch((it) => it);
    expect(quiet.message).not.toContain("no such");
    const verbose = await ask(grpc, { verbose: true }).catch((it) => it);
    expect(verbose.message).toMatch(/"kms" failed with gRPC status NOT_FOUND: no such key \[2J$/);
  });

  test("hangs", async () => {
    const grpc = await serveLocally(() => {});
    await expect(ask(grpc, { providerTimeoutMs: 500 })).rejects.toEqual(
      failsWith(/"kms" did not answer within 0\.5 s/),
    );
  });

  describe("at the connection", () => {
    const sockets = new Set<Socket>();
    const servers: Server[] = [];

    afterAll(() => {
      for (const socket of sockets) socket.destroy();
      for (const server of servers) server.close();
    });

    function listen(onConnection: (socket: Socket) => void): Promise<string> {
      return new Promise((resolve) => {
        const server = createServer((socket) => {
          sockets.add(socket);
          socket.on("error", () => {});
          onConnection(socket);
        });
        servers.push(server);
        server.listen(0, "127.0.0.1", () =>
          resolve(`127.0.0.1:${(server.address() as { port: number }).port}`),
        );
      });
    }

    test("nobody listens", async () => {
      const target = await listen(() => {});
      await new Promise((resolve) => servers.pop()?.close(resolve));
      await expect(ask(target)).rejects.toEqual(
        failsWith(new RegExp(`"kms" could not be reached at ${target}: connect ECONNREFUSED ${target}$`)),
      );
    });

    test.each([
      ["unix:///nonexistent/kms.sock", /could not be reached at unix:.*ENOENT \/nonexistent\/kms\.sock$/],
      ["kms.invalid:50051", /could not be reached at kms\.invalid:50051: Name resolution failed/],
      ["unix://relative/path", /"kms" (can't be called|could not be reached)/],
    ])("%s", async (target, message) => {
      await expect(ask(target)).rejects.toEqual(failsWith(message));
    });

    test("the server says nothing", async () => {
      const target = await listen(() => {});
      await expect(ask(target, { providerTimeoutMs: 500 })).rejects.toEqual(
        failsWith(/"kms" did not answer within/),
      );
    });

    test("the server talks something else", async () => {
      const target = await listen((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
      await expect(ask(target)).rejects.toEqual(failsWith(/"kms" could not be reached at/));
    });
  });
});

function refuse(code: status) {
  return (_message: Buffer, callback: sendUnaryData<Buffer>) =>
    callback({ code, details: "no such key\n\u001b[2J" });
}
