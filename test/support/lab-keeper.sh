#!/bin/bash
# First process (pid 1) of a lab's own network, mount and pid namespace; $1 is the lab's folder. Gives the namespace its own
# /run (so that plugins, sockets and locks of two labs and of the machine do not meet), its own /sys (links) that keeps the
# machine's cgroups, and copies-on-write of /etc and /opt (dockerd and containerd write there). Then waits and reaps.
set -euo pipefail
D=$1
mkdir -p "$D/cgroup"
if [ -d /sys/fs/cgroup ]; then
  mount --rbind /sys/fs/cgroup "$D/cgroup"
  mount -t sysfs sysfs /sys
  mount --move "$D/cgroup" /sys/fs/cgroup
fi
for where in etc opt; do
  mkdir -p "$D/overlay/$where/upper" "$D/overlay/$where/work"
  # Where this cannot be (the folder itself lies on an overlay) the lab writes into the machine's own, as any dockerd would.
  mount -t overlay overlay -o "lowerdir=/$where,upperdir=$D/overlay/$where/upper,workdir=$D/overlay/$where/work" "/$where" 2>/dev/null || true
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/docker /run/openvswitch /run/lock /run/netns
ip link set lo up
cd /
: >"$D/ready"
while :; do sleep infinity & wait || true; done
