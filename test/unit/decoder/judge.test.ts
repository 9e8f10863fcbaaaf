import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { LayerOptions } from "../../../src/cipher/options.ts";
import { Judge, type Opening } from "../../../src/decoder/judge.ts";
import { FileInput } from "../../../src/io/file-input.ts";
import { OpenedLayer } from "../../../src/layer/open.ts";
import { Secret } from "../../../src/secret.ts";
import { encryptLayer, flipBit, plainBytes } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const path = join(temporaryFolder(), "blob");
const LAYER = encryptLayer(plainBytes(1000));
writeFileSync(path, LAYER.ciphertext);

function opening(changes: Partial<LayerOptions> = {}): Opening {
  const mediaType = "application/vnd.oci.image.layer.v1.tar+encrypted";
  const descriptor = { mediaType, digest: undefined, size: undefined, annotations: {} };
  const blob = { file: FileInput.open(path, "the blob"), isInput: true, isRead: false };
  const layer = new OpenedLayer({ ...LAYER.options(), ...changes }, new Secret(new Uint8Array(1)), {
    scheme: "jwe",
    packet: 0,
  });
  return { found: { descriptor, blob }, layer };
}

const right = opening();
const changed = (bytes: Uint8Array) => Uint8Array.from(flipBit(Buffer.from(bytes), 0));
const wrongKey = opening({ key: new Secret(changed(right.layer.options.key.bytes)) });
const wrongHmac = opening({ hmac: changed(right.layer.options.hmac) });
/** The HMAC does not depend on the nonce, but the plaintext does. */
const otherNonce = opening({ nonce: changed(right.layer.options.nonce) });

test.each([
  ["key", wrongKey],
  ["HMAC", wrongHmac],
])("an opening with another %s is judged for itself", (_what, wrong) => {
  expect(new Judge([]).choose([wrong, right])).toBe(right);
  expect(new Judge([wrong]).choose([right])).toBe(right);
});

test("an opening with another nonce counts as another key", () => {
  expect(() => new Judge([]).choose([right, otherNonce])).toThrow("with different keys");
  expect(new Judge([]).choose([right, opening()])).toBe(right);
});

test("the first of all is not tried on the blob if it is alone", () => {
  expect(new Judge([]).choose([wrongHmac])).toBe(wrongHmac);
  expect(new Judge([wrongKey]).choose([wrongHmac])).toBeUndefined();
});
