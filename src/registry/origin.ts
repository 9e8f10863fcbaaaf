import { isIP } from "node:net";

/** Origins and how addresses are shown. An origin is a scheme, a host and a port, and nothing less (RFC 6454 §4). */

/** Whether two addresses have one origin: credentials for one may be sent to the other. */
export function isSameOrigin(one: URL, other: URL): boolean {
  return one.origin === other.origin;
}

/** Whether a host is this machine: 127/8, ::1, localhost, *.localhost (RFC 6761 §6.3). No name is resolved. */
export function isLoopback({ hostname }: URL): boolean {
  const host = hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) === 4) return host.startsWith("127.");
  if (isIP(host) === 6) return host === "::1" || /^::ffff:7f[0-9a-f]{2}:/.test(host);
  return host === "localhost" || host.endsWith(".localhost");
}

/** An address for messages: signed addresses have secrets in their query, others in their user name. */
export function shownUrl({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`;
}

/** A host with its port, which is named even where it is the scheme's own. */
export function hostAndPort({ protocol, hostname, port }: URL): { host: string; port: number } {
  const host = hostname.replace(/^\[|\]$/g, "");
  return { host, port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port) };
}
