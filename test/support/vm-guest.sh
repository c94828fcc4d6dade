#!/bin/bash
# Second half of the start of the virtual machine (after vm-init.sh), then the job, then power off. What a job is lies in
# /tsnet-vm/job, one file each: cwd, modules (the kernel's, a folder), and, each part ended by a zero byte, environment and argv.
# Its output goes to the second serial line, its exit code with the kernel's messages to the first.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
JOB=/tsnet-vm/job
mkdir -p /dev/pts /dev/shm /lib/modules /run/lock /run/netns
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -s "$(<$JOB/modules)" /lib/modules/ # for the modules that the kernel, ip and dockerd ask for
modprobe br_netfilter                  # nothing asks for it, and hosts with Docker have it
ip link set lo up
mapfile -d '' -t environment <$JOB/environment
mapfile -d '' -t argv <$JOB/argv
exec 3>/dev/ttyS1
stty -F /dev/ttyS1 raw
cd "$(<$JOB/cwd)" && env -i "${environment[@]}" "${argv[@]}" 2>&1 </dev/null | cat >&3
status=${PIPESTATUS[0]}
exec 3>&-
echo "tsnet-vm: exit $status"
busybox poweroff -f
