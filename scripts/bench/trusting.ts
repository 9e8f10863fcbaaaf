/** Rows of signatures: a check compared with cosign and with a bare start, and what the gate adds to a layer. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ContentStore } from "../../test/support/content-store.ts";
import { startDockerRegistry } from "../../test/support/docker-registry.ts";
import { cosign2, cosign3, registry } from "../../test/support/peers.ts";
import { Sigstore } from "../../test/support/sigstore.ts";
import { newSigner, removeVerdicts, storeSignature, writeSettings } from "../../test/support/trust.ts";
import { writeImage } from "./images.ts";
import { writeLayer } from "./inputs.ts";
import { type CommandLine, check, measured, timeOnFiles } from "./programs.ts";
import { atMost, type Row } from "./row.ts";
import { KiB } from "./units.ts";

const CHECK = "check a signature in a registry with a key, processor time";

const checkRow: Row = {
  id: "trust-check",
  unit: "ms",
  rounds: 20,
  option: "registry",
  lines: [
    { title: `${CHECK}, compared with cosign`, of: "ours", over: "cosign", goal: atMost(1) },
    {
      title: `${CHECK}, compared with an empty Bun executable`,
      of: "ours",
      over: "empty",
      goal: atMost(1.5),
    },
  ],
  prepare: async (workspace) => {
    for (const { absent } of [registry, cosign2]) if (absent !== undefined) throw new Error(absent);
    const folder = workspace.newFolder("trust-check");
    const server = await startDockerRegistry(join(folder, "registry"));
    await writeImage(join(folder, "image"), "v1", [{ bytes: 4 * KiB, compression: "none" }]);
    const [image, key] = [`${server.host}/app:v1`, join(folder, "cosign.key")];
    const { recipients } = await workspace.keys();
    const environment = { COSIGN_PASSWORD: "", HOME: folder };
    const cpu = (command: CommandLine) => () => measured(command, environment).cpu;
    const own = (...args: readonly string[]): CommandLine => [workspace.ours, ...args];
    for (const command of [
      own("keygen", "-q", "--for", "signing", key),
      own(
        "encrypt",
        "-q",
        "--recipient",
        `jwe:${recipients[0]}`,
        `oci:${folder}/image:v1`,
        `docker://${image}`,
      ),
      own("sign", "-q", "--key", key, `docker://${image}`),
    ])
      cpu(command)();
    const check = ["--allow-http-registry", "--insecure-ignore-tlog", "--key", `${key}.pub`, image];
    return {
      contestants: {
        empty: cpu(workspace.emptyExecutable()),
        ours: cpu(own("trust", "check", "--plain-http", "--key", `${key}.pub`, image)),
        cosign: cpu([cosign2.command, ...cosign2.args, "verify", ...check]),
      },
      end: async () => {
        await server.stop();
        rmSync(folder, { recursive: true });
      },
    };
  },
};

const KEYLESS = "check a file's signature by a certificate, without network, processor time";

/** Bundle with certificate, certificate and RFC 3161 timestamps, log entry; trusted root in a file. */
const keylessRow: Row = {
  id: "trust-keyless",
  unit: "ms",
  rounds: 20,
  option: "registry",
  lines: [
    { title: `${KEYLESS}, compared with cosign`, of: "ours", over: "cosign", goal: atMost(1) },
    {
      title: `${KEYLESS}, compared with an empty Bun executable`,
      of: "ours",
      over: "empty",
      goal: atMost(3),
    },
  ],
  prepare: async (workspace) => {
    if (cosign3.absent !== undefined) throw new Error(cosign3.absent);
    const folder = workspace.newFolder("trust-keyless");
    const at = (file: string) => join(folder, file);
    const [store, bytes] = [new Sigstore(), Buffer.from("released\n")];
    writeFileSync(at("file"), bytes);
    writeFileSync(at("bundle"), JSON.stringify(store.fileBundle(bytes)));
    writeFileSync(at("root.json"), JSON.stringify(store.trustedRoot()));
    const args = [
      ...["--bundle", at("bundle"), "--trusted-root", at("root.json")],
      ...["--certificate-identity", "dev@example.test"],
      ...["--certificate-oidc-issuer", "https://issuer.example.test", at("file")],
    ];
    const cpu = (command: CommandLine) => () => measured(command, { HOME: folder }).cpu;
    return {
      contestants: {
        empty: cpu(workspace.emptyExecutable()),
        ours: cpu([workspace.ours, "verify-blob", ...args]),
        cosign: cpu([cosign3.command, ...cosign3.args, "verify-blob", ...args]),
      },
      end: async () => rmSync(folder, { recursive: true }),
    };
  },
};

/** An earlier layer of the same image left a verdict, so the gate only compares. */
const gateRow: Row = {
  id: "trust-gate",
  unit: "ms",
  rounds: 40,
  lines: [
    {
      title: "added by the gate to a layer whose image has a verdict",
      of: "gate",
      beyond: "without",
      goal: atMost(2),
    },
  ],
  prepare: async (workspace) => {
    const folder = workspace.newFolder("trust-gate");
    const layer = await writeLayer(folder, 4 * KiB, (await workspace.keys()).recipients);
    const store = new ContentStore(folder);
    const manifest = store.addManifest([layer.descriptor]);
    // The fixture's pull has this name.
    const name = "127.0.0.1/test";
    store.lease(manifest, layer.descriptor.digest);
    const signer = newSigner();
    const at = (file: string) => join(folder, file);
    writeFileSync(at("key.pub"), signer.publicKey);
    const signed = {
      type: "sigstoreSigned",
      keyPath: at("key.pub"),
      signedIdentity: { type: "matchRepository" },
    };
    const policy = { default: [{ type: "reject" }], transports: { docker: { [name]: [signed] } } };
    writeFileSync(at("policy.json"), JSON.stringify(policy));
    storeSignature(at("signatures"), signer, { digest: manifest, reference: name });
    const settings = writeSettings(at("settings"), {
      ...{ policy: at("policy.json"), signature_store: at("signatures") },
      ...{ hosts_dir: at("no-hosts") },
    });
    const { ours } = await workspace.decoders();
    const without: CommandLine = [...ours, "--content-store", store.folder];
    const gate: CommandLine = [...without, "--trust-policy", settings];
    for (const decoder of [without, gate]) check(decoder, layer);
    return {
      contestants: {
        without: () => timeOnFiles(without, layer, folder),
        gate: () => timeOnFiles(gate, layer, folder),
      },
      end: async () => removeVerdicts(manifest),
    };
  },
};

export const TRUSTING: readonly Row[] = [gateRow, checkRow, keylessRow];
