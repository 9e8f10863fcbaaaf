import { beforeAll, describe, expect, test } from "vitest";
import { describeWith, type Need, output, PROJECT } from "../../support/peers.ts";
import { available, type Judged, judgeAll, type Verdict, WYCHEPROOF } from "./verdicts.ts";

const vectors: Need = available()
  ? { name: "Wycheproof" }
  : { name: "Wycheproof", absent: `its vectors are not in ${WYCHEPROOF}` };

/**
 * File → how many of its vectors get which verdict. Refused are: of JWE the algorithms that no writer of layers uses
 * (symmetric keys, RSA1_5, ECDH-ES alone, zip); signatures altogether; GCM with an IV or tag of another length than
 * RFC 7518's; OAEP with a label, another hash or a modulus below 2048 bits; HMACs with a key or tag of other than 32
 * bytes.
 */
const COUNTS: Readonly<Record<string, Readonly<Record<Verdict, number>>>> = {
  json_web_encryption: { accepted: 32, rejected: 18, refused: 89 },
  json_web_crypto: { accepted: 0, rejected: 0, refused: 83 },
  json_web_key: { accepted: 0, rejected: 0, refused: 26 },
  aes_wrap: { accepted: 36, rejected: 129, refused: 0 },
  aes_gcm: { accepted: 116, rejected: 81, refused: 119 },
  aes_cbc_pkcs5: { accepted: 72, rejected: 144, refused: 0 },
  rsa_oaep_2048_sha1_mgf1sha1: { accepted: 10, rejected: 19, refused: 7 },
  rsa_oaep_2048_sha256_mgf1sha256: { accepted: 10, rejected: 19, refused: 8 },
  rsa_oaep_3072_sha256_mgf1sha256: { accepted: 10, rejected: 19, refused: 8 },
  rsa_oaep_4096_sha256_mgf1sha256: { accepted: 10, rejected: 19, refused: 8 },
  rsa_oaep_misc: { accepted: 21, rejected: 0, refused: 374 },
  ecdh_secp256r1_webcrypto: { accepted: 330, rejected: 23, refused: 0 },
  ecdh_secp384r1_webcrypto: { accepted: 771, rejected: 23, refused: 0 },
  ecdh_secp521r1_webcrypto: { accepted: 632, rejected: 23, refused: 0 },
  hmac_sha256: { accepted: 27, rejected: 54, refused: 93 },
};

/** Neither right nor wrong: AES-KW of 8 bytes, which RFC 3394 has not, and OAEP of small numbers with a 1024-bit key. */
const ACCEPTABLE: Readonly<Record<string, Verdict>> = { aes_wrap: "rejected", rsa_oaep_misc: "refused" };

const RUNTIMES: readonly [name: string, judge: () => Promise<Record<string, Judged[]>>][] = [
  ["Node", judgeAll],
  ["Bun, as in the executable", judgeOnBun],
];

async function judgeOnBun(): Promise<Record<string, Judged[]>> {
  const bun = { name: "bun", command: `${PROJECT}node_modules/.bin/bun`, args: [] };
  return JSON.parse(String(await output(bun, [`${import.meta.dirname}/print-verdicts.ts`])));
}

describeWith([vectors], "Wycheproof's vectors", {}, () => {
  describe.each(RUNTIMES)("on %s", (_name, judge) => {
    let all: Record<string, Judged[]> = {};
    beforeAll(async () => {
      all = await judge();
    });

    test.each(Object.keys(COUNTS))("%s", (name) => {
      const judged = all[name] ?? [];
      const wrong = judged.filter(
        ({ result, verdict }) =>
          (result === "valid" && verdict === "rejected") || (result === "invalid" && verdict === "accepted"),
      );
      expect(wrong).toEqual([]);
      const acceptable = judged.filter(({ result }) => result === "acceptable");
      expect(acceptable.every(({ verdict }) => verdict === ACCEPTABLE[name])).toBe(true);
      const count = (verdict: Verdict) => judged.filter((it) => it.verdict === verdict).length;
      expect({ accepted: count("accepted"), rejected: count("rejected"), refused: count("refused") }).toEqual(
        COUNTS[name],
      );
    });
  });
});
