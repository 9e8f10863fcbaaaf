const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The service manager of a node: it starts containerd anew, as systemd would. */
export function systemctl(folder: string): string {
  return `#!/bin/busybox sh
# What has ended stays in /proc, without its program, until its parent asks for it.
live() { for it in $(busybox pidof containerd); do busybox readlink /proc/$it/exe >/dev/null && echo $it; done; }
case $1 in
show) echo loaded ;;
is-active) [ -n "$(live)" ] ;;
restart)
  busybox kill $(live)
  while [ -n "$(live)" ]; do busybox usleep 100000; done
  busybox rm -f ${folder}/containerd.sock
  busybox setsid busybox env -i PATH=${PATH} containerd --config ${folder}/config.toml >>${folder}/containerd.log 2>&1 </dev/null &
  until [ -S ${folder}/containerd.sock ]; do busybox usleep 100000; done
  ;;
esac
`;
}
