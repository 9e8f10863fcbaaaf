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
    from: "    policy.onAuthentic?.(check.count);\n    for await (const piece of plaintext) {\n      await output.write(piece);",
    to: "    for await (const piece of plaintext) {\n      await output.write(piece);\n      policy.onAuthentic?.(check.count);",
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
  {
    file: "src/cipher/large.ts",
    from: "    conclude(large, authenticator);\n    const decipher = newDecipher(large.layer);\n    for (const piece of held.pieces()) await writeOnce(large.output, decipher.update(piece));",
    to: "    const decipher = newDecipher(large.layer);\n    for (const piece of held.pieces()) await writeOnce(large.output, decipher.update(piece));\n    conclude(large, authenticator);",
  },
  { file: "src/decoder/judge.ts", from: "if (another !== undefined) throw ambiguous();", to: "" },
  { file: "src/decoder/openings.ts", from: "if (!isGiven) yield first;", to: "" },
  {
    file: "src/decoder/openings.ts",
    from: "opened.push({ found, layer:",
    to: "opened.push({ found: group[0] ?? found, layer:",
  },
  {
    file: "src/containerd/stream-processors.ts",
    from: "if (isFlag(arg, name)) value = args[i + 1];",
    to: "if (isFlag(arg, name)) value ??= args[i + 1];",
  },
  { file: "src/keys/load.ts", from: "const password = passwords[i];", to: "const password = passwords[0];" },
  {
    file: "src/decoder/release.ts",
    from: 'error instanceof DecoderError && error.code === "AUTHENTICATION"',
    to: "error instanceof DecoderError",
  },
  {
    file: "src/keys/token/module-path.ts",
    from: 'if (!allowed.endsWith("/")) return realFile(allowed) === real;',
    to: 'if (!allowed.endsWith("/")) return real.startsWith(allowed);',
  },
  { file: "src/keywrap/pkcs7/recipient.ts", from: "serial.toHex()", to: "serial.length" },
  {
    file: "src/keywrap/jwe/cek.ts",
    from: 'const variant = algorithm.hash ?? "";',
    to: 'const variant = "";',
  },
  {
    file: "src/keywrap/jwe/recipient.ts",
    from: 'if (header["crit"] !== undefined)',
    to: 'if (Array.isArray(header["crit"]))',
  },
  { file: "src/keywrap/unwrap.ts", from: "  cpuMs: LIMITS.unwrapCpuMs,\n", to: "" },
  { file: "src/keywrap/unwrap.ts", from: "  clockMs: LIMITS.unwrapClockMs,\n", to: "" },
  {
    file: "src/containerd/store/lookup.ts",
    from: "return JSON.stringify([mediaType, encryption.sort()]);",
    to: "return JSON.stringify([encryption.sort()]);",
  },
  { file: "src/containerd/store/metadata.ts", from: "if (end > page.length) {", to: "if (false) {" },
  { file: "src/containerd/store/metadata.ts", from: "if (this.#pagesLeft-- <= 0) return null;", to: "" },
  {
    file: "src/containerd/store/manifests.ts",
    from: "if (size > LIMITS.manifestBytes) return null;",
    to: "",
  },
  {
    file: "src/containerd/store/manifests.ts",
    from: ".filter((held) => digest === undefined || held.includes(digest))",
    to: "",
  },
  {
    file: "src/transport/archive.ts",
    from: 'if (entry?.type === "link") return this.find(innerPath(entry.linkname, this.name));',
    to: 'if (entry?.type === "link") return this.findLinked(innerPath(entry.linkname, this.name));',
  },
  {
    file: "src/transport/staged-blobs.ts",
    from: "return found?.isFile() === true && found.size === size;",
    to: "return found?.isFile() === true;",
  },
  {
    file: "src/transport/staged-blobs.ts",
    from: "return found?.isFile() === true && found.size === size;",
    to: "return found?.size === size;",
  },
  {
    file: "src/transport/layout.ts",
    from: '      if (!found.isFile()) {\n        throw new DecoderError("BAD_IMAGE", `blob',
    to: '      if (false) {\n        throw new DecoderError("BAD_IMAGE", `blob',
  },
  { file: "src/image/layer-annotations.ts", from: "!isEncryptionAnnotation(name) && ", to: "" },
  {
    file: "src/node/check-config.ts",
    from: "store.useContentStore === false",
    to: "store.useContentStore === undefined",
  },
  { file: "src/node/check-payload.ts", from: 'if (isTable(containerd["runtimes"])) return [];', to: "" },
  { file: "src/node/check-payload.ts", from: '["mirrors", "configs", "auths"]', to: '["mirrors"]' },
  { file: "src/tenants/secret-keys.ts", from: "for (const { data } of keyrings) data.fill(0);", to: "" },
  { file: "src/tenants/secret-keys.ts", from: "for (const { pkcs8 } of keys) pkcs8.destroy();", to: "" },
  { file: "src/layer/open.ts", from: "    this.privateOptions.destroy();\n", to: "" },
  {
    file: "src/io/staging.ts",
    from: "    done += bytesWritten;",
    to: "    done += Math.max(bytesWritten, chunk.length);",
  },
  {
    file: "src/transport/layout.ts",
    from: "if (!found.isFile()) throw new",
    to: "if (false) throw new",
  },
  {
    file: "src/image/rewrite.ts",
    from: "    checkRunning(signal);\n    await destination.commit(root, bytes);",
    to: "    await destination.commit(root, bytes);",
  },
  {
    file: "src/image/decrypt.ts",
    from: "mediaType: type.oci, digest, size",
    to: "mediaType: type.plain, digest, size",
  },
  {
    file: "src/image/layer-encryptor.ts",
    from: "this.#encrypted.get(id) ?? encrypt();\n    this.#encrypted.set(id, known);",
    to: "this.#encrypted.get(digest) ?? encrypt();\n    this.#encrypted.set(digest, known);",
  },
  { file: "src/cli/commands/layer.ts", from: "LIMITS.layers) ?? 0;", to: "LIMITS.layers) ?? -1;" },
  {
    file: "src/cli/commands/keygen.ts",
    from: "      for (const path of written) rmSync(path, { force: true });\n",
    to: "",
  },
  {
    file: "src/decoder/flags.ts",
    from: 'turns("store", "useContentStore", false)',
    to: 'turns("store", "useContentStore", true)',
  },
  {
    file: "src/keywrap/jwe/message.ts",
    from: "Object.keys(header).length > LIMITS.jweHeaderParameters",
    to: "Object.keys(header).length > LIMITS.jweHeaderParameters + 1",
  },
  {
    file: "src/io/lock.ts",
    from: "      } finally {\n        await lock.release();\n      }",
    to: "      } finally {\n      }",
  },
  { file: "src/io/named-file.ts", from: "const STDIN = 0;", to: "const STDIN = 1;" },
  { file: "src/io/named-file.ts", from: "if (bytesRead === 0) break;", to: "if (bytesRead === 1) break;" },
  { file: "src/io/file.ts", from: "bytes.slice(0, length)", to: "bytes.slice(1, length)" },
  {
    file: "src/io/output.ts",
    from: '        if (errno === "EAGAIN") this.#backoff.sleep();\n        else if',
    to: '        if (errno === "EAGAIN") ;\n        else if',
  },
  {
    file: "src/cipher/large.ts",
    from: "withheldBytes - first.length >= WITHHELD_BYTES",
    to: "withheldBytes - first.length > WITHHELD_BYTES",
  },
  {
    file: "src/containerd/nri/requirement.ts",
    from: 'section["disable"] !== true &&',
    to: "",
  },
  { file: "src/containerd/store/metadata.ts", from: "depth + 1);", to: "depth + 2);" },
  {
    file: "src/containerd/store/manifests.ts",
    from: "isComplete && paths.length <= LIMITS.storeManifests",
    to: "paths.length <= LIMITS.storeManifests",
  },
  {
    file: "src/node/key-sync.ts",
    from: "if (isDryRun || isInStep) return report;",
    to: "if (isInStep) return report;",
  },
  {
    file: "src/node/containerd-images.ts",
    from: "chainIdOf(chains.at(-1), diffId)",
    to: "chainIdOf(chains.at(-2), diffId)",
  },
];

export interface AcceptedMutant extends Change {
  /** The line of the file, trimmed. */
  readonly line: string;
  /** Why nothing observable changes. */
  readonly reason: string;
}

export const ACCEPTED: readonly AcceptedMutant[] = [
  {
    file: "src/keywrap/unwrap.ts",
    line: 'throw new DecoderError("BAD_PACKET", "it is larger than any wrapped key");',
    from: 'throw new DecoderError("BAD_PACKET", "it is larger than any wrapped key");',
    to: ";",
    reason:
      "the longest annotation, decoded, has exactly this many bytes: the check is a second line of defence",
  },
  {
    file: "src/cipher/authenticator.ts",
    line: "export const WORKER_BYTES = 64 * 1024 * 1024;",
    from: "1024",
    to: "1024000",
    reason: "where a second thread begins to help: only the speed differs",
  },
  {
    file: "src/cipher/held-ciphertext.ts",
    line: "const BLOCK_BYTES = 1024 * 1024;",
    from: "1024",
    to: "1024000",
    reason: "the size of a buffer: only memory and speed differ",
  },
  {
    file: "src/cipher/release.ts",
    line: 'crypto.subtle.importKey("raw", key.bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]),',
    from: "false",
    to: "true",
    reason: "whether the key may be exported: it does not leave the function",
  },
  {
    file: "src/cipher/encrypt.ts",
    line: "constructor({ digest, size = 0 }: PlainLayer = {}) {",
    from: "0",
    to: "1",
    reason: "any small size means that no second thread is started",
  },
  {
    file: "src/cipher/file-ciphertext.ts",
    line: "nonce.writeUInt32BE(index);",
    from: "nonce.writeUInt32BE(index);",
    to: ";",
    reason: "the tags never leave the object, so that a repeated nonce shows nowhere",
  },
  {
    file: "src/cipher/hmac-ring.ts",
    line: "export const OWNER = { NOBODY: 0, WORKER: 1, CALLER: 2 } as const;",
    from: "1",
    to: "2",
    reason: "a thread becomes the owner only if there is none, so that the two values may be equal",
  },
  {
    file: "src/cipher/hmac-ring.ts",
    line: 'if (slot === undefined) throw new Error("bug: a ring without slots");',
    from: 'throw new Error("bug: a ring without slots");',
    to: ";",
    reason: "it is for the compiler: an index modulo the number of slots is one of them",
  },
  {
    file: "src/cipher/release.ts",
    line: "const FIRST_BUFFER_BYTES = 256 * 1024;",
    from: "*",
    to: "+",
    reason: "the first size of a buffer that grows",
  },
  {
    file: "src/cipher/release.ts",
    line: "let buffer = new Uint8Array(Math.min(size ?? FIRST_BUFFER_BYTES, limit) + 1); // the extra byte shows where the layer ends",
    from: "1",
    to: "2",
    reason: "a layer of one byte more than the limit is then held in memory",
  },
  {
    file: "src/cipher/release.ts",
    line: "if (size !== undefined || length > limit) return { bytes: buffer, isWhole: false };",
    from: ">",
    to: ">=",
    reason: "a layer of exactly the limit then takes the way of larger ones, with the same result",
  },
  {
    file: "src/cipher/worker-authenticator.ts",
    line: "worker.unref();",
    from: "worker.unref();",
    to: ";",
    reason: "every caller ends the thread in a `finally`",
  },
  {
    file: "src/keys/token/module-server.ts",
    line: "const KEYS_MATCHED = 2;",
    from: "2",
    to: "3",
    reason: "two already show that a selector is ambiguous",
  },
  {
    file: "src/keywrap/pgp/framing.ts",
    line: 'if (end < 0) throw malformed("its ASCII armour has no end");',
    from: "<",
    to: "<=",
    reason: "the end comes after the beginning, so that it is not at 0",
  },
  {
    file: "src/layer/seal.ts",
    line: "encryptor.close();",
    from: "encryptor.close();",
    to: ";",
    reason: "`finish` closes it too, and nothing before fails",
  },
  {
    file: "src/io/append.ts",
    line: "const last = new Uint8Array(1);",
    from: "1",
    to: "2",
    reason: "a buffer that is larger than what is read into it",
  },
  {
    file: "src/io/file.ts",
    line: "const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);",
    from: "0",
    to: "1",
    reason: "Linux has both flags",
  },
  {
    file: "src/io/append.ts",
    line: "const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NONBLOCK ?? 0);",
    from: "0",
    to: "1",
    reason: "Linux has the flag",
  },
  {
    file: "src/cipher/release.ts",
    line: "if (size !== undefined || length > limit) return { bytes: buffer, isWhole: false };",
    from: "!==",
    to: "===",
    reason: "a layer that is longer than its size then takes another way, which reports the same error",
  },
  {
    file: "src/containerd/store/metadata.ts",
    line: "return { children: only === undefined ? children : children.slice(-1), isWhole: bytesLeft >= 0 };",
    from: "0",
    to: "1",
    reason: "a page also has a header, so that its keys leave more than one byte",
  },
  {
    file: "src/cipher/hmac-ring.ts",
    line: "export const SLOTS = 16;",
    from: "16",
    to: "17",
    reason: "the number of buffers between two threads: only memory and speed differ",
  },
  {
    file: "src/cipher/release.ts",
    line: 'crypto.subtle.importKey("raw", key.bytes, "AES-CTR", false, ["decrypt"]),',
    from: "false",
    to: "true",
    reason: "whether the key may be exported: it does not leave the function",
  },
  {
    file: "src/cipher/held-ciphertext.ts",
    line: "for (let offset = 0; offset < this.#inMemory; offset += CHUNK_BYTES) {",
    from: "<",
    to: "<=",
    reason: "an empty piece at the end adds nothing to the plaintext",
  },
  {
    file: "src/node/refusals.ts",
    line: "input: new Uint8Array(0),",
    from: "0",
    to: "1",
    reason: "journalctl does not read its standard input",
  },
  {
    file: "src/node/provider-report.ts",
    line: "const CONNECT_MS = 3000;",
    from: "3000",
    to: "3000000",
    reason: "an address that never answers is reported all the same: only the wait differs",
  },
  {
    file: "src/io/input.ts",
    line: "this.#backoff.reset();",
    from: "this.#backoff.reset();",
    to: ";",
    reason: "how long the next attempt waits: only speed and processor time differ",
  },
  {
    file: "src/containerd/payload-channel.ts",
    line: "backoff.reset();",
    from: "backoff.reset();",
    to: ";",
    reason: "how long the next attempt waits: only speed and processor time differ",
  },
  {
    file: "src/io/staging.ts",
    line: "let unflushed = 0;",
    from: "0",
    to: "1",
    reason: "the first of the early flushes comes one byte sooner: only speed differs",
  },
  {
    file: "src/keys/rsa.ts",
    line: "for (let i = PADDING_START; i < separator; i++) wrong |= (at(i) - 1) >>> 31;",
    from: "31",
    to: "31000",
    reason: "a shift by 31,000 is one by 24, after which a zero octet still sets bits, and no other one does",
  },
  {
    file: "src/keys/rsa.ts",
    line: "const at = (index: number) => block[index] ?? 0;",
    from: "0",
    to: "1",
    reason: "it is for the compiler: every index is within the block",
  },
  {
    file: "src/keys/encrypted-key.ts",
    line: "der?.fill(0);",
    from: "0",
    to: "1",
    reason: "any value overwrites what a wrong password gave",
  },
  {
    file: "src/keys/rsa.ts",
    line: "const right = (wrong - 1) >> 31;",
    from: "31",
    to: "31000",
    reason: "a shift by 31,000 is one by 24, after which nothing is left of 0 to 254, and -1 stays",
  },
  {
    file: "src/keys/rsa.ts",
    line: "return first >= 0 && (ciphertext[first] ?? 0) < (modulus[first] ?? 0);",
    from: "<",
    to: "<=",
    reason: "it is the first octet in which the two differ",
  },
];
