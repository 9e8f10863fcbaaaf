import type { Socket } from "node:net";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import { connectionError, cutOff } from "./connection-error.ts";
import { hostAndPort } from "./origin.ts";
import type { HttpProxy } from "./proxy.ts";

const HEAD_END = "\r\n\r\n";

/**
 * Makes a connection to a proxy a tunnel to `target` (RFC 9110 §9.3.6): the proxy sees neither requests nor credentials.
 * @throws DecoderError REGISTRY when the proxy refuses; what the socket throws
 */
export async function openTunnel(socket: Socket, proxy: HttpProxy, target: URL): Promise<void> {
  const { host, port } = hostAndPort(target);
  const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const authorization = proxy.authorization && `Proxy-Authorization: ${proxy.authorization}\r\n`;
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization ?? ""}\r\n`);
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(await readHead(socket))?.[1];
  if (status?.startsWith("2")) return;
  const why =
    status === undefined
      ? "its answer is not HTTP"
      : status === "407"
        ? "it wants other credentials"
        : `it answered ${status}`;
  throw new DecoderError(
    "REGISTRY",
    `the proxy ${proxy.url.host} opens no connection to ${authority}: ${why}`,
    hintOf(proxy),
  );
}

/** Describes why a proxy can't be used. @param error as the runtime gives it, or one that was described already */
export function proxyError(proxy: HttpProxy, error: unknown): DecoderError {
  if (error instanceof DecoderError) return error;
  const { message } = connectionError(error, proxy.url);
  return new DecoderError("REGISTRY", message, { ...hintOf(proxy), cause: error });
}

function hintOf({ url }: HttpProxy): { hint: string } {
  return { hint: `HTTPS_PROXY or HTTP_PROXY names the proxy ${url.host}; NO_PROXY exempts hosts from it` };
}

/** The head of an answer, or "" when it is too long. What follows it belongs to the tunnel. */
async function readHead(socket: Socket): Promise<string> {
  const head = Promise.withResolvers<string>();
  let bytes = Buffer.alloc(0);
  const take = () => {
    for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf(HEAD_END);
      if (end < 0 && bytes.length < LIMITS.httpHeadBytes + HEAD_END.length) continue;
      // A socket announces what is put back like what has come, so nothing here may listen any more.
      stop();
      if (end < 0 || end > LIMITS.httpHeadBytes) return head.resolve("");
      const rest = bytes.subarray(end + HEAD_END.length);
      if (rest.length > 0) socket.unshift(rest);
      return head.resolve(bytes.toString("latin1"));
    }
  };
  const fail = (error?: Error) => head.reject(error ?? cutOff());
  const listeners = { readable: take, end: fail, close: () => fail(), error: fail };
  const stop = () => {
    for (const [event, listener] of Object.entries(listeners)) socket.off(event, listener);
  };
  for (const [event, listener] of Object.entries(listeners)) socket.on(event, listener);
  try {
    take();
    return await head.promise;
  } finally {
    stop();
  }
}
