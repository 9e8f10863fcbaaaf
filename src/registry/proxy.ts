import { BlockList, isIP } from "node:net";
import { DecoderError } from "../errors.ts";
import { hostAndPort, isLoopback } from "./origin.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A proxy that is asked to CONNECT. */
export interface HttpProxy {
  readonly url: URL;
  /** RFC 7617, from the proxy's own URL, for CONNECT alone. */
  readonly authorization?: string;
}

/**
 * The proxy for an address, chosen as Go's net/http does: by HTTPS_PROXY or HTTP_PROXY, unless NO_PROXY has the host.
 * There is none for this machine.
 * @throws DecoderError CONFIG for a proxy that can't be used
 */
export function proxyFor(url: URL, environment: Environment): HttpProxy | undefined {
  const name = url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  const text = environment[name] || environment[name.toLowerCase()];
  if (!text || isLoopback(url)) return undefined;
  if (isExempt(url, environment["NO_PROXY"] ?? environment["no_proxy"] ?? "")) return undefined;
  return parseProxy(text, name);
}

function parseProxy(text: string, name: string): HttpProxy {
  // Go takes "proxy:3128" for http://proxy:3128.
  const url = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (url === null) throw new DecoderError("CONFIG", `${name} is not a URL`);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new DecoderError(
      "CONFIG",
      `${name} names a ${url.protocol.slice(0, -1)} proxy, which is not supported`,
      {
        hint: "name an http:// or https:// proxy that takes CONNECT, or exempt the registry with NO_PROXY",
      },
    );
  }
  if (url.username === "" && url.password === "") return { url };
  const pair = `${decode(url.username)}:${decode(url.password)}`;
  return { url, authorization: `Basic ${Buffer.from(pair).toString("base64")}` };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * golang.org/x/net/http/httpproxy: `*`, a host (which stands for its subdomains too), `.suffix` or `*.suffix` (subdomains
 * only), each perhaps with a port; an address or a CIDR block.
 */
export function isExempt(url: URL, list: string): boolean {
  const target = hostAndPort(url);
  return list.split(",").some((entry) => matches(entry.trim().toLowerCase(), target));
}

function matches(entry: string, { host, port }: { host: string; port: number }): boolean {
  if (entry === "") return false;
  if (entry === "*") return true;
  if (entry.includes("/")) return isInBlock(host, entry);
  const { name, port: only } = cutPort(entry);
  if (only !== undefined && only !== port) return false;
  if (isIP(name) !== 0 || isIP(host) !== 0) return isSameAddress(name, host);
  const suffix = name.replace(/^\*?\./, ".");
  if (suffix.startsWith(".")) return host.endsWith(suffix);
  return host === name || host.endsWith(`.${name}`);
}

function cutPort(entry: string): { name: string; port: number | undefined } {
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(entry);
  const plain = bracketed ?? /^([^:]*):(\d+)$/.exec(entry);
  if (plain === null) return { name: entry, port: undefined };
  return { name: plain[1] ?? "", port: plain[2] === undefined ? undefined : Number(plain[2]) };
}

function isSameAddress(one: string, other: string): boolean {
  const family = familyOf(one);
  return family !== undefined && isInBlock(other, `${one}/${family === "ipv4" ? 32 : 128}`);
}

function isInBlock(host: string, block: string): boolean {
  const [address = "", prefix = ""] = block.split("/");
  const [family, own] = [familyOf(address), familyOf(host)];
  const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (family === undefined || own === undefined || !(bits <= (family === "ipv4" ? 32 : 128))) return false;
  const blocks = new BlockList();
  blocks.addSubnet(address, bits, family);
  return blocks.check(host, own);
}

function familyOf(address: string): "ipv4" | "ipv6" | undefined {
  const version = isIP(address);
  return version === 0 ? undefined : version === 4 ? "ipv4" : "ipv6";
}
