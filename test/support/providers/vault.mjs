import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { appendFileSync } from "node:fs";

/** What a test key provider does whatever its transport: it wraps with AES-256-GCM under a key made of `secret`. */
export class Vault {
  #key;
  #log;

  /** @param {string} secret @param {string} [log] a file that gets a line for each request, as it came */
  constructor(secret, log) {
    this.#key = createHash("sha256").update(secret).digest();
    this.#log = log;
  }

  /** @param {Buffer} request the JSON of the key provider protocol @returns {Buffer} the answer's */
  answer(request) {
    if (this.#log) appendFileSync(this.#log, `${request}\n`);
    const { op, keywrapparams, keyunwrapparams } = JSON.parse(request.toString());
    const answers = {
      keywrap: () => ({ keywrapresults: { annotation: this.#wrap(keywrapparams.optsdata) } }),
      keyunwrap: () => ({ keyunwrapresults: { optsdata: this.#unwrap(keyunwrapparams.annotation) } }),
    };
    return Buffer.from(JSON.stringify(answers[op]()));
  }

  #wrap(optsdata) {
    const nonce = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce);
    const wrapped = [nonce, cipher.update(optsdata, "base64"), cipher.final(), cipher.getAuthTag()];
    return Buffer.concat(wrapped).toString("base64");
  }

  #unwrap(annotation) {
    const packet = Buffer.from(annotation, "base64");
    const decipher = createDecipheriv("aes-256-gcm", this.#key, packet.subarray(0, 12));
    decipher.setAuthTag(packet.subarray(-16));
    return Buffer.concat([decipher.update(packet.subarray(12, -16)), decipher.final()]).toString("base64");
  }
}
