import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { succeed } from "../support/cli.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** A policy can be read where its keys are not. */
describeWith([ours], "trust explain", {}, () => {
  const policy = join(temporaryFolder(), "policy.json");
  const signed = { type: "sigstoreSigned", keyPath: "/nowhere/a.pub" };
  const gpg = { type: "signedBy", keyType: "GPGKeys", keyPath: "/nowhere/b.gpg" };
  writeFileSync(
    policy,
    JSON.stringify({
      default: [{ type: "reject" }],
      transports: {
        docker: {
          "registry.test/shop": [signed, gpg],
          "registry.test/open": [{ type: "insecureAcceptAnything" }],
        },
      },
    }),
  );

  test.each([
    [
      "registry.test/shop/app:1",
      'docker scope "registry.test/shop"',
      [
        "all of",
        "  signed: sigstoreSigned, keyPath /nowhere/a.pub, matchRepoDigestOrExact",
        "  signed: signedBy, keyPath /nowhere/b.gpg, matchRepoDigestOrExact",
      ],
    ],
    ["registry.test/open:1", 'docker scope "registry.test/open"', ["accepted without a signature"]],
    ["nginx", "default", ["rejected"]],
    ["oci:/tmp", "default", ["rejected"]],
  ])("%s: %s", async (name, scope, demands) => {
    const text = await succeed(["trust", "explain", "--json", "--policy", policy, name]);
    expect(JSON.parse(text)).toEqual({ format: "containers-policy.json", scope, demands });
  });
});
