import { isIP, type Socket } from "node:net";
import { checkServerIdentity, connect, createSecureContext, type SecureContext } from "node:tls";
import { CallCredentials, ChannelCredentials, experimental } from "@grpc/grpc-js";
import { type DecoderError, describeSystemError } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import * as LIMITS from "../../limits.ts";
import type { SchemeSettings } from "../scheme.ts";
import { providerError, type TlsOptions } from "./configuration.ts";

/** Files with a system's trusted certificates, in Go's order (crypto/x509). */
const SYSTEM_ROOTS = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

const CERTIFICATE = "-----BEGIN CERTIFICATE-----";

/** @throws DecoderError PROVIDER when a file of `grpc-tls` can't be used */
export function tlsCredentials(
  provider: string,
  options: TlsOptions,
  environment: SchemeSettings["environment"],
): ChannelCredentials {
  const refuse = (why: string) => providerError(provider, `can't be called: ${why}`);
  const roots = options.insecureSkipVerify ? undefined : trustedRoots(options, environment, refuse);
  const key = options.keyFile === undefined ? undefined : read(options.keyFile, refuse);
  const cert = options.certFile === undefined ? undefined : read(options.certFile, refuse);
  try {
    const context = createSecureContext({ ...(roots && { ca: roots }), ...(key && cert && { key, cert }) });
    return new TlsCredentials(context, options);
  } catch {
    throw refuse(
      `${options.certFile} and ${options.keyFile} are not a certificate and its key in PEM, unencrypted`,
    );
  } finally {
    key?.fill(0);
  }
}

type Refuse = (why: string) => DecoderError;

function trustedRoots(
  options: TlsOptions,
  environment: SchemeSettings["environment"],
  refuse: Refuse,
): Buffer {
  const named = options.rootCaFile ?? environment["SSL_CERT_FILE"];
  if (named) return readRoots(named, refuse);
  for (const path of SYSTEM_ROOTS) {
    try {
      return readRoots(path, refuse);
    } catch {
      // Each system has another one of these files.
    }
  }
  throw refuse("this machine has no trusted root certificates, and grpc-tls names no root-ca-file");
}

function readRoots(path: string, refuse: Refuse): Buffer {
  const pem = read(path, refuse);
  // The runtimes read a file without certificates as an empty list.
  if (!pem.includes(CERTIFICATE)) throw refuse(`${path} holds no PEM certificate`);
  return pem;
}

function read(path: string, refuse: Refuse): Buffer {
  try {
    return Buffer.from(readSmallFile(path, LIMITS.keyFileBytes).buffer);
  } catch (error) {
    throw refuse(`can't read ${path}: ${describeSystemError(error)}`);
  }
}

/** The library's own credentials send an IP address as server name, which RFC 6066 §3 forbids and the runtimes refuse. */
class TlsCredentials extends ChannelCredentials {
  readonly #context: SecureContext;
  readonly #options: TlsOptions;

  constructor(context: SecureContext, options: TlsOptions) {
    super();
    this.#context = context;
    this.#options = options;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    target: experimental.GrpcUri,
    _options: object,
    callCredentials: CallCredentials = CallCredentials.createEmpty(),
  ): experimental.SecureConnector {
    const serverName = this.#options.serverName ?? hostOf(target);
    return {
      connect: (socket) => this.#handshake(socket, serverName),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials,
      destroy: () => {},
    };
  }

  #handshake(socket: Socket, serverName: string): Promise<experimental.SecureConnectResult> {
    const { promise, resolve, reject } = Promise.withResolvers<experimental.SecureConnectResult>();
    const verify = !this.#options.insecureSkipVerify;
    const secured = connect({
      socket,
      secureContext: this.#context,
      ALPNProtocols: ["h2"],
      rejectUnauthorized: verify,
      checkServerIdentity: (_host, certificate) => checkServerIdentity(serverName, certificate),
      ...(isIP(serverName) === 0 && { servername: serverName }),
    });
    secured.once("secureConnect", () => {
      if (verify && !secured.authorized) reject(secured.authorizationError);
      else resolve({ socket: secured, secure: true });
    });
    secured.on("error", reject);
    return promise;
  }
}

/** The host of "host:port". The server of a unix socket is "localhost", as with Go. */
function hostOf(target: experimental.GrpcUri): string {
  if (target.scheme === "unix") return "localhost";
  return experimental.splitHostPort(target.path)?.host ?? target.path;
}
