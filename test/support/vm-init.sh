#!/bin/busybox sh
# First process of the virtual machine, in its initial RAM disk (made by vm-ramdisk.ts). Its root becomes the machine's own root,
# reached by 9p and read-only, under a layer in memory that takes what is written; only one folder, the share, is really
# written. Beside this file lie /job (see vm-guest.sh) and the modules that all this takes.
exec >/dev/console 2>&1
PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
echo "tsnet-vm: up"
for module in /modules/*; do insmod "$module"; done
P9=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o $P9,ro,cache=loose root /lower
mount -t tmpfs tmpfs /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root
for where in proc sys dev; do mount --move /$where /root/$where; done
mount -t tmpfs -o mode=755 tmpfs /root/run
mkdir -p /root/tsnet-vm
mount -t tmpfs -o mode=755 tmpfs /root/tsnet-vm
mkdir /root/tsnet-vm/tmp
cp -r /job /root/tsnet-vm/job
share=/root$(cat /job/share)
mkdir -p "$share"
mount -t 9p -o $P9 share "$share"
exec switch_root /root /bin/bash "$(cat /job/guest)"
