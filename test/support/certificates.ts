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
  /** First and last day of its validity, counted from today. */
  readonly days?: readonly [number, number];
}

/** Only `openssl ca` can set the first day of validity. */
const CA_CONFIGURATION = `[ca]
default_ca = it
[it]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
[any]
commonName = supplied
`;
const DAY_MS = 24 * 60 * 60 * 1000;

/** As `openssl ca` takes it: "20261126000000Z". */
function day(offset: number): string {
  return new Date(Date.now() + offset * DAY_MS).toISOString().replace(/[-:T]|\.\d+/g, "");
}

/** Makes an authority, "Test authority", and a certificate of it. */
export async function certify(
  folder: string,
  { names = "DNS:localhost,IP:127.0.0.1", days: [first, last] = [0, 2] }: CertificateOptions = {},
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
  writeFileSync(at("index"), "");
  writeFileSync(at("ca.conf"), CA_CONFIGURATION);
  await output(
    openssl,
    [
      ...[
        "ca",
        "-batch",
        "-notext",
        "-config",
        at("ca.conf"),
        "-cert",
        at("ca.crt"),
        "-keyfile",
        at("ca.key"),
      ],
      ...["-startdate", day(first), "-enddate", day(last), "-rand_serial", "-extfile", at("names")],
      ...["-in", at("server.csr"), "-out", at("server.crt")],
    ],
    { cwd: folder },
  );
  const read = (name: string) => readFileSync(at(name), "utf8");
  return { cert: read("server.crt"), key: read("server.key"), authority: read("ca.crt") };
}
