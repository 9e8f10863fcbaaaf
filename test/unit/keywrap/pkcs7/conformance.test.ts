import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parsePayload } from "../../../../src/containerd/payload.ts";
import { decodeBase64 } from "../../../../src/encoding/base64.ts";
import { loadKeys } from "../../../../src/keys/load.ts";
import { describe as describePacket } from "../../../../src/keywrap/pkcs7/describe.ts";
import { unwrap } from "../../../../src/keywrap/pkcs7/unwrap.ts";
import { open } from "./packets.ts";

const CASES = fileURLToPath(new URL("../../../../../shared/conformance/cases/", import.meta.url));
const absent = existsSync(CASES) ? "" : " (skipped: ../shared/conformance is absent)";
const PKCS7 = "org.opencontainers.image.enc.keys.pkcs7";

const names = absent ? [] : readdirSync(CASES).filter((name) => /^pkcs7-|^neg-pkcs7-|-by-pkcs7$/.test(name));

async function load(name: string) {
  const payload = parsePayload(new Uint8Array(readFileSync(`${CASES}${name}/payload.bin`)));
  const keysPath = `${CASES}${name}/keys`;
  const options = { strictKeys: false, allowExternalSymlinks: false };
  const keys = await loadKeys({ ...options, ...(existsSync(keysPath) && { keysPath }) }, payload.parameters);
  return { keys, packet: decodeBase64(payload.descriptor.annotations[PKCS7] ?? "") ?? new Uint8Array() };
}

describe.skipIf(absent && process.env["CI"] !== "true")(`packets of the conformance cases${absent}`, () => {
  test("there are some", () => expect(names.length).toBeGreaterThan(8));

  test.each(names)("%s", async (name) => {
    const { keys, packet } = await load(name);
    const result = await open(unwrap, packet, keys);
    expect(result.operations).toBe(1);
    if (name.startsWith("neg-")) expect(result.opened).toBeNull();
    else expect(JSON.parse(result.options ?? "")).toHaveProperty("symkey");
    expect(describePacket(packet)[0]?.id).toMatch(/^issuer CN=[a-z0-9-]+ serial [0-9a-f]{40}$/);
  });

  test("the peers' packet with any byte changed: the same options, none or an error", async () => {
    const { keys, packet } = await load("pkcs7-rsa2048-pem");
    const { options } = await open(unwrap, packet, keys);
    expect(options).toContain("symkey");
    for (let at = 0; at < packet.length; at++) {
      const changed = packet.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      const result: unknown = await open(unwrap, changed, keys).then(
        (it) => it.options,
        (error: unknown) => error,
      );
      const expected = [options, null, expect.objectContaining({ code: "BAD_PACKET" })];
      expect(expected, `byte ${at}`).toContainEqual(result);
    }
  });
});
