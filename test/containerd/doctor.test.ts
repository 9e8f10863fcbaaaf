import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { skopeo } from "../support/peers.ts";
import { setKey } from "./images.ts";
import { byCri, describeNode } from "./suite.ts";

interface Report {
  readonly image?: { readonly platforms: readonly { readonly layers: readonly object[] }[] };
  readonly findings: readonly {
    readonly severity: string;
    readonly message: string;
    readonly hint?: string;
  }[];
}

describeNode("looked at by doctor", { localPull: true }, (suite) => {
  beforeAll(() => suite.encrypt(skopeo, "plain", "encrypted"));

  async function doctor(...args: string[]): Promise<Report> {
    const { folder } = suite.node;
    const { stdout, stderr } = await suite.node.execute(join(folder, "ctd-decoder"), [
      "doctor",
      ...["--json", "--config", join(folder, "config.toml"), ...args],
    ]);
    expect(stderr).not.toMatch(/internal error/);
    return JSON.parse(stdout.toString());
  }

  test("an image that was unpacked runs without its key, and is named", async () => {
    const reference = await suite.push("encrypted");
    expect(await byCri(suite.node, reference)).toBeNull();
    const named = ({ findings }: Report) =>
      findings.filter(({ message }) => message.includes("is unpacked on this node"));
    expect(named(await doctor())).toEqual([]);
    setKey(suite.node, suite.wrongKey.privatePath("pkcs8.pem"));
    expect(named(await doctor())).toEqual([
      {
        severity: "warning",
        message: `${reference} is unpacked on this node, and runs although no key here opens it`,
        hint: `remove it by \`crictl rmi ${reference}\``,
      },
    ]);
    expect(await suite.node.runImage(reference)).toBe(suite.listing);
  });

  test("--image works for an image that could not be pulled", async () => {
    setKey(suite.node, suite.wrongKey.privatePath("pkcs8.pem"));
    const reference = await suite.push("encrypted");
    expect(await byCri(suite.node, reference)).toBeTypeOf("string");
    const refused = await doctor("--plain-http", "--image", reference);
    expect(refused.image?.platforms[0]?.layers, JSON.stringify(refused.findings)).toHaveLength(4);
    const unopened = ({ findings }: Report) =>
      findings.filter(({ message }) => message.startsWith("no key here opens"));
    expect(unopened(refused).length).toBe(4);
    setKey(suite.node, suite.rightKey.privatePath("pkcs8.pem"));
    expect(unopened(await doctor("--plain-http", "--image", reference))).toEqual([]);
  });
});
