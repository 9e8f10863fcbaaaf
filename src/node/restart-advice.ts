/**
 * How an operator restarts containerd by hand.
 * @param command undefined: neither systemd nor OpenRC runs the machine
 */
export function restartAdvice(command: string | undefined): string {
  return command === undefined
    ? "restart containerd the way it was started: neither systemd nor OpenRC runs this machine"
    : `restart it by \`${command}\``;
}
