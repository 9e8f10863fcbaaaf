/**
 * The API server's double as a process of its own, to be started in a node's network. Reads its objects anew for each
 * request, and writes each request to FOLDER/requests.
 *
 *   node kube-api-server.ts FOLDER       FOLDER/objects.json: {"pods": […], "secrets": […], "isDown": false}
 */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { KubeApiDouble } from "./kube-api.ts";

const folder = process.argv[2] ?? "";
const double = await KubeApiDouble.start(folder);
double.fault = (request, response) => {
  appendFileSync(join(folder, "requests"), `${request.method} ${request.url}\n`);
  const { pods, secrets, isDown } = JSON.parse(readFileSync(join(folder, "objects.json"), "utf8"));
  double.pods.splice(0, double.pods.length, ...pods);
  double.secrets.splice(0, double.secrets.length, ...secrets);
  if (isDown) response.destroy();
  return isDown;
};
double.kubeconfig();
process.stdout.write("ready\n");
