import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parsePayload } from "../../../../src/containerd/payload.ts";
import { decodeBase64 } from "../../../../src/encoding/base64.ts";
import { loadKeys } from "../../../../src/keys/load.ts";
import { unwrap } from "../../../../src/keywrap/pgp/unwrap.ts";
import type { Attempt } from "../../../../src/keywrap/scheme.ts";
import { bytes, SETTINGS } from "./messages.ts";

const CASES = fileURLToPath(new URL("../../../../../shared/conformance/cases/", import.meta.url));
const absent = existsSync(CASES) ? "" : " (skipped: ../shared/conformance is absent)";
const PGP = "org.opencontainers.image.enc.keys.pgp";

const names = absent ? [] : readdirSync(CASES).filter((name) => /^pgp-|^neg-pgp-|-by-pgp$/.test(name));

describe.skipIf(absent && process.env["CI"] !== "true")(
  `wrapped keys of the conformance cases${absent}`,
  () => {
    test("there are some", () => expect(names.length).toBeGreaterThan(10));

    test.each(names)("%s", async (name) => {
      const payload = parsePayload(bytes(readFileSync(`${CASES}${name}/payload.bin`)));
      const keysPath = `${CASES}${name}/keys`;
      const options = { strictKeys: false, allowExternalSymlinks: false };
      const keys = await loadKeys(
        { ...options, ...(existsSync(keysPath) ? { keysPath } : {}) },
        payload.parameters,
      );
      const attempts: Attempt[] = [];
      let operations = 0;
      const opened = await unwrap(bytes(decodeBase64(payload.descriptor.annotations[PGP] ?? "") ?? []), {
        keys,
        settings: SETTINGS,
        name: "",
        record: (attempt) => attempts.push(attempt),
        spend: () => {
          operations++;
        },
      });
      if (name.startsWith("neg-")) {
        expect(opened).toBeNull();
        expect(attempts).not.toEqual([]);
      } else {
        expect(JSON.parse(Buffer.from(opened?.options.bytes ?? []).toString())).toHaveProperty("symkey");
        expect(attempts).toEqual([]);
      }
      // One derivation from a passphrase, one decryption.
      expect(operations).toBeLessThanOrEqual(name.includes("passphrase") ? 2 : 1);
    });
  },
);
