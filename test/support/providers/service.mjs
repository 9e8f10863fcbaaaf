import { Server, status } from "@grpc/grpc-js";

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

/** Serves KeyProviderService; `handler` is given the message, the gRPC callback and the method's name. */
export async function serve(address, credentials, handler) {
  const server = new Server();
  for (const name of ["WrapKey", "UnWrapKey"]) {
    const handle = (call, callback) => handler(call.request, callback, name);
    server.addService({ [name]: method(name) }, { [name]: handle });
  }
  const port = await new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  return { port, close: () => server.forceShutdown() };
}

/** Lets a vault answer, what each method is for. */
export function vaultHandler(vault) {
  const operations = { WrapKey: "keywrap", UnWrapKey: "keyunwrap" };
  return (message, callback, name) => {
    try {
      const request = unframe(message);
      if (JSON.parse(request).op !== operations[name]) throw new Error(`${name} is not for that`);
      callback(null, frame(vault.answer(request)));
    } catch (error) {
      callback({ code: status.INTERNAL, details: error.message });
    }
  };
}

/** A message's only field, 1, which holds the JSON. */
function unframe(message) {
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
