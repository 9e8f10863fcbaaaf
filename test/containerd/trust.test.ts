import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { putIndex, rootOf } from "../support/layouts.ts";
import { ours, output, skopeo } from "../support/peers.ts";
import { newSigner, storeAttestation, type TestSigner } from "../support/trust.ts";
import { REGISTRY } from "./node.ts";
import { byCri, byCtr, describeNode, type NodeSuite, type Pull, release } from "./suite.ts";

/** Of a server that is not a registry. */
const PORT = 5999;
const SETTINGS = "/etc/containerd/ctd-decoder";

if (release.version.startsWith("2.")) {
  describeNode("with the image verifier", { processors: "zstd apart" }, (suite) => {
    beforeAll(async () => {
      mkdirSync(join(suite.node.folder, "verifiers"));
      symlinkSync(join(suite.node.folder, "ctd-decoder"), join(suite.node.folder, "verifiers/ctd-decoder"));
      mkdirSync(join(suite.node.folder, "trust"));
      // The settings have one place. Nothing of the machine's is changed: the mount is the node's alone.
      await suite.node.execute("busybox", ["mkdir", "-p", SETTINGS]);
      const { exit, stderr } = await suite.node.execute("busybox", [
        "mount",
        "--bind",
        join(suite.node.folder, "trust"),
        SETTINGS,
      ]);
      expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    });
    const signing = signedImages(suite);
    const refusal = (code: string) =>
      new RegExp(`image verifier bindir blocked pull of ${REGISTRY}/.* for reason: .*trust: ${code}: `);
    refusesWhatIsNotSigned(suite, signing, byCri, refusal);

    test("nothing is decrypted and nothing fetched of an image that is refused", async () => {
      const reference = await suite.push("encrypted");
      expect(await byCri(suite.node, reference)).toMatch(refusal("unsigned"));
      expect(suite.node.takeCalls()).toEqual([]);
      const { stdout } = await suite.node.ctr("content", "list", "--quiet");
      expect(stdout.toString()).toBe("");
    });

    test("without settings every pull is refused", async () => {
      const reference = await suite.push("encrypted");
      await signing.sign(reference);
      rmSync(join(suite.node.folder, "trust/trust.toml"));
      expect(await byCri(suite.node, reference)).toMatch(refusal("config"));
    });

    /** What `doctor` says about signatures. */
    async function diagnose(): Promise<readonly string[]> {
      const { folder } = suite.node;
      const args = ["doctor", "--json", "--config", join(folder, "config.toml")];
      const { stdout } = await suite.node.execute(join(folder, "ctd-decoder"), args);
      const { trust } = JSON.parse(stdout.toString());
      return trust.findings.map(({ severity, message }: Finding) => `${severity}: ${message}`);
    }

    test("doctor finds nothing wrong with the verifier, and misses the gate", async () => {
      expect(await diagnose()).toEqual([
        expect.stringMatching(/^warning: registry\.k8s\.io is rejected/),
        expect.stringMatching(/^warning: .* without --trust-policy/),
      ]);
    });

    test("an empty folder of verifiers refuses nothing, and doctor finds it", async () => {
      const link = join(suite.node.folder, "verifiers/ctd-decoder");
      rmSync(link);
      try {
        const reference = await suite.push("encrypted");
        expect(await byCri(suite.node, reference)).toBeNull();
        expect(await diagnose()).toContainEqual(
          expect.stringMatching(/^error: .*verifiers is empty or missing: containerd allows every pull/),
        );
      } finally {
        symlinkSync(join(suite.node.folder, "ctd-decoder"), link);
      }
    });

    test("a program in the folder that is not ours is found by the probe", async () => {
      const link = join(suite.node.folder, "verifiers/ctd-decoder");
      rmSync(link);
      writeFileSync(link, "#!/bin/busybox sh\nexit 0\n", { mode: 0o755 });
      try {
        expect(await diagnose()).toContainEqual(
          expect.stringMatching(/^error: .* accepted ctd-decoder\.invalid/),
        );
      } finally {
        rmSync(link);
        symlinkSync(join(suite.node.folder, "ctd-decoder"), link);
      }
    });
  });
}

describeNode(
  "with the decoder's gate",
  {
    processors: "zstd apart",
    args: ["--trust-policy", "{folder}/trust/trust.toml"],
    ...(release.version.startsWith("2.") && { localPull: true }),
  },
  (suite) => {
    beforeAll(() => mkdirSync(join(suite.node.folder, "trust")));
    const signing = signedImages(suite);
    const refusal = () => /ctd-decoder: error: no image with this layer is trusted/;
    refusesWhatIsNotSigned(suite, signing, byCri, refusal);

    test("an unsigned image that ctr pulls without a payload: refused", async () => {
      const reference = await suite.push("encrypted");
      expect(await byCtr(suite.node, reference)).toMatch(refusal());
    });
  },
);

interface Finding {
  readonly severity: string;
  readonly message: string;
}

interface Signing {
  /** Signs an image in the node's registry. */
  sign(reference: string, by?: TestSigner): Promise<void>;
  /** Puts an attestation by the trusted key where the node looks first. */
  attest(tag: string): void;
  /** Signatures come from this server from now on, which is not a registry. */
  readFrom(server: string): void;
}

/** Encrypts the test image, and writes a policy that wants this project's signatures of the node's registry. */
function signedImages(suite: NodeSuite): Signing {
  const signer = newSigner();
  let number = 0;
  beforeAll(() => suite.encrypt(skopeo, "plain", "encrypted"));
  beforeEach(() => {
    const trust = join(suite.node.folder, "trust");
    writeFileSync(join(trust, "cosign.pub"), signer.publicKey);
    const signed = [{ type: "sigstoreSigned", keyPath: join(trust, "cosign.pub") }];
    const policy = { default: [{ type: "reject" }], transports: { docker: { [REGISTRY]: signed } } };
    writeFileSync(join(trust, "policy.json"), JSON.stringify(policy));
    rmSync(join(trust, "hosts"), { recursive: true, force: true });
    // A folder of verdicts of its own for each test.
    const lines = {
      policy: join(trust, "policy.json"),
      verdict_dir: join(suite.node.folder, `verdicts-${number++}`),
      hosts_dir: join(trust, "hosts"),
      signature_store: join(trust, "store"),
      deadline: "20s",
    };
    const toml = Object.entries(lines).map(([name, value]) => `${name} = ${JSON.stringify(value)}\n`);
    writeFileSync(join(trust, "trust.toml"), toml.join(""), { mode: 0o644 });
  });
  return {
    async sign(reference, by = signer) {
      const key = join(suite.folder, "cosign.key");
      writeFileSync(key, by.privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
      await output(suite.node.inside(ours), ["sign", "--quiet", "--key", key, reference]);
    },
    attest(tag) {
      storeAttestation(join(suite.node.folder, "trust/store"), signer, {
        digest: rootOf(suite.layout, tag).digest,
        reference: `${REGISTRY}/test:${tag}`,
        predicateType: "https://spdx.dev/Document",
      });
    },
    readFrom(server) {
      const host = join(suite.node.folder, "trust/hosts", REGISTRY);
      mkdirSync(host, { recursive: true });
      writeFileSync(join(host, "hosts.toml"), `server = ${JSON.stringify(server)}\n`);
    },
  };
}

function refusesWhatIsNotSigned(
  suite: NodeSuite,
  { sign, attest, readFrom }: Signing,
  pull: Pull,
  refusal: (code: string) => RegExp,
): void {
  /** An image whose digest no other test has seen, so that nobody has signed it. */
  async function fresh(tag: string): Promise<string> {
    await suite.encrypt(skopeo, "plain", tag);
    return await suite.push(tag);
  }

  test("unsigned: refused", async () => {
    expect(await pull(suite.node, await fresh("unsigned"))).toMatch(refusal("unsigned"));
  });

  test("signed and encrypted: pulled, decrypted, run", async () => {
    const reference = await fresh("signed");
    await sign(reference);
    expect(await pull(suite.node, reference)).toBeNull();
    expect(suite.node.takeCalls()).toEqual(suite.mediaTypes("signed"));
    expect(await suite.node.runImage(reference)).toBe(suite.listing);
  });

  test("signed by another key: refused", async () => {
    const reference = await fresh("another-key");
    await sign(reference, newSigner());
    expect(await pull(suite.node, reference)).toMatch(refusal("wrong-signer"));
  });

  test("a tag that was moved to another image: refused", async () => {
    const reference = await fresh("moved");
    await sign(reference);
    await suite.encrypt(skopeo, "plain", "moved");
    await suite.push("moved");
    expect(await pull(suite.node, reference)).toMatch(refusal("unsigned"));
  });

  test("another image's signature: refused", async () => {
    await sign(await fresh("donor"));
    const reference = await fresh("thief");
    const [from, to] = [digestTag(suite, "donor"), digestTag(suite, "thief")];
    await copyAll(suite, `docker://${REGISTRY}/test:${from}`, `docker://${REGISTRY}/test:${to}`);
    expect(await pull(suite.node, reference)).toMatch(refusal("wrong-signer"));
  });

  test("an attestation by the right key is not a signature: refused", async () => {
    const reference = await fresh("attested");
    attest("attested");
    expect(await pull(suite.node, reference)).toMatch(refusal("wrong-signer"));
  });

  test("signed under another repository's name: refused", async () => {
    const reference = await fresh("moved-away");
    await sign(reference);
    const moved = `${REGISTRY}/other:moved-away`;
    for (const tag of ["moved-away", digestTag(suite, "moved-away")]) {
      await copyAll(suite, `docker://${REGISTRY}/test:${tag}`, `docker://${REGISTRY}/other:${tag}`);
    }
    expect(await pull(suite.node, moved)).toMatch(refusal("wrong-identity"));
  });

  test("an index of several platforms is signed as a whole", async () => {
    const parts = ["amd64", "arm64"].map((architecture, i) => ({ architecture, tag: `part-${i}` }));
    for (const { tag } of parts) await suite.encrypt(skopeo, "plain", tag);
    const manifests = parts.map(({ architecture, tag }) => {
      const { mediaType, digest, size } = rootOf(suite.layout, tag);
      return { mediaType, digest, size, platform: { os: "linux", architecture } };
    });
    addTag(suite.layout, putIndex(suite.layout, manifests), "several");
    const reference = `${REGISTRY}/test:several`;
    await copyAll(suite, `oci:${suite.layout}:several`, `docker://${reference}`);
    expect(await pull(suite.node, reference)).toMatch(refusal("unsigned"));
    await sign(reference);
    expect(await pull(suite.node, reference)).toBeNull();
    expect(await suite.node.runImage(reference)).toBe(suite.listing);
  });

  test("a registry of signatures that is down: refused", async () => {
    const reference = await fresh("down");
    await sign(reference);
    readFrom(`http://127.0.0.1:${PORT}`);
    expect(await pull(suite.node, reference)).toMatch(refusal("registry"));
  });

  test("a registry that wants credentials: refused", async () => {
    const reference = await fresh("unauthorized");
    await sign(reference);
    readFrom(`http://127.0.0.1:${PORT}`);
    const stop = await serve(
      suite,
      `response.writeHead(401, { "WWW-Authenticate": "Basic realm=x" }); response.end("{}");`,
    );
    try {
      expect(await pull(suite.node, reference)).toMatch(refusal("registry"));
    } finally {
      stop();
    }
  });

  test("a registry that never answers: refused within the deadline", async () => {
    const reference = await fresh("slow");
    await sign(reference);
    readFrom(`http://127.0.0.1:${PORT}`);
    const settings = join(suite.node.folder, "trust/trust.toml");
    writeFileSync(settings, readFileSync(settings, "utf8").replace(/^deadline.*$/m, 'deadline = "3s"'));
    const stop = await serve(suite, "");
    try {
      expect(await pull(suite.node, reference)).toMatch(refusal("deadline"));
    } finally {
      stop();
    }
  });
}

/** A server in the node's network: what it says is refused, or nothing at all. */
async function serve(suite: NodeSuite, answer: string): Promise<() => void> {
  const script = `require("http").createServer((request, response) => { ${answer} }).listen(${PORT}, "127.0.0.1", () => console.log("up"))`;
  const { command, args } = suite.node.inside({ name: "node", command: process.execPath, args: [] });
  const server = spawn(command, [...args, "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  await once(server.stdout, "data");
  return () => server.kill("SIGKILL");
}

/** Copies an image with all its platforms, and nothing that belongs to it. */
async function copyAll(suite: NodeSuite, from: string, to: string): Promise<void> {
  const insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
  await output(suite.node.inside(skopeo), ["--insecure-policy", "copy", "--all", ...insecure, from, to]);
}

/** Adds an image to a layout, which keeps those that it has. */
function addTag(layout: string, root: object, tag: string): void {
  const path = join(layout, "index.json");
  const index = JSON.parse(readFileSync(path, "utf8"));
  index.manifests.push({ ...root, annotations: { "org.opencontainers.image.ref.name": tag } });
  writeFileSync(path, JSON.stringify(index));
}

/** The tag of an image's signatures in form A. */
function digestTag(suite: NodeSuite, tag: string): string {
  return `${rootOf(suite.layout, tag).digest.replace(":", "-")}.sig`;
}
