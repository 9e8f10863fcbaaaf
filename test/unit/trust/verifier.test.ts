import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { Output } from "../../../src/io/output.ts";
import { answerVerifierCall, decideVerifierCall } from "../../../src/trust/verifier.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { newSigner, writeSettings } from "../../support/trust.ts";
import { SigningRegistry } from "../../trust/signing-registry.ts";

const TYPE = "application/vnd.oci.descriptor.v1+json";
const UNKNOWN = `sha256:${"2".repeat(64)}`;

/** containerd's image verifier plugin calls with a name and a digest, and reads an exit code and a line. */
describeWith([root], "a call of the image verifier", {}, () => {
  const folder = temporaryFolder();
  const signers = { a: newSigner(), b: newSigner() };
  const verdicts = join(folder, "verdicts");
  let registry: SigningRegistry;
  let settings: string;

  beforeAll(async () => {
    registry = await SigningRegistry.start(signers);
    writeFileSync(join(folder, "a.pub"), signers.a.publicKey);
  });
  afterAll(async () => await registry.close());

  beforeEach(() => {
    rmSync(verdicts, { recursive: true, force: true });
    rmSync(join(folder, "break-glass"), { force: true });
    registry.requests.length = 0;
    registry.isSilent = false;
    policy({});
    configure({});
  });

  function configure(more: Readonly<Record<string, unknown>>): void {
    settings = writeSettings(join(folder, "settings"), {
      policy: join(folder, "policy.json"),
      verdict_dir: verdicts,
      // The first call also loads the code, which takes its time on a slow machine.
      deadline: "60s",
      break_glass: join(folder, "break-glass"),
      hosts_dir: join(folder, "certs.d"),
      audit_log: join(folder, "audit.log"),
      registries_d: join(folder, "registries.d"),
      ...more,
    });
  }

  function policy(scopes: Readonly<Record<string, unknown>>): void {
    const signed = [{ type: "sigstoreSigned", keyPath: join(folder, "a.pub") }];
    const docker = { [registry.address]: signed, ...scopes };
    writeFileSync(
      join(folder, "policy.json"),
      JSON.stringify({ default: [{ type: "reject" }], transports: { docker } }),
    );
  }

  async function call(path: string, digest = registry.digest, more: readonly string[] = []) {
    const name = path.includes(".") ? path : `${registry.address}/${path}`;
    const args = ["-name", name, "-digest", digest, "-stdin-media-type", TYPE, ...more];
    return await raw(
      args,
      JSON.stringify({ mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size: 1 }),
    );
  }

  async function raw(args: readonly string[], stdin: string) {
    async function* chunks() {
      yield Buffer.from(stdin);
    }
    const { line, refusal } = await decideVerifierCall({ args, stdin: chunks(), environment: {} }, settings);
    expect(refusal === undefined).toBe(line.startsWith("trust: accepted: "));
    return line;
  }

  test("an image that is signed is accepted, and the verdict kept", async () => {
    expect(await call("a/app:1")).toMatch(/^trust: accepted: signed by /);
    expect(readdirSync(verdicts)).toEqual([expect.stringContaining(registry.digest.slice("sha256:".length))]);
  });

  test("by digest, as containerd passes names that have one", async () => {
    expect(await call(`a/app@${registry.digest}`)).toMatch(/^trust: accepted/);
  });

  test.each([
    ["none/app:1", /^trust: unsigned: no signature found/],
    ["b/app:1", /^trust: wrong-signer: no signature satisfies/],
    ["moved/app:1", /^trust: wrong-signer: .*digest does not match/],
    ["other/app:1", /^trust: wrong-identity: /],
    ["a/app:2", /^trust: wrong-identity: /],
    ["reg.invalid/app:1", /^trust: policy: the policy rejects it \(default\)$/],
  ])("%s is refused", async (path, line) => {
    expect(await call(path)).toMatch(line);
    expect(() => readdirSync(verdicts)).toThrow();
  });

  test("settings in a folder that others than root may replace count for nothing", async () => {
    const open = join(folder, "open");
    mkdirSync(join(open, "settings"), { recursive: true });
    copyFileSync(settings, join(open, "settings/trust.toml"));
    chmodSync(open, 0o777);
    settings = join(open, "settings/trust.toml");
    expect(await call("a/app:1")).toMatch(/^trust: config: .*: others than root may write to .*open$/);
  });

  test("a name with another digest than the call's is refused", async () => {
    expect(await call(`a/app@${UNKNOWN}`)).toMatch(/^trust: config: .*its name has another digest$/);
  });

  test("a key that others than root may replace counts for nothing", async () => {
    chmodSync(join(folder, "a.pub"), 0o666);
    try {
      expect(await call("a/app:1")).toMatch(/^trust: config: .*a\.pub: others than root may write to/);
    } finally {
      chmodSync(join(folder, "a.pub"), 0o644);
    }
  });

  test("a key that the policy names by a relative path counts for nothing", async () => {
    const keyPath = relative(process.cwd(), join(folder, "a.pub"));
    policy({ [registry.address]: [{ type: "sigstoreSigned", keyPath }] });
    expect(await call("a/app:1")).toMatch(/^trust: config: can't use \.\..*a\.pub: .* relative path$/);
  });

  test("the digest is containerd's word: the tag is not resolved again", async () => {
    expect(await call("a/app:1", UNKNOWN)).toMatch(/^trust: unsigned/);
    expect(registry.requests.filter((path) => path.endsWith("/manifests/1"))).toEqual([]);
  });

  test("a scope that accepts anything is answered without the network", async () => {
    policy({ [`${registry.address}/none`]: [{ type: "insecureAcceptAnything" }] });
    expect(await call("none/app:1")).toMatch(/^trust: accepted: the policy accepts it without a signature$/);
    expect(registry.requests).toEqual([]);
  });

  test("a registry that is silent: our own deadline, unless an earlier verdict is there", async () => {
    configure({ deadline: "1s" });
    registry.isSilent = true;
    expect(await call("a/app:1")).toMatch(/^trust: deadline: /);
    registry.isSilent = false;
    configure({});
    expect(await call("a/app:1")).toMatch(/^trust: accepted: signed by /);
    // The earlier verdict is read in the last tenth of this time.
    configure({ deadline: "5s" });
    registry.isSilent = true;
    expect(await call("a/app:1")).toMatch(/as checked at .*the registry does not answer now$/);
    configure({ deadline: "1s" });
    expect(await call("a/app:1", UNKNOWN)).toMatch(/^trust: deadline: /);
    configure({ deadline: "1s", stale_if_error: false });
    expect(await call("a/app:1")).toMatch(/^trust: deadline: /);
  });

  test("a standard input that never ends is not waited for", async () => {
    configure({ deadline: "300ms" });
    const args = ["-name", "a.b/c:1", "-digest", registry.digest, "-stdin-media-type", TYPE];
    async function* never() {
      yield Buffer.from("{");
      await new Promise(() => undefined);
    }
    const { line } = await decideVerifierCall({ args, stdin: never(), environment: {} }, settings);
    expect(line).toMatch(/^trust: deadline: /);
  });

  test("a refusal by content is not overridden by an earlier verdict of another policy", async () => {
    expect(await call("a/app:1")).toMatch(/^trust: accepted/);
    policy({ [`${registry.address}/a`]: [{ type: "reject" }] });
    expect(await call("a/app:1")).toMatch(/^trust: policy: /);
    policy({ [`${registry.address}/a`]: [{ type: "sigstoreSigned", keyPath: join(folder, "missing.pub") }] });
    expect(await call("a/app:1")).toMatch(/^trust: config: .*missing\.pub/);
  });

  test("break-glass accepts one scope until its end, and is written down", async () => {
    const write = (until: Date, scope: string) =>
      writeFileSync(
        join(folder, "break-glass"),
        `until ${until.toISOString()} scope ${scope} reason key lost\n`,
        { mode: 0o600 },
      );
    write(new Date(Date.now() + 3_600_000), `${registry.address}/none`);
    expect(await call("none/app:1")).toMatch(/^trust: accepted: break-glass until .*: key lost$/);
    expect(await call("b/app:1")).toMatch(/^trust: wrong-signer/);
    const lines = readFileSync(join(folder, "audit.log"), "utf8").trim().split("\n");
    expect(JSON.parse(lines.at(-2) ?? "")).toMatchObject({ verdict: "accepted", exception: "break-glass" });
    write(new Date(Date.now() - 1000), `${registry.address}/none`);
    expect(await call("none/app:1")).toMatch(/^trust: unsigned/);
    write(new Date(Date.now() + 3_600_000), `${registry.address}/none`);
    chmodSync(join(folder, "break-glass"), 0o666);
    expect(await call("none/app:1")).toMatch(/^trust: config: .*others than root/);
  });

  test("each answer is written down with its image, and nothing without a log", async () => {
    const log = join(folder, "whole.log");
    configure({ audit_log: log });
    await call("a/app:1");
    await call("b/app:1");
    await call("a/app@sha256:x");
    const lines = readFileSync(log, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const { digest, address } = registry;
    const image = (path: string) => ({ registry: address, repository: path, tag: "1", digest });
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/);
    const scope = `docker scope "${address}"`;
    expect(lines).toEqual([
      {
        ...{ time, image: image("a/app"), verdict: "accepted", scope },
        reason: expect.stringMatching(/^signed by key /),
        signer: expect.stringMatching(/^key /),
      },
      {
        ...{ time, image: image("b/app"), verdict: "refused", scope },
        reason: expect.stringMatching(/^no signature satisfies /),
      },
      { time, verdict: "refused", reason: expect.stringMatching(/^trust: config: .*malformed/), scope: "" },
    ]);
    const write = vi.spyOn(Output.prototype, "write").mockReturnValue();
    try {
      configure({ audit_log: join(folder, "missing/audit.log") });
      expect(await call("a/app:1")).toMatch(/^trust: accepted/);
      expect(Buffer.from(write.mock.lastCall?.[0] ?? []).toString()).toMatch(
        /^ctd-decoder: warning: can't write to /,
      );
      write.mockClear();
      rmSync(settings);
      settings = writeSettings(join(folder, "settings"), {
        policy: join(folder, "policy.json"),
        verdict_dir: verdicts,
        hosts_dir: join(folder, "certs.d"),
      });
      expect(await call("a/app:1")).toMatch(/^trust: accepted/);
      expect(write).not.toHaveBeenCalled();
    } finally {
      write.mockRestore();
    }
  });

  describe("what is malformed refuses", () => {
    const digest = UNKNOWN;
    const stdin = JSON.stringify({ digest });
    const sha512 = `sha512:${"0".repeat(128)}`;
    test.each<[string, string[], string]>([
      [
        "a digest of another algorithm",
        ["-name", "a.b/c:1", "-digest", sha512, "-stdin-media-type", TYPE],
        JSON.stringify({ digest: sha512 }),
      ],
      ["no name", ["-digest", digest, "-stdin-media-type", TYPE], stdin],
      ["no digest", ["-name", "a.b/c:1", "-stdin-media-type", TYPE], stdin],
      ["another media type", ["-name", "a.b/c:1", "-digest", digest, "-stdin-media-type", "x"], stdin],
      ["another digest on stdin", ["-name", "a.b/c:1", "-digest", digest, "-stdin-media-type", TYPE], "{}"],
      [
        "two names",
        ["-name", "a.b/c:1", "-name", "x.y/z:1", "-digest", digest, "-stdin-media-type", TYPE],
        stdin,
      ],
      ["a name that is none", ["-name", "A//b", "-digest", digest, "-stdin-media-type", TYPE], stdin],
      [
        "a flag without a value",
        ["-quiet", "-name", "a.b/c:1", "-digest", digest, "-stdin-media-type", TYPE],
        stdin,
      ],
      ["a word", ["-name", "a.b/c:1", "x", "-digest", digest, "-stdin-media-type", TYPE], stdin],
    ])("%s", async (_what, args, input) => {
      expect(await raw(args, input)).toMatch(/^trust: config: the verifier call is malformed/);
    });
  });

  test("a flag of a later containerd is passed over before the name, too", async () => {
    const args = ["-name", `${registry.address}/a/app:1`, "-digest", registry.digest];
    const input = JSON.stringify({ digest: registry.digest });
    expect(await raw(["-operation", "pull", ...args, "-stdin-media-type", TYPE], input)).toMatch(
      /^trust: accepted/,
    );
  });

  test("64 KiB of standard input are read, and no more", async () => {
    const args = [
      "-name",
      `${registry.address}/a/app:1`,
      "-digest",
      registry.digest,
      "-stdin-media-type",
      TYPE,
    ];
    const input = JSON.stringify({ digest: registry.digest });
    expect(await raw(args, input.padEnd(65_536))).toMatch(/^trust: accepted/);
    expect(await raw(args, input.padEnd(65_537))).toMatch(/its standard input is too long$/);
  });

  test("512 characters of a line are shown, and no more", async () => {
    const write = vi.spyOn(Output.prototype, "write").mockReturnValue();
    const shown = async (chars: number) => {
      const args = ["-name", "a", "-digest", registry.digest, "-stdin-media-type", "x".repeat(chars)];
      await answerVerifierCall({ args, stdin: Readable.from([]), environment: {} }, settings);
      return Buffer.from(write.mock.lastCall?.[0] ?? []).toString();
    };
    try {
      const rest = (await shown(1)).length - 2;
      expect(await shown(512 - rest)).toMatch(/^trust: config: .*"\n$/);
      const cut = await shown(513 - rest);
      expect(cut).toMatch(/x…\n$/);
      expect(cut).toHaveLength(512 + 2);
    } finally {
      write.mockRestore();
    }
  });

  test("flags of a later containerd are passed over", async () => {
    expect(await call("a/app:1", registry.digest, ["-operation", "pull"])).toMatch(/^trust: accepted/);
  });

  test("a file of registries.d that is malformed refuses", async () => {
    mkdirSync(join(folder, "registries.d"), { recursive: true });
    const file = join(folder, "registries.d/x.yaml");
    try {
      for (const content of ["docker: [", "docker: []", "- docker"]) {
        writeFileSync(file, content);
        expect(await call("a/app:1")).toMatch(/^trust: config: can't use .*x\.yaml: /);
      }
      writeFileSync(file, "# nothing\n");
      expect(await call("a/app:1")).toMatch(/^trust: accepted/);
    } finally {
      rmSync(file);
    }
  });

  test("settings that are wrong refuse", async () => {
    appendFileSync(settings, "polcy = 1\n");
    expect(await call("a/app:1")).toMatch(/^trust: config: .*unknown setting "polcy"/);
    configure({ deadline: "soon" });
    expect(await call("a/app:1")).toMatch(/^trust: config: .*deadline/);
    configure({ policy: "policy.json" });
    expect(await call("a/app:1")).toMatch(/^trust: config: .*absolute path/);
    configure({});
    chmodSync(settings, 0o666);
    expect(await call("a/app:1")).toMatch(/^trust: config: .*others than root may write/);
    chmodSync(settings, 0o644);
    rmSync(settings);
    expect(await call("a/app:1")).toMatch(/^trust: config: .*no such file/);
  });
});
