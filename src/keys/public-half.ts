import { existsSync } from "node:fs";

/** Where `keygen` puts the public half of a key. */
const SUFFIX = ".pub";

/** Advice for who named a private key where its public half is wanted. @param scheme of the recipient: "jwe" */
export function publicHalfHint(scheme: string, file: string): string {
  const publicFile = `${file}${SUFFIX}`;
  return existsSync(publicFile)
    ? `name its public half: --recipient ${scheme}:${publicFile}`
    : "name its public half (of a PEM key: openssl pkey -in KEY -pubout), and keep the private one where images are decrypted";
}

/** Advice for who named a public key where the private one is wanted. */
export function privateHalfHint(file: string): string {
  const privateFile = file.endsWith(SUFFIX) ? file.slice(0, -SUFFIX.length) : "";
  const where = existsSync(privateFile) ? `: --key ${privateFile}` : "";
  return `what decrypts is the private key that belongs to it${where}`;
}
