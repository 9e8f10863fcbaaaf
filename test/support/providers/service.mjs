import { Server } from "@grpc/grpc-js";

const asIs = (bytes) => bytes;
const method = (name) => ({
  path: `/keyprovider.KeyProviderService/${name}`,
  requestStream: false,
  responseStream: false,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});

/** Serves KeyProviderService; `handler` is given the message and the gRPC callback, whatever the method. */
export async function serve(address, credentials, handler) {
  const server = new Server();
  const handle = (call, callback) => handler(call.request, callback);
  const definition = { WrapKey: method("WrapKey"), UnWrapKey: method("UnWrapKey") };
  server.addService(definition, { WrapKey: handle, UnWrapKey: handle });
  const port = await new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  return { port, close: () => server.forceShutdown() };
}

/** A message's only field, 1, which holds the JSON. */
export function unframe(message) {
  let [length, at] = [0, 1];
  for (let shift = 0, byte = 0x80; byte & 0x80; shift += 7) {
    byte = message[at++];
    length += (byte & 0x7f) * 2 ** shift;
  }
  if (message[0] !== 0x0a || message.length !== at + length) throw new Error("not one bytes field");
  return message.subarray(at);
}

export function frame(json) {
  const head = [0x0a];
  let rest = json.length;
  for (; rest > 0x7f; rest >>>= 7) head.push((rest & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([...head, rest]), json]);
}
