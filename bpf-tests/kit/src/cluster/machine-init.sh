#!/bin/bash
# The first process of a node: mounts what a machine has of its own, starts containerd, and reaps what is left to it.
# Arguments: the node's name, its folder.
name=$1 node=$2
rm -f "$node/ready"
mkdir -p "$node"/{etc,etc-work,opt,opt-work,lib,lib-work,log,kubelet,plugins,containerd,sysctl}

# File systems: the host's /etc, /opt and /var/lib with the node's own files over them, and what belongs to namespaces.
mount --make-rprivate /
mount -t overlay overlay /etc -o "lowerdir=/etc,upperdir=$node/etc,workdir=$node/etc-work"
mount -t overlay overlay /opt -o "lowerdir=/opt,upperdir=$node/opt,workdir=$node/opt-work"
mount -t overlay overlay /var/lib -o "lowerdir=/var/lib,upperdir=$node/lib,workdir=$node/lib-work"
mount --bind "$node/log" /var/log
mount -t sysfs sysfs /sys
if [ -e "$node/hybrid" ]; then # control groups of version 1, with version 2 beside them for BPF
  mount -t tmpfs tmpfs /sys/fs/cgroup
  for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
    mkdir "/sys/fs/cgroup/$controller"; mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
  done
  mkdir /sys/fs/cgroup/systemd; mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
  mkdir /sys/fs/cgroup/unified; mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
else
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs /run
mkdir -p /run/containerd /run/netns /run/lock /var/lib/cni /var/lib/kubelet /var/lib/ferrule /var/log/pods /opt/cni/bin /etc/cni/net.d
mount --bind "$node/kubelet" /var/lib/kubelet

# What the kubelet wants to write is the whole machine's: it reads what it wants to see.
shadow() { echo "$2" > "$node/sysctl/$(basename "$1")"; mount --bind "$node/sysctl/$(basename "$1")" "/proc/sys/$1"; }
shadow vm/overcommit_memory 1; shadow vm/panic_on_oom 0; shadow kernel/panic 10; shadow kernel/panic_on_oops 1
shadow kernel/keys/root_maxkeys 1000000; shadow kernel/keys/root_maxbytes 25000000
mount --make-rshared /

hostname "$name"
ip link set lo up
containerd --config "$node/containerd.toml" > "$node/log/containerd.log" 2>&1 &
echo $! > "$node/containerd.pid"
touch "$node/ready"
while :; do wait -n 2> /dev/null || sleep 1; done
