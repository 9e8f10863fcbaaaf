import { X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";
import { ServerCredentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { unwrap } from "../../../../src/keywrap/provider/unwrap.ts";
import { prepare } from "../../../../src/keywrap/provider/wrap.ts";
import { describeWith, openssl, output } from "../../../support/peers.ts";
import { serve, vaultHandler } from "../../../support/providers/service.mjs";
import { Vault } from "../../../support/providers/vault.mjs";
import { temporaryFolder } from "../../../support/temporary.ts";
import { contextFor, OPTIONS, settingsFor } from "./support.ts";

const folder = temporaryFolder();
const file = (name: string) => join(folder, name);

async function authority(name: string): Promise<void> {
  const args = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "2",
  ];
  await output(openssl, [
    ...args,
    "-subj",
    `/CN=${name}`,
    "-keyout",
    file(`${name}.key`),
    "-out",
    file(`${name}.crt`),
  ]);
}

async function certificate(name: string, issuer: string, altNames: string): Promise<void> {
  const key = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-keyout",
    file(`${name}.key`),
  ];
  const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=${altNames}`];
  await output(openssl, ["req", ...key, ...subject, "-out", file(`${name}.csr`)]);
  const by = [
    "-CA",
    file(`${issuer}.crt`),
    "-CAkey",
    file(`${issuer}.key`),
    "-days",
    "2",
    "-copy_extensions",
    "copy",
  ];
  await output(openssl, ["x509", "-req", "-in", file(`${name}.csr`), ...by, "-out", file(`${name}.crt`)]);
}

describeWith([openssl], "a provider by gRPC with TLS", {}, () => {
  const ports = { named: 0, addressed: 0 };
  const services: { close(): void }[] = [];

  beforeAll(async () => {
    await Promise.all([authority("ca"), authority("other-ca")]);
    await Promise.all([
      certificate("named", "ca", "DNS:kms.internal"),
      certificate("addressed", "ca", "DNS:localhost,IP:127.0.0.1"),
      certificate("client", "ca", "DNS:node-1"),
      certificate("stranger", "other-ca", "DNS:node-1"),
    ]);
    for (const name of ["named", "addressed"] as const) {
      const pair = {
        cert_chain: readFileSync(file(`${name}.crt`)),
        private_key: readFileSync(file(`${name}.key`)),
      };
      const credentials = ServerCredentials.createSsl(readFileSync(file("ca.crt")), [pair], true);
      const handler = vaultHandler(new Vault("secret"));
      const service = await serve("127.0.0.1:0", credentials, handler);
      ports[name] = service.port;
      services.push(service);
    }
    services.push(
      await serve(
        `unix://${folder}/kms.sock`,
        ServerCredentials.createSsl(
          readFileSync(file("ca.crt")),
          [
            {
              cert_chain: readFileSync(file("addressed.crt")),
              private_key: readFileSync(file("addressed.key")),
            },
          ],
          true,
        ),
        vaultHandler(new Vault("secret")),
      ),
    );
  });

  afterAll(() => {
    for (const service of services) service.close();
  });

  const client = () => ({ "cert-file": file("client.crt"), "key-file": file("client.key") });
  const trusting = () => ({ "root-ca-file": file("ca.crt"), ...client() });

  async function roundTrip(
    target: string,
    tls: object,
    variables: Record<string, string> = {},
  ): Promise<string> {
    const grpc = target
      .replace("NAMED", `${ports.named}`)
      .replace("ADDRESSED", `${ports.addressed}`)
      .replace("FOLDER", folder);
    const settings = settingsFor(folder, { kms: { grpc, "grpc-tls": tls } });
    const changed = { ...settings, environment: { ...settings.environment, ...variables } };
    const [wrapper] = await prepare(["kms"], changed);
    const wrapped = await wrapper?.wrap(Buffer.from(OPTIONS));
    const opened = await unwrap(new Uint8Array(wrapped ?? []), contextFor("kms", changed));
    return Buffer.from(opened?.options.bytes ?? []).toString();
  }

  const failure = (target: string, tls: object, variables?: Record<string, string>) =>
    roundTrip(target, tls, variables).then(
      () => "it was called",
      (error) => `${error.code}: ${error.message}`,
    );

  test("its certificate has the host's name", async () => {
    expect(await roundTrip("localhost:ADDRESSED", trusting())).toBe(OPTIONS);
    expect(await failure("localhost:NAMED", trusting())).toMatch(
      /^PROVIDER: .*"kms" could not be reached.*altnames/,
    );
  });

  test("its certificate has the IP address, which is never sent as a server name", async () => {
    expect(await roundTrip("127.0.0.1:ADDRESSED", trusting())).toBe(OPTIONS);
    expect(await failure("127.0.0.1:NAMED", trusting())).toMatch(/^PROVIDER: .*altnames/);
  });

  test("it hears the name that its certificate must have, unless that is an IP address", async () => {
    const heard: unknown[] = [];
    const pair = { cert: readFileSync(file("addressed.crt")), key: readFileSync(file("addressed.key")) };
    const server = createServer({ ...pair, ALPNProtocols: ["h2"] }, (socket) => {
      heard.push(socket.servername);
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const heardBy = async (host: string, tls: object) => {
      expect(await failure(`${host}:${port}`, tls)).toMatch(/^PROVIDER: /);
      return [...new Set(heard.splice(0))];
    };
    const skipping = { ...trusting(), "insecure-skip-verify": true };
    expect(await heardBy("localhost", skipping)).toEqual(["localhost"]);
    expect(await heardBy("127.0.0.1", { ...skipping, "server-name": "kms.internal" })).toEqual([
      "kms.internal",
    ]);
    expect(await heardBy("127.0.0.1", skipping)).toEqual([false]);
  });

  test("its certificate has the configured server-name", async () => {
    const named = (name: string) => ({ ...trusting(), "server-name": name });
    expect(await roundTrip("127.0.0.1:NAMED", named("kms.internal"))).toBe(OPTIONS);
    expect(await failure("127.0.0.1:NAMED", named("kms.example"))).toMatch(/^PROVIDER: .*altnames/);
    expect(await failure("127.0.0.1:ADDRESSED", named("kms.internal"))).toMatch(/^PROVIDER: .*altnames/);
  });

  test("on a unix socket it is localhost", async () => {
    expect(await roundTrip("unix://FOLDER/kms.sock", trusting())).toBe(OPTIONS);
  });

  test("its authority has to be the configured one", async () => {
    const tls = { ...trusting(), "root-ca-file": file("other-ca.crt") };
    expect(await failure("localhost:ADDRESSED", tls)).toMatch(
      /^PROVIDER: .*could not be reached.*certificate/,
    );
  });

  test("without root-ca-file the machine's authorities count, or SSL_CERT_FILE's", async () => {
    expect(await failure("localhost:ADDRESSED", client())).toMatch(/^PROVIDER: /);
    expect(await roundTrip("localhost:ADDRESSED", client(), { SSL_CERT_FILE: file("ca.crt") })).toBe(OPTIONS);
    const elsewhere = { SSL_CERT_FILE: file("other-ca.crt") };
    expect(await failure("localhost:ADDRESSED", client(), elsewhere)).toMatch(/^PROVIDER: .*certificate/);
  });

  test("insecure-skip-verify takes any certificate", async () => {
    expect(await roundTrip("127.0.0.1:NAMED", { ...client(), "insecure-skip-verify": true })).toBe(OPTIONS);
  });

  test("it may want a client certificate of its own authority", async () => {
    const { "root-ca-file": rootCa } = trusting();
    expect(await failure("localhost:ADDRESSED", { "root-ca-file": rootCa })).toMatch(/^PROVIDER: /);
    const stranger = { "cert-file": file("stranger.crt"), "key-file": file("stranger.key") };
    expect(await failure("localhost:ADDRESSED", { "root-ca-file": rootCa, ...stranger })).toMatch(
      /^PROVIDER: /,
    );
  });

  test("a connection without TLS is not answered", async () => {
    const settings = settingsFor(folder, { kms: { grpc: `127.0.0.1:${ports.addressed}` } });
    await expect(unwrap(new Uint8Array([1]), contextFor("kms", settings))).rejects.toMatchObject({
      code: "PROVIDER",
    });
  });

  test("a file that can't be used is named before anything is sent", async () => {
    writeFileSync(file("empty"), "");
    writeFileSync(file("cert.der"), new X509Certificate(readFileSync(file("client.crt"))).raw);
    mkdirSync(file("directory"));
    const cases: [Record<string, string>, string][] = [
      [{ "root-ca-file": file("missing") }, "missing: no such file"],
      [{ "root-ca-file": file("directory") }, "directory: it is a directory"],
      [{ "root-ca-file": file("empty") }, "empty holds no PEM certificate"],
      [{ "root-ca-file": file("client.key") }, "client.key holds no PEM certificate"],
      [{ ...trusting(), "cert-file": file("missing") }, "missing: no such file"],
      [{ ...trusting(), "key-file": file("stranger.key") }, "stranger.key are not a certificate and its key"],
      [{ ...trusting(), "key-file": file("empty") }, "empty are not a certificate and its key"],
      [{ ...trusting(), "cert-file": file("cert.der") }, "are not a certificate and its key"],
    ];
    for (const [tls, message] of cases) {
      const text = await failure("localhost:ADDRESSED", tls);
      expect(text).toMatch(/^PROVIDER: the key provider "kms" can't be called/);
      expect(text).toContain(message);
    }
  });
});
