// A key provider that is run for each request: node command.mjs SECRET [LOG]
import { Vault } from "./vault.mjs";

const [secret, log] = process.argv.slice(2);
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
process.stdout.write(new Vault(secret, log).answer(Buffer.concat(chunks)));
