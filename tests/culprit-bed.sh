# Copyright (c) 2026 The vmlat authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at:
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

# Two hosts and a guest on each, in a VM of run-vm: shell functions for
# check-culprit.  Source it from bash, as root.
#
#   guest-a --vnet-a [ host-a: br0 ] nic-a -- wire-a [ wire ] wire-b --
#           nic-b [ host-b: br0 ] vnet-b-- guest-b
#
# host-a, host-b and wire are network namespaces of one kernel; each host has
# its own ovs-vswitchd and so its own kernel datapath.  guest-a (10.7.0.1) and
# guest-b (10.7.0.2) are VMs, qemu with KVM, whose virtio-net stands on a tap
# and vhost-net.  Nothing but what a test sends is on the way: addresses are
# known, nobody speaks IPv6.  So the delay of a device's queueing discipline,
# a vhost worker's or a vCPU's is that of one segment.
#
# Functions take a side, "a" or "b".
#
# In the VM, needs: culprit_work (folder with vmlinux, initrd, delay.elf, see
# check-culprit), culprit_log (folder for logs), ovs_srcdir, and OVS's programs
# in PATH.

culprit_tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
culprit_run=/run/culprit
culprit_timeout=180         # Seconds that anything may take.
declare -A culprit_address=([a]=10.7.0.1 [b]=10.7.0.2)
declare -A culprit_mac=([a]=02:00:00:00:07:01 [b]=02:00:00:00:07:02)
declare -A culprit_qemu culprit_in culprit_out culprit_number

say () {
    printf '%6.1f %s\n' "$(cut -d ' ' -f 1 /proc/uptime)" "$*"
}

# complain MESSAGE...: for whoever looks at the output, and fails.
complain () {
    say "culprit: $*"
    return 1
}

other_side () {
    case $1 in
    a) echo b ;;
    b) echo a ;;
    esac
}

# wait_for WHAT COMMAND...: until COMMAND succeeds.
wait_for () {
    local what=$1 end=$((SECONDS + culprit_timeout))
    shift
    until "$@" > /dev/null 2>&1; do
        test $SECONDS -lt $end || complain "no $what after" \
            "$culprit_timeout s" || return 1
        sleep 0.2
    done
}

# What guests boot: made before the VM is started.

# culprit_vmlinux KERNEL FILE: the kernel of KERNEL, a folder of
# tests/vm/get-kernel, as it is unpacked, which saves a guest the time to do
# it.
culprit_vmlinux () {
    local image setup offset length
    image=$(readlink -f "$1/vmlinuz")
    setup=$(od -An -tu1 -j $((0x1f1)) -N 1 "$image")
    offset=$(od -An -tu4 -j $((0x248)) -N 4 "$image")
    length=$(od -An -tu4 -j $((0x24c)) -N 4 "$image")
    # After it comes its size.
    tail -c +$(((setup + 1) * 512 + offset + 1)) "$image" |
        head -c $((length - 4)) > "$2.packed"
    { xz -dc < "$2.packed" || zstd -dc < "$2.packed"; } > "$2" 2> /dev/null
    rm "$2.packed"
    test -s "$2"
}

# culprit_initrd KERNEL FILE PROGRAM...: busybox, tc with its libraries,
# modules of KERNEL, PROGRAMs, and tests/culprit-guest as the first process.
culprit_initrd () {
    local kernel=$1 initrd=$2 root=$2.root release module file
    shift 2
    release=$(ls "$kernel/lib/modules")
    mkdir -p "$root"/{bin,sbin,dev,proc,sys,modules,share,tmp}
    cp "$culprit_tests/culprit-guest" "$root/init" &&
    cp "$(command -v busybox)" "$(command -v tc)" "$@" "$root/bin" || return 1
    for file in $(ldd "$(command -v tc)" | grep -o '/[^ ]*'); do
        mkdir -p "$root/${file%/*}" && cp "$file" "$root/$file" || return 1
    done
    for module in virtio_pci virtio_console virtio_net 9pnet_virtio 9p \
                  sch_netem sch_ingress ifb act_mirred cls_matchall; do
        modprobe -d "$kernel" -S "$release" --show-depends $module || return 1
    done > "$initrd.depends"
    for file in $(awk '$1 == "insmod" && !seen[$2]++ { print $2 }' \
                      "$initrd.depends"); do
        module=${file##*/}
        module=${module%%.ko*}
        case $file in
        *.ko) cat "$file" ;;
        *.xz) xz -dc "$file" ;;
        *.zst) zstd -dc "$file" ;;
        *) false ;;
        esac > "$root/modules/$module.ko" || return 1
        echo "/modules/$module.ko"
    done > "$root/modules/order"
    (cd "$root" && find . | cpio -o -H newc --quiet -R 0:0) > "$initrd" &&
    rm -r "$root" "$initrd.depends"
}

# Hosts.

# at_host SIDE COMMAND...: in the host's network namespace, with its OVS.
at_host () {
    local dir=$culprit_run/host-$1
    OVS_RUNDIR=$dir OVS_LOGDIR=$culprit_log/host-$1 OVS_DBDIR=$dir \
        nsenter --net="/run/netns/host-$1" --uts="$dir/uts" "${@:2}"
}

# appctl SIDE ARGUMENT...
appctl () {
    OVS_RUNDIR=$culprit_run/host-$1 ovs-appctl --timeout=120 "${@:2}"
}

# Namespaces and devices of both hosts, and the wire.
hosts_make () {
    local side dir

    modprobe -a openvswitch tun vhost_net kvm_amd veth bridge sch_netem ||
        return 1
    sysctl -q -w net.core.devconf_inherit_init_net=1 \
        net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1
    mkdir -p $culprit_run
    ip -batch - <<END || return 1
netns add wire
netns add host-a
netns add host-b
link add wire-a netns wire type veth peer name nic-a netns host-a
link add wire-b netns wire type veth peer name nic-b netns host-b
END
    ip -n wire -batch - <<END || return 1
link add name lan type bridge mcast_snooping 0
link set wire-a master lan up
link set wire-b master lan up
link set lan up
END
    for side in a b; do
        dir=$culprit_run/host-$side
        mkdir -p "$dir" "$culprit_log/host-$side"
        # A host name of its own.
        : > "$dir/uts"
        unshare --uts="$dir/uts" hostname "host-$side" || return 1
        ip -n "host-$side" -batch - <<END || return 1
link set lo up
link set nic-$side up
tuntap add vnet-$side mode tap vnet_hdr
link set vnet-$side up
END
    done
}

# Databases and daemons of both.
hosts_start () {
    local side dir

    for side in a b; do
        dir=$culprit_run/host-$side
        ovsdb-tool create "$dir/conf.db" \
            "$ovs_srcdir/vswitchd/vswitch.ovsschema" &&
        at_host $side ovsdb-server "$dir/conf.db" --detach --no-chdir \
            --pidfile --log-file --remote="punix:$dir/db.sock" \
            > "$dir/start.log" 2>&1 &&
        at_host $side ovs-vsctl --no-wait init -- \
            set Open_vSwitch . other_config:max-idle=600000 -- \
            add-br br0 -- set Bridge br0 fail_mode=secure -- \
            add-port br0 nic-$side -- add-port br0 vnet-$side -- \
            set Interface vnet-$side external_ids:iface-id=guest-$side ||
            return 1
    done
    # Before that, OVS takes it that there are no CPUs.
    while test "$(cut -d . -f 1 /proc/uptime)" -lt 11; do sleep 0.2; done
    for side in a b; do
        daemon_start $side || return 1
    done
}

daemon_start () {
    at_host "$1" ovs-vswitchd "unix:$culprit_run/host-$1/db.sock" --detach \
        --no-chdir --pidfile --log-file > /dev/null 2>&1 ||
        complain "ovs-vswitchd of host-$1 does not start" || return 1
    wait_for "bridge on host-$1" at_host "$1" ovs-ofctl show br0 &&
    at_host "$1" ovs-ofctl add-flow br0 \
        "in_port=vnet-$1,actions=output:nic-$1" &&
    at_host "$1" ovs-ofctl add-flow br0 \
        "in_port=nic-$1,actions=output:vnet-$1"
}

daemon_runs () {
    kill -0 "$(cat "$culprit_run/host-$1/ovs-vswitchd.pid")" 2> /dev/null
}

# Guests.

# guest_start SIDE...: starts guests, which takes a while: see guest_wait.
guest_start () {
    local side peer dir
    for side; do
        peer=$(other_side "$side")
        dir=$culprit_run/guest-$side
        rm -rf "$dir"
        mkdir -p "$dir/share"
        mkfifo "$dir/control.in" "$dir/control.out"
        exec {culprit_in[$side]}<> "$dir/control.in"
        exec {culprit_out[$side]}<> "$dir/control.out"
        culprit_number[$side]=0
        nsenter --net="/run/netns/host-$side" qemu-system-x86_64 \
            -name "guest-$side,debug-threads=on" -machine pc -accel kvm \
            -cpu host,-svm -smp 1 -m 384 -nodefaults -no-user-config \
            -display none -no-reboot ${culprit_bios--bios qboot.rom} \
            -kernel "$culprit_work/vmlinux" -initrd "$culprit_work/initrd" \
            -append "console=ttyS0 quiet panic=-1 oops=panic nowatchdog \
rcupdate.rcu_cpu_stall_suppress=1 mitigations=off audit=0 apparmor=0 \
ipv6.disable=1 no_timer_check rdinit=/init name=guest-$side \
address=${culprit_address[$side]} mac=${culprit_mac[$side]} \
peer=${culprit_address[$peer]} peer_mac=${culprit_mac[$peer]}" \
            -chardev "file,id=console,path=$culprit_log/guest-$side.log,\
append=on" \
            -serial chardev:console \
            -netdev "tap,id=net,ifname=vnet-$side,script=no,downscript=no,\
vhost=on" \
            -device virtio-net-pci,netdev=net,romfile= \
            -device virtio-serial-pci \
            -chardev "pipe,id=control,path=$dir/control" \
            -device virtserialport,chardev=control,nr=1 \
            -virtfs "local,path=$dir/share,mount_tag=share,\
security_model=none" \
            < /dev/null >> "$culprit_log/guest-$side.qemu.log" 2>&1 &
        culprit_qemu[$side]=$!
    done
}

# guest_reply SIDE NUMBER: waits for the reply to command NUMBER, and returns
# the exit status that it has.
guest_reply () {
    local number status end=$((SECONDS + culprit_timeout))
    while test $SECONDS -lt $end; do
        if read -r -t 1 -u "${culprit_out[$1]}" number status; then
            test "$number" != "$2" || return "$status"
        elif ! kill -0 "${culprit_qemu[$1]}" 2> /dev/null; then
            complain "guest-$1 has ended"
            return 125
        fi
    done
    complain "no reply from guest-$1 after $culprit_timeout s"
    return 124
}

# guest_wait SIDE...: until guests are up.
guest_wait () {
    local side
    for side; do
        guest_reply "$side" ready || return 1
    done
}

# guest_ask SIDE COMMAND: has the guest run COMMAND, one line for its shell,
# and waits for its end.  Prints what it printed, returns its exit status.
guest_ask () {
    local number=$((++culprit_number[$1])) status
    echo "$number $2" >&"${culprit_in[$1]}"
    guest_reply "$1" $number
    status=$?
    cat "$culprit_run/guest-$1/share/out.$number" 2> /dev/null
    return $status
}

# guest_kill SIDE: as if the power went.
guest_kill () {
    kill -KILL "${culprit_qemu[$1]}" 2> /dev/null
    wait "${culprit_qemu[$1]}" 2> /dev/null
    exec {culprit_in[$1]}>&- {culprit_out[$1]}<&-
}

# Recording.

# At both hosts: command $1 of vmlat, with ARGUMENTS, at the same time.
both_appctl () {
    local first
    appctl a "$@" > $culprit_run/said-a 2>&1 &
    first=$!
    appctl b "$@" > $culprit_run/said-b 2>&1 && wait $first && return
    wait $first
    complain "$*: host-a: $(cat $culprit_run/said-a)," \
        "host-b: $(cat $culprit_run/said-b)"
}

# records_begin
# records_end FOLDER: writes what was recorded since, host-a.rec and
# host-b.rec.
records_begin () {
    both_appctl vmlat/record start
}
records_end () {
    local side pids=''
    for side in a b; do
        (appctl $side vmlat/record stop &&
         appctl $side vmlat/record dump "$1/host-$side.rec") \
            > $culprit_run/said-$side 2>&1 &
        pids+=" $!"
    done
    # shellcheck disable=SC2086
    for side in $pids; do
        wait "$side" ||
            complain "no records: $(cat $culprit_run/said-*)" || return 1
    done
}

# guest_record SIDE...: has vmlat-guest record in guests.
guest_record () {
    local side
    for side; do
        guest_ask "$side" "rm -f /share/guest.rec; \
vmlat-guest rtt --proto=all --quiet --record=/share/guest.rec \
> /share/vmlat-guest.log 2>&1 & echo \$! > /tmp/vmlat-guest.pid" || return 1
    done
    for side; do
        wait_for "vmlat-guest in guest-$side" grep -q "following packets" \
            "$culprit_run/guest-$side/share/vmlat-guest.log" || return 1
    done
}

# guest_record_end SIDE FOLDER: ends it; FOLDER gets guest-SIDE.rec.
guest_record_end () {
    local share=$culprit_run/guest-$1/share
    guest_ask "$1" "read pid < /tmp/vmlat-guest.pid; kill -INT \$pid; \
while test -d /proc/\$pid; do usleep 50000; done"
    cp "$share/vmlat-guest.log" "$2/vmlat-guest-$1.log"
    mv "$share/guest.rec" "$2/guest-$1.rec"
}

# Delays.

# Threads of guest SIDE: its vhost worker and its vCPU.
vhost_worker () {
    grep -lx "vhost-${culprit_qemu[$1]}" /proc/[0-9]*/comm \
        "/proc/${culprit_qemu[$1]}"/task/*/comm 2> /dev/null |
        sed 's,/comm$,,;s,.*/,,' | sort -nu | head -n 1
}
vcpu_thread () {
    grep -lx "CPU 0/KVM" "/proc/${culprit_qemu[$1]}"/task/*/comm |
        sed 's,/comm$,,;s,.*/,,'
}

delay_load () {
    culprit-delay load "$culprit_work/delay.elf"
}

# thread_delay TID WHERE MS [WORKER]: makes the thread late by so much, 0: no
# more.  WHERE is that of tests/culprit-delay.bpf.c; a vCPU is late for what
# that vhost WORKER brings.
thread_delay () {
    culprit-delay set "$@"
}

# netem NAMESPACE DEVICE MS: delays what leaves by the device, 0: no more.
netem () {
    if test "$3" -gt 0; then
        tc -n "$1" qdisc replace dev "$2" root netem delay "$3ms"
    else
        tc -n "$1" qdisc del dev "$2" root
    fi
}

# The same in a guest.
guest_netem () {
    if test "$2" -gt 0; then
        guest_ask "$1" "tc qdisc replace dev eth0 root netem delay $2ms"
    else
        guest_ask "$1" "tc qdisc del dev eth0 root"
    fi
}

# guest_netem_in SIDE MS: delays what the guest receives, past the point at
# which it comes from the driver.
guest_netem_in () {
    if test "$2" -gt 0; then
        guest_ask "$1" "ip link set ifb0 up && \
tc qdisc replace dev ifb0 root netem delay $2ms && \
tc qdisc add dev eth0 clsact && \
tc filter add dev eth0 ingress matchall action mirred egress redirect dev ifb0"
    else
        guest_ask "$1" "tc qdisc del dev eth0 clsact; ip link set ifb0 down"
    fi
}

# guest_responder SIDE MS: answers echoes in user space, late.
guest_responder () {
    local off=/proc/sys/net/ipv4/icmp_echo_ignore_all
    if test "$2" -gt 0; then
        guest_ask "$1" "echo 1 > $off; culprit-responder $2 &"
    else
        guest_ask "$1" "echo 0 > $off; killall culprit-responder"
    fi
}

# delay SEGMENT MS: makes one segment of the way from guest-a to guest-b and
# back longer, 0: no more.
delay () {
    case $1 in
    A) guest_netem a "$2" ;;
    B1) thread_delay "$(vhost_worker a)" 0 "$2" ;;
    B) netem host-a nic-a "$2" ;;
    C) netem wire wire-b "$2" ;;
    D) netem host-b vnet-b "$2" ;;
    E) thread_delay "$(vhost_worker b)" 1 "$2" ;;
    E+) thread_delay "$(vcpu_thread b)" 2 "$2" "$(vhost_worker b)" ;;
    F) guest_netem_in b "$2" ;;
    G) guest_responder b "$2" ;;
    H) guest_netem b "$2" ;;
    I1) thread_delay "$(vhost_worker b)" 0 "$2" ;;
    I) netem host-b nic-b "$2" ;;
    J) netem wire wire-a "$2" ;;
    K) netem host-a vnet-a "$2" ;;
    L) thread_delay "$(vhost_worker a)" 1 "$2" ;;
    L+) thread_delay "$(vcpu_thread a)" 2 "$2" "$(vhost_worker a)" ;;
    M) guest_netem_in a "$2" ;;
    *) complain "no segment $1" ;;
    esac
}
