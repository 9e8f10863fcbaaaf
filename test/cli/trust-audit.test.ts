import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { boltDatabase } from "../support/bolt.ts";
import { command, ONE_ERROR } from "../support/cli.ts";
import { ContentStore } from "../support/content-store.ts";
import { describeWith, ours, root, run } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { newSigner, writeSettings } from "../support/trust.ts";

const A = `sha256:${"a".repeat(64)}`;
const B = `sha256:${"b".repeat(64)}`;

/** An image that can't be judged must hide neither itself nor the images after it. */
describeWith([ours, root], "trust audit", {}, () => {
  const folder = temporaryFolder();
  const policy = join(folder, "policy.json");
  const store = new ContentStore(join(folder, "containerd"));
  const hosts = join(folder, "certs.d/broken.test/hosts.toml");
  let settings: string;
  const audit = (...more: readonly string[]) =>
    command(["trust", "audit", "--settings", settings, "--content-store", store.folder, ...more]);

  beforeAll(() => {
    writeFileSync(join(folder, "key.pub"), newSigner().publicKey);
    const accept = [{ type: "insecureAcceptAnything" }];
    const signed = [{ type: "sigstoreSigned", keyPath: join(folder, "key.pub") }];
    const docker = { "open.test": accept, "broken.test": signed };
    writeFileSync(policy, JSON.stringify({ default: [{ type: "reject" }], transports: { docker } }));
    mkdirSync(join(hosts, ".."), { recursive: true });
    writeFileSync(hosts, "[");
    settings = writeSettings(join(folder, "settings"), { policy, hosts_dir: join(folder, "certs.d") });
    const images = Object.fromEntries(
      ["broken.test/b:1", "closed.test/c:1", "open.test/o:1"].map((name) => [
        name,
        { target: { digest: A } },
      ]),
    );
    store.describe(
      boltDatabase({ v1: { "k8s.io": { images: { ...images, [B]: { target: { digest: B } } } } } }),
    );
  });

  test("reports an image that it can't judge, goes on, and fails", async () => {
    const { exit, stdout, stderr } = await audit();
    expect(stdout.toString().trimEnd().split("\n").sort()).toEqual([
      'accepted  open.test/o:1: the policy accepts it without a signature (docker scope "open.test")',
      `not judged  broken.test/b:1: can't use ${hosts}: it is not valid TOML in line 1, column 2`,
      `not judged  ${B}: it has no name that the policy could judge`,
      "refused  closed.test/c:1: the policy rejects it (default)",
    ]);
    expect([exit, stderr]).toEqual([
      1,
      "ctd-decoder: error: 3 of 4 images not accepted, of which 2 could not be judged\n",
    ]);
  });

  test("marks in the JSON what it can't judge", async () => {
    const { images, error } = JSON.parse((await audit("--json")).stdout.toString());
    expect(error).toMatchObject({ code: "UNTRUSTED" });
    expect(
      images.map((it: { judged: boolean; accepted: boolean }) => [it.judged, it.accepted]).sort(),
    ).toEqual([
      [false, false],
      [false, false],
      [true, false],
      [true, true],
    ]);
  });

  test("a node without a policy is an error that says how to install one", async () => {
    const script = 'mkdir -p /etc/containerd; mount -t tmpfs tmpfs /etc/containerd; "$0" trust audit';
    const unshare = { name: "unshare", command: "unshare", args: ["--mount", "sh", "-euc", script] };
    const { exit, stderr } = await run(unshare, [ours.command]);
    expect([exit, stderr.split("\n")]).toEqual([
      1,
      [
        "ctd-decoder: error: no policy is installed on this node: /etc/containerd/ctd-decoder/trust.toml does not exist",
        expect.stringMatching(/^ctd-decoder: hint: ctd-decoder install --trust POLICY installs one; /),
        "",
      ],
    ]);
  });

  test("a policy that can't be read is one error", async () => {
    writeFileSync(policy, "{");
    expect(await audit()).toMatchObject({ exit: 1, stderr: expect.stringMatching(ONE_ERROR) });
    expect((await audit("--json")).stdout.toString()).toMatch(/"code": "CONFIG"/);
  });
});
