import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openssl, output } from "./peers.ts";

/** A certificate of a server or client, its key, and the authority that signed it, as PEM files. */
export interface Certified {
  readonly cert: string;
  readonly key: string;
  readonly authority: string;
}

export interface CertificateOptions {
  /** "DNS:localhost,IP:127.0.0.1" */
  readonly names?: string;
  /** From today on. Negative for a certificate that has expired. */
  readonly days?: number;
}

/** Makes an authority, "Test authority", and a certificate of it. */
export async function certify(
  folder: string,
  { names = "DNS:localhost,IP:127.0.0.1", days = 2 }: CertificateOptions = {},
): Promise<Certified> {
  mkdirSync(folder, { recursive: true });
  const at = (name: string) => join(folder, name);
  await output(openssl, [
    ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 10".split(" "),
    ...["-subj", "/CN=Test authority", "-keyout", at("ca.key"), "-out", at("ca.crt")],
  ]);
  await output(openssl, [
    ..."req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split(" "),
    ...["-subj", "/CN=server", "-keyout", at("server.key"), "-out", at("server.csr")],
  ]);
  writeFileSync(at("names"), `subjectAltName=${names}\n`);
  await output(openssl, [
    ...[
      "x509",
      "-req",
      "-in",
      at("server.csr"),
      "-CA",
      at("ca.crt"),
      "-CAkey",
      at("ca.key"),
      "-CAcreateserial",
    ],
    ...["-days", String(days), "-extfile", at("names"), "-out", at("server.crt")],
  ]);
  const read = (name: string) => readFileSync(at(name), "utf8");
  return { cert: read("server.crt"), key: read("server.key"), authority: read("ca.crt") };
}
