import { expect, test } from "vitest";
import type { FoundSignature } from "../../../src/trust/found.ts";
import { judge } from "../../../src/trust/judge.ts";
import { newSigner, signBytes, simplePayload } from "../../support/trust.ts";
import { demand, trustFile } from "./check/demand.ts";

const image = { digest: `sha256:${"a".repeat(64)}`, name: undefined };
const [trusted, stranger] = [newSigner(), newSigner()];
const requirement = demand({ signer: { kind: "keys", keys: [trustFile("key.pub", trusted.publicKey)] } });

function signatures(count: number): FoundSignature[] {
  const payload = simplePayload(image.digest, "a.b/c");
  const signature = signBytes(stranger, payload);
  return Array.from({ length: count }, (_, i) => ({ form: "simple", where: String(i), payload, signature }));
}

test("a deadline ends the check of many signatures", async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("time is up")));
  const findings = { found: signatures(512), failures: [] };
  await expect(judge({ requirement, image, signal: controller.signal }, findings)).rejects.toThrow(
    "time is up",
  );
});

test("512 checks are made, and no more", async () => {
  const { signatures: checked } = await judge(
    { requirement, image },
    { found: signatures(512), failures: [] },
  );
  expect(checked).toHaveLength(512);
  await expect(judge({ requirement, image }, { found: signatures(513), failures: [] })).rejects.toMatchObject(
    { code: "LIMIT" },
  );
});
