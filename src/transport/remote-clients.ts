import type { RegistryClient } from "../registry/client.ts";
import type { RemoteRepository } from "../registry/remote.ts";

/** The registry clients of this thread. Nothing of a client is loaded before the first one is needed. */

const clients = new Map<string, RegistryClient>();
const stopping = new AbortController();
let passOn: (warning: RemoteWarning) => void = showWarning;

/** A registry's warning to a client of one thread, for the thread whose client it was made from. */
export interface RemoteWarning {
  /** Of the `RemoteRepository`. */
  readonly id: string;
  readonly text: string;
}

/** This thread's client for a repository. */
export async function remoteClient(remote: RemoteRepository): Promise<RegistryClient> {
  const known = clients.get(remote.id);
  if (known !== undefined) return known;
  const { openRemote } = await import("../registry/open.ts");
  // Another request may have made the client in the meantime.
  const client =
    clients.get(remote.id) ??
    openRemote(remote, { signal: stopping.signal, onWarning: (text) => passOn({ id: remote.id, text }) });
  clients.set(remote.id, client);
  return client;
}

/** Makes a client that is there already this thread's, until it is forgotten. */
export function shareClient(id: string, client: RegistryClient): void {
  clients.set(id, client);
}

/** Shows a warning of another thread, unless the client here has shown it. */
export function showWarning({ id, text }: RemoteWarning): void {
  clients.get(id)?.warnings.add(text);
}

/** Sends the warnings of this thread's own clients elsewhere. */
export function passWarningsTo(receive: (warning: RemoteWarning) => void): void {
  passOn = receive;
}

export function forgetClient(id: string): void {
  clients.delete(id);
}

/** Aborts the requests of this thread's own clients, except those that remove an unfinished upload. */
export function abortRemoteRequests(): void {
  stopping.abort();
}

/** Closes the connections of this thread's clients, which would keep the thread alive. */
export async function closeRemoteClients(): Promise<void> {
  const all = [...clients.values()];
  clients.clear();
  await Promise.all(all.map((client) => client.close()));
}
