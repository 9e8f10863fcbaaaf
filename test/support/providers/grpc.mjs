// A key provider by gRPC: node grpc.mjs ADDRESS SECRET [LOG [TLS-FOLDER]]
// ADDRESS is "host:port" (0 for a free one) or "unix:///path"; prints "listening PORT" when it is ready.
// The folder has ca.crt, server.crt and server.key; clients have to show a certificate by that authority.
import { readFileSync } from "node:fs";
import { ServerCredentials, status } from "@grpc/grpc-js";
import { frame, serve, unframe } from "./service.mjs";
import { Vault } from "./vault.mjs";

const [address, secret, log, tls] = process.argv.slice(2);
const file = (name) => readFileSync(`${tls}/${name}`);
const credentials = tls
  ? ServerCredentials.createSsl(
      file("ca.crt"),
      [{ cert_chain: file("server.crt"), private_key: file("server.key") }],
      true,
    )
  : ServerCredentials.createInsecure();
const vault = new Vault(secret, log);

const { port } = await serve(address, credentials, (message, callback) => {
  try {
    callback(null, frame(vault.answer(unframe(message))));
  } catch (error) {
    callback({ code: status.INTERNAL, details: error.message });
  }
});
process.stdout.write(`listening ${port}\n`);
