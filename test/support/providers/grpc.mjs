// A key provider by gRPC: node grpc.mjs ADDRESS SECRET [LOG [TLS-FOLDER]]
// ADDRESS is "host:port" (0 for a free one) or "unix:///path"; prints "listening PORT" when it is ready.
// The folder has ca.crt, server.crt and server.key; clients have to show a certificate by that authority.
import { readFileSync } from "node:fs";
import { ServerCredentials } from "@grpc/grpc-js";
import { serve, vaultHandler } from "./service.mjs";
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
const { port } = await serve(address, credentials, vaultHandler(new Vault(secret, log)));
process.stdout.write(`listening ${port}\n`);
