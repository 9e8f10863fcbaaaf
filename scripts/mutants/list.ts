/** Changes written by hand, and derived changes that no test can notice. */

export interface Change {
  readonly file: string;
  /** Occurs once in the file. */
  readonly from: string;
  readonly to: string;
}

/** Wrong changes that the tests once did not notice. */
export const CHANGES: readonly Change[] = [
  {
    file: "src/cipher/authenticator.ts",
    from: "return computed.length === hmac.length && timingSafeEqual(computed, hmac);",
    to: "return timingSafeEqual(computed.subarray(0, 16), hmac.subarray(0, 16));",
  },
  {
    file: "src/cipher/decrypt.ts",
    from: "!isSameHmac(this.#hmac.digest(), this.#options)",
    to: "false",
  },
  {
    file: "src/cipher/release.ts",
    from: "if (plaintext === null) throw check.forged();",
    to: "if (plaintext === null) return 0;",
  },
  {
    file: "src/cipher/release.ts",
    from: "    policy.onAuthentic?.(check.count);\n    await output.write(plaintext);",
    to: "    await output.write(plaintext);\n    policy.onAuthentic?.(check.count);",
  },
  {
    file: "src/decoder/release.ts",
    from: "digest: verifyDigest ? digestOf(found.descriptor) : undefined",
    to: "digest: verifyDigest ? found.descriptor.digest : undefined",
  },
  { file: "src/decoder/audit-log.ts", from: "if (this.#isWritten) return;", to: "" },
  { file: "src/decoder/audit-log.ts", from: "message: cut(error.message)", to: "message: error.message" },
  {
    file: "src/decoder/audit-log.ts",
    from: '{ verdict: "INTERNAL" }',
    to: '{ verdict: "INTERNAL", message: String(error) }',
  },
  { file: "src/io/append.ts", from: "const MODE = 0o600;", to: "const MODE = 0o644;" },
  { file: "src/io/append.ts", from: "| (constants.O_NONBLOCK ?? 0)", to: "" },
  {
    file: "src/io/append.ts",
    from: 'if (writeSync(fd, bytes) !== bytes.length) throw new Error("only a part of the line could be written");',
    to: "writeSync(fd, bytes);",
  },
  { file: "src/io/staging.ts", from: 'open(path, "wx", mode)', to: 'open(path, "w", mode)' },
  { file: "src/io/staging.ts", from: "    await writing(path, () => handle.sync());", to: "" },
  { file: "src/io/staging.ts", from: "    await syncFolder(dirname(to));", to: "" },
  { file: "src/io/spool.ts", from: "constants.O_CREAT | constants.O_EXCL", to: "constants.O_CREAT" },
  {
    file: "src/keywrap/pkcs7/recipient.ts",
    from: "issuer.toHex()",
    to: "issuer.length",
  },
  {
    file: "src/encoding/base64.ts",
    from: "return bytes.length === length ? bytes : null;",
    to: "return bytes;",
  },
  {
    file: "src/keys/passwords.ts",
    from: "readPassword(isDirectory ? join(path, keyName) : path)",
    to: "readPassword(path)",
  },
  {
    file: "src/keys/walk.ts",
    from: "constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)",
    to: "constants.O_RDONLY",
  },
  {
    file: "src/decoder/openings.ts",
    from: "      if (!(error instanceof DecoderError)) throw error;\n",
    to: "",
  },
];

export interface AcceptedMutant extends Change {
  /** The line of the file, trimmed. */
  readonly line: string;
  /** Why nothing observable changes. */
  readonly reason: string;
}

export const ACCEPTED: readonly AcceptedMutant[] = [];
