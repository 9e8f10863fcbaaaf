import { DecoderError, errnoOf } from "../errors.ts";
import { hostAndPort, shownUrl } from "./origin.ts";

/** What can go wrong before there is an answer, or in the middle of one, in words. */

const SYSTEM_TEXT: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "the connection was refused"],
  ["ECONNRESET", "the connection broke"],
  ["EPIPE", "the connection broke"],
  ["ETIMEDOUT", "it took too long"],
  ["ETIME", "it took too long"],
  ["ENOTFOUND", "the host is unknown"],
  ["EAI_AGAIN", "the host's name could not be resolved"],
  ["EHOSTUNREACH", "there is no route to the host"],
  ["ENETUNREACH", "there is no route to the network"],
  ["EBADMSG", "the answer is not HTTP"],
]);

/** OpenSSL's names of verification errors, as both runtimes report them. */
const UNKNOWN_AUTHORITY: ReadonlySet<string | undefined> = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
]);
const NO_TLS: ReadonlySet<string | undefined> = new Set([
  "EPROTO",
  "ERR_SSL_WRONG_VERSION_NUMBER",
  "ERR_SSL_PACKET_LENGTH_TOO_LONG",
  "ERR_SSL_HTTP_REQUEST",
]);
const RETRIED: ReadonlySet<string | undefined> = new Set(["ECONNRESET", "EPIPE", "ETIMEDOUT", "EAI_AGAIN"]);

/** What a certificate says of itself, where it could be read. */
export interface PeerCertificate {
  readonly issuer: string | undefined;
  readonly names: string | undefined;
  readonly validFrom: string;
  readonly validTo: string;
}

/** An error as Node makes it, for a time-out of ours. */
export function timedOut(): Error {
  return Object.assign(new Error("timed out"), { code: "ETIMEDOUT" });
}

/** An error in Node's form, for a server that keeps sending but never finishes. A retry would be as slow. */
export function tooSlow(): Error {
  return Object.assign(new Error("too slow"), { code: "ETIME" });
}

/** An error as Node makes it, for a connection that ended early without one. */
export function cutOff(): Error {
  return Object.assign(new Error("cut off"), { code: "ECONNRESET" });
}

/** An error in Node's form, for an answer that violates HTTP. */
export function notHttp(): Error {
  return Object.assign(new Error("not HTTP"), { code: "EBADMSG" });
}

/** Whether the server answered a TLS greeting with something else. */
export function isNotTls(error: unknown): boolean {
  const { code, text } = causeOf(error);
  return NO_TLS.has(code) && !/alert|certificate/i.test(text);
}

export function isRefused(error: unknown): boolean {
  return causeOf(error).code === "ECONNREFUSED";
}

/** Whether the server closed the connection before its answer was complete. */
export function isCutOff(error: unknown): boolean {
  const { code } = causeOf(error);
  return code === "ECONNRESET" || code === "EPIPE";
}

/** Whether the same request may succeed a moment later. */
export function isPassing(error: unknown): boolean {
  return RETRIED.has(causeOf(error).code);
}

export function isCertificateError(error: unknown): boolean {
  const { code } = causeOf(error);
  return code !== undefined && (UNKNOWN_AUTHORITY.has(code) || /CERT/.test(code));
}

/** @param error as the runtime gives it. @returns REGISTRY, or what `error` is already */
export function connectionError(error: unknown, url: URL, certificate?: PeerCertificate): DecoderError {
  if (error instanceof DecoderError) return error;
  const { code } = causeOf(error);
  if (isCertificateError(error)) return certificateError(code, url, error, certificate);
  if (isNotTls(error)) {
    return new DecoderError("REGISTRY", `${url.host} speaks plain HTTP`, {
      hint: "say --tls-verify=false if that is meant",
      cause: error,
    });
  }
  const words = SYSTEM_TEXT.get(code ?? "") ?? code ?? "the connection failed";
  // EPIPE as a cause means that the reader of our own output is gone, and nothing would be printed.
  const cause = isCutOff(error) ? cutOff() : error;
  return new DecoderError("REGISTRY", `can't reach ${shownUrl(url)}: ${words}`, { cause });
}

function certificateError(
  code: string | undefined,
  url: URL,
  cause: unknown,
  certificate: PeerCertificate | undefined,
): DecoderError {
  const { host } = url;
  if (UNKNOWN_AUTHORITY.has(code)) {
    const issuer = certificate?.issuer === undefined ? "" : `: ${certificate.issuer}`;
    return new DecoderError(
      "REGISTRY",
      `${host}'s certificate is signed by an authority unknown here${issuer}`,
      {
        hint: `put its certificate as ca.crt in ~/.config/containers/certs.d/${host} or name --cert-dir`,
        cause,
      },
    );
  }
  const words = {
    CERT_HAS_EXPIRED: `expired${certificate === undefined ? "" : ` on ${certificate.validTo}`}`,
    CERT_NOT_YET_VALID: `is not valid yet${certificate === undefined ? "" : `, but from ${certificate.validFrom} on`}`,
    ERR_TLS_CERT_ALTNAME_INVALID: `is not for ${hostAndPort(url).host}${certificate?.names === undefined ? "" : `, but for ${certificate.names}`}`,
  }[code ?? ""];
  return new DecoderError("REGISTRY", `${host}'s certificate ${words ?? `is not accepted: ${code}`}`, {
    cause,
  });
}

/** The runtime's error, which may be the cause of one that was described already. */
function causeOf(error: unknown): { code: string | undefined; text: string } {
  const cause = error instanceof DecoderError ? error.cause : error;
  // Several addresses were tried: Node collects what went wrong with each.
  const first = cause instanceof AggregateError ? cause.errors[0] : cause;
  return { code: errnoOf(cause) ?? errnoOf(first), text: first instanceof Error ? first.message : "" };
}
