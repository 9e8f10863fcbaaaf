import {
  chmodSync,
  lstatSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import { Nodes, put, snapshot } from "../support/node-root.ts";
import { busybox, describeWith, ours, root, run } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { newSigner } from "../support/trust.ts";

const CONFIG = "etc/containerd/config.toml";
const DROP_IN = "etc/containerd/ctd-decoder.toml";
const OURS = "/etc/containerd/ctd-decoder";
const BIN_DIR = "/opt/containerd/image-verifier/bin";
const VERIFIER = "io.containerd.image-verifier.v1.bindir";
const PROGRAM = "/usr/local/bin/ctd-decoder";
const K3S = "var/lib/rancher/k3s/agent/etc/containerd";
const V2 = ["--containerd", "2.1.9"];

/** A policy that wants one key of a registry. The key's path is on the node. */
function policyWith(keyPath: string): string {
  const docker = {
    "registry.example.test": [{ type: "sigstoreSigned", keyPath }],
    "registry.k8s.io": [{ type: "insecureAcceptAnything" }],
  };
  return JSON.stringify({ default: [{ type: "reject" }], transports: { docker } });
}

describeWith([ours, busybox, root], "ctd-decoder install --trust", { timeout: 60_000 }, () => {
  const folder = temporaryFolder();
  const nodes = new Nodes(folder);
  const { publicKey, privateKey } = newSigner();
  put(folder, "cosign.pub", publicKey);
  put(folder, "policy.json", policyWith(`${OURS}/cosign.pub`));
  const policy = join(folder, "policy.json");
  const read = (node: string, path: string) => readFileSync(join(node, path), "utf8");
  const verifierOf = (text: string) => (parse(text)["plugins"] as Record<string, unknown>)[VERIFIER];
  const argsOf = (text: string) =>
    Object.values(parse(text)["stream_processors"] as Record<string, { args: string[] }>).map(
      ({ args }) => args,
    );

  describe("sets up the verifier and the gate, and takes both back:", () => {
    test.each<[string, Readonly<Record<string, string>>, string]>([
      ["a node without a configuration", {}, DROP_IN],
      ["a node with a configuration", { [CONFIG]: "version = 3\n[debug]\nlevel = 'info'\n" }, DROP_IN],
      [
        "k3s's template",
        {
          [`${K3S}/config.toml`]: "version = 3\n",
          [`${K3S}/config-v3.toml.tmpl`]: '{{ template "base" . }}\n',
        },
        `${K3S}/config-v3.toml.tmpl`,
      ],
    ])("%s", async (_what, files, written) => {
      const node = nodes.make(files);
      const before = snapshot(node);
      expect((await nodes.run("install", node, ...V2, "--trust", policy)).exit).toBe(3);
      expect(readlinkSync(join(node, BIN_DIR, "ctd-decoder"))).toBe(PROGRAM);
      expect(read(node, `${OURS}/policy.json`)).toBe(readFileSync(policy, "utf8"));
      expect(read(node, `${OURS}/cosign.pub`)).toBe(publicKey);
      expect(parse(read(node, `${OURS}/trust.toml`))).toEqual({
        policy: `${OURS}/policy.json`,
        deadline: "25s",
      });
      expect(lstatSync(join(node, `${OURS}/policy.json`)).mode & 0o777).toBe(0o644);
      const text = read(node, written).replace(/.*template "base".*/, "");
      expect(verifierOf(text)).toEqual({ bin_dir: BIN_DIR, per_verifier_timeout: "30s" });
      for (const args of argsOf(text))
        expect(args.slice(-2)).toEqual(["--trust-policy", `${OURS}/trust.toml`]);

      const installed = snapshot(node);
      for (const args of [["--trust", policy], []]) {
        const again = await nodes.run("install", node, ...V2, ...args);
        expect(again.said).not.toMatch(/wrote/);
        expect(snapshot(node)).toEqual(installed);
      }
      expect((await nodes.run("uninstall", node)).exit).toBe(0);
      expect(snapshot(node)).toEqual(before);
    });
  });

  test("an installation without --trust gets it later", async () => {
    const node = nodes.make({ [CONFIG]: "version = 3\n" });
    const before = snapshot(node);
    await nodes.run("install", node, ...V2);
    expect(snapshot(node)[`${BIN_DIR.slice(1)}/ctd-decoder`]).toBeUndefined();
    await nodes.run("install", node, ...V2, "--trust", policy);
    expect(verifierOf(read(node, DROP_IN))).toBeDefined();
    await nodes.run("uninstall", node);
    expect(snapshot(node)).toEqual(before);
  });

  test("an operator's folder and time limit stay", async () => {
    const section = `[plugins."${VERIFIER}"]\nbin_dir = "/opt/verifiers"\nper_verifier_timeout = "6s"\n`;
    const node = nodes.make({ [CONFIG]: `version = 3\n${section}` });
    await nodes.run("install", node, ...V2, "--trust", policy);
    expect(readlinkSync(join(node, "opt/verifiers/ctd-decoder"))).toBe(PROGRAM);
    expect(parse(read(node, `${OURS}/trust.toml`))["deadline"]).toBe("5s");
    expect(verifierOf(read(node, DROP_IN))).toEqual({
      bin_dir: "/opt/verifiers",
      per_verifier_timeout: "6s",
    });
  });

  test("an operator's trust.toml stays, and the policy goes where it says", async () => {
    const settings = 'policy = "/etc//trust/mine.json"\ndeadline = "9s"\n';
    const node = nodes.make({ [`${OURS}/trust.toml`]: settings });
    const before = snapshot(node);
    await nodes.run("install", node, ...V2, "--trust", policy);
    expect(read(node, `${OURS}/trust.toml`)).toBe(settings);
    expect(read(node, "/etc/trust/mine.json")).toBe(readFileSync(policy, "utf8"));
    await nodes.run("uninstall", node);
    expect(snapshot(node)).toEqual(before);
  });

  test.each([
    ["its settings", `${OURS}/trust.toml`],
    ["its policy", `${OURS}/policy.json`],
  ])("a gate that an operator left without %s is named until --trust restores it", async (_what, path) => {
    const node = nodes.make();
    expect((await nodes.run("install", node, ...V2, "--trust", policy)).said).not.toMatch(/warning/);
    rmSync(join(node, path));
    for (const more of [["--dry-run"], []])
      expect((await nodes.run("install", node, ...V2, ...more)).said).toMatch(
        new RegExp(
          `warning: ${path} does not exist, .* refuses every encrypted image\n.*install --trust POLICY`,
        ),
      );
    rmSync(join(node, "var/lib/ctd-decoder"), { recursive: true });
    expect((await nodes.run("install", node, ...V2)).said).toContain(`warning: ${path} does not exist`);
    expect((await nodes.run("install", node, ...V2, "--trust", policy)).said).not.toMatch(/warning/);
  });

  test("a program at another path gets the link, too", async () => {
    const node = nodes.make();
    await nodes.run("install", node, ...V2, "--trust", policy);
    await nodes.run("install", node, ...V2, "--program", "/opt/bin/ctd-decoder");
    expect(readlinkSync(join(node, BIN_DIR, "ctd-decoder"))).toBe("/opt/bin/ctd-decoder");
  });

  test.each([
    ["1.7.24", /has no image verifier: images that are not encrypted are not checked/],
    ["2.0.5", /does not call its image verifier/],
  ])(
    "with containerd %s, the gate checks encrypted images, and a warning says so",
    async (version, warning) => {
      const node = nodes.make();
      const before = snapshot(node);
      const { exit, said } = await nodes.run("install", node, "--containerd", version, "--trust", policy);
      expect({ exit, said }).toEqual({ exit: 3, said: expect.stringMatching(warning) });
      for (const args of argsOf(read(node, DROP_IN))) expect(args).toContain("--trust-policy");
      expect(snapshot(node)[`${BIN_DIR.slice(1)}/ctd-decoder`] === undefined).toBe(version.startsWith("1."));
      await nodes.run("uninstall", node);
      expect(snapshot(node)).toEqual(before);
    },
  );

  test("a setting that makes containerd pull without its verifier is named", async () => {
    const section = `[plugins."io.containerd.cri.v1.images"]\nmax_concurrent_downloads = 8\n`;
    const node = nodes.make({ [CONFIG]: `version = 3\n${section}` });
    const { said } = await nodes.run("install", node, ...V2, "--trust", policy);
    expect(said).toMatch(/pulls without its image verifier, because of max_concurrent_downloads = 8/);
  });

  test("--dry-run shows what would be written and does nothing", async () => {
    const node = nodes.make();
    const before = snapshot(node);
    const { said } = await nodes.run("install", node, ...V2, "--trust", policy, "--dry-run");
    expect(said).toContain(`would write ${BIN_DIR}/ctd-decoder\n`);
    expect(said).toContain(`+policy = "${OURS}/policy.json"\n`);
    expect(snapshot(node)).toEqual(before);
  });

  describe("refuses before anything is changed", () => {
    const refused = async (node: string, file: string, message: RegExp, ...args: string[]) => {
      const before = snapshot(node);
      const { exit, said } = await nodes.run("install", node, ...V2, ...args, "--trust", file);
      expect({ exit, said }).toEqual({ exit: 1, said: expect.stringMatching(message) });
      expect(snapshot(node)).toEqual(before);
    };

    test.each<[string, string, RegExp]>([
      ["a policy that is not one", '{"default":[]}', /default: it is not a list of one or more/],
      [
        "a key that the node lacks",
        policyWith("/etc/pki/a.pub"),
        /names \/etc\/pki\/a\.pub, which the node does not/,
      ],
      ["a private key", policyWith(`${OURS}/cosign.key`), /holds "PRIVATE KEY", which is not a public key/],
      ["a file that is not a key", policyWith(`${OURS}/junk`), /has no public key/],
    ])("%s", async (_what, text, message) => {
      put(folder, "bad/policy.json", text);
      put(folder, "bad/cosign.key", privateKey.export({ type: "pkcs8", format: "pem" }).toString());
      put(folder, "bad/junk", "junk");
      await refused(nodes.make(), join(folder, "bad/policy.json"), message);
    });

    test.each<[string, string, RegExp]>([
      ["a disabled plugin", `version = 3\ndisabled_plugins = ["${VERIFIER}"]\n`, /disabled_plugins has/],
      [
        "no program that may run",
        `version = 3\n[plugins."${VERIFIER}"]\nmax_verifiers = 0\n`,
        /only the first 0/,
      ],
      ["no time", `version = 3\n[plugins."${VERIFIER}"]\nper_verifier_timeout = "soon"\n`, /not a time/],
    ])("%s", async (_what, text, message) => {
      await refused(nodes.make({ [CONFIG]: text }), policy, message);
    });

    test("a file in the folder of verifiers that can't run", async () => {
      const node = nodes.make({ [`${BIN_DIR}/README`]: "notes" });
      await refused(node, policy, /bin\/README is not an executable file: every pull fails/);
      chmodSync(join(node, BIN_DIR, "README"), 0o755);
      expect((await nodes.run("install", node, ...V2, "--trust", policy)).exit).toBe(3);
    });

    test("another program at the link's place", async () => {
      const node = nodes.make({ [`${BIN_DIR}/ctd-decoder`]: "#!/bin/sh\n" });
      await refused(node, policy, /bin\/ctd-decoder already exists and is not a link to/);
      rmSync(join(node, BIN_DIR, "ctd-decoder"));
      symlinkSync("/nowhere", join(node, BIN_DIR, "ctd-decoder"));
      await refused(node, policy, /bin\/ctd-decoder already exists and is not a link to/);
    });

    test("a deadline that containerd's time limit cuts off", async () => {
      const settings = `policy = "${OURS}/policy.json"\ndeadline = "30s"\n`;
      await refused(
        nodes.make({ [`${OURS}/trust.toml`]: settings }),
        policy,
        /deadline of .* is not shorter/,
      );
    });
  });

  test("a containerd that does not come back gets everything as it was", async () => {
    const node = nodes.make({ [CONFIG]: "version = 3\n" });
    const before = snapshot(node);
    nodes.onAction("restart", "exit 1");
    nodes.onAction("is-active", "exit 3");
    try {
      const { exit } = await nodes.run("install", node, ...V2, "--trust", policy, "--restart");
      expect(exit).toBe(1);
    } finally {
      rmSync(join(folder, "restart"));
      rmSync(join(folder, "is-active"));
    }
    expect(snapshot(node)).toEqual(before);
  });

  test("a policy that was edited on the node stays when the rest goes", async () => {
    const node = nodes.make();
    await nodes.run("install", node, ...V2, "--trust", policy);
    writeFileSync(join(node, OURS, "policy.json"), '{"default":[{"type":"reject"}]}');
    const { said } = await nodes.run("uninstall", node);
    expect(said).toMatch(/policy\.json changed since the installation, and was kept/);
    const kept = Object.keys(snapshot(node)).filter(
      (path) => path.startsWith("etc/") || path.startsWith("opt"),
    );
    expect(kept.at(-1)).toBe("etc/containerd/ctd-decoder/policy.json");
  });
});

describeWith([ours], "ctd-decoder config --trust-policy", {}, () => {
  const config = async (...args: string[]) =>
    (await run(ours, ["config", "--trust-policy", "/etc/p.json", ...args])).stdout.toString();

  test("prints the verifier's stanza and the gate's flag for containerd 2.x", async () => {
    const { plugins, stream_processors: processors } = parse(await config());
    expect(plugins).toEqual({ [VERIFIER]: { bin_dir: BIN_DIR, per_verifier_timeout: "30s" } });
    for (const { args } of Object.values(processors as Record<string, { args: string[] }>))
      expect(args.slice(-2)).toEqual(["--trust-policy", "/etc/p.json"]);
  });

  test("prints the flag alone for 1.x, and says what that leaves open", async () => {
    const text = await config("--containerd", "1.x");
    expect(parse(text)["plugins"]).toBeUndefined();
    expect(text).toMatch(/^# containerd 1\.x has no image verifier/);
    expect(text).toContain('"--trust-policy", "/etc/p.json"');
  });
});
