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

# The DPDK test bed: shell functions that start a private OVS-DPDK with
# "VMs" (testpmd on virtio-user) and uplinks (net_af_packet on veth), and
# take everything away again.  vmlat-sandbox, the system tests and the
# benchmark all stand on it.  Source it from a POSIX shell, as root.
#
# All state is in the folder $BED_DIR, none in shell variables, so functions
# may be called from subshells (Autotest's AT_CHECK).  Nothing shows in the
# machine's own network namespace, and no OVS or DPDK that runs elsewhere on
# the machine is touched: own folders, own namespaces, --in-memory DPDK.
#
# Caller's settings (exported or not), with their defaults:
#
#   BED_WIRE           path of bed-wire.py (no default)
#   BED_VSWITCHD_DIR   folder of the ovs-vswitchd to run (no default)
#   BED_OVS_BUILD      OVS's build tree (no default)
#   BED_OVS_SRC        OVS's source tree: srcdir of BED_OVS_BUILD
#   BED_TESTPMD        dpdk-testpmd
#   BED_PMD_CORE       core of the PMD thread: 1, or 0 if there is no other
#   BED_VM_CORES       cores of the VMs: all but BED_PMD_CORE
#   BED_PAGES          2 MiB hugepages to reserve: 512
#   BED_TIMEOUT        longest wait for anything, in seconds: 30
#   BED_TMPDIR         where to make $BED_DIR: /tmp (the path has to be short,
#                      it holds sockets)
#   BED_OVS_NICE       nice value of ovs-vswitchd: 0
#   BED_VM_NICE        nice value of VMs: 0
#   BED_BRIDGE         bridge that ports of VMs are added to: br0
#   BED_DEBUG          if set, ovs-vswitchd's extra arguments
#
# Set by bed_init and exported: BED_DIR, BED_MODE (huge or nohuge), BED_NS and
# BED_WIRE_NS (network namespaces), OVS_RUNDIR, OVS_LOGDIR, OVS_DBDIR,
# OVS_SYSCONFDIR, PATH (OVS's programs first).

BED_LEDGER=/run/vmlat-bed


# ----------------------------------------------------------------------
# Small helpers.

bed_log () {
    if test -n "$BED_DIR" && test -d "$BED_DIR"; then
        echo "`date +%T` $*" >> "$BED_DIR/bed.log"
    fi
}

# bed_error MESSAGE...
#
# Prints MESSAGE on stderr and returns 1.
bed_error () {
    bed_log "error: $*"
    echo "testbed: $*" >&2
    return 1
}

# bed_wait WHAT COMMAND...
#
# Runs COMMAND until it succeeds, for at most $BED_TIMEOUT seconds.
bed_wait () {
    local what="$1" n=0 limit
    limit=$((${BED_TIMEOUT:-30} * 20))
    shift
    while ! "$@" >/dev/null 2>&1; do
        n=$((n + 1))
        if test $n -ge $limit; then
            bed_error "no $what after ${BED_TIMEOUT:-30} seconds"
            return 1
        fi
        sleep 0.05
    done
}

# bed_alive PIDFILE
bed_alive () {
    test -s "$1" && bed_runs "`cat "$1"`"
}

# Whether process $1 runs: one that is dead, but that nobody waited for, does
# not, once all of its threads have ended (they have files open and locked).
bed_runs () {
    case `sed 's/.*) //' "/proc/$1/stat" 2>/dev/null` in
        '') return 1 ;;
        Z*) test "`ls "/proc/$1/task" 2>/dev/null | wc -l`" -gt 1 ;;
    esac
}

# bed_gone PIDFILE
bed_gone () {
    ! bed_alive "$1"
}

# bed_nice PIDFILE NICE
#
# Where the kernel schedules by session first, a process's own nice value says
# little: sets the session's as well.
bed_nice () {
    if test -w "/proc/`cat "$1"`/autogroup"; then
        echo "$2" 2>/dev/null > "/proc/`cat "$1"`/autogroup"
    fi
}

# bed_ns COMMAND...
#
# Runs COMMAND in the network namespace of the private OVS (br0's internal
# port is there).
bed_ns () {
    ip netns exec "$BED_NS" "$@"
}

# bed_wire_ns COMMAND...
#
# Runs COMMAND in the network namespace at the far end of the uplinks.
bed_wire_ns () {
    ip netns exec "$BED_WIRE_NS" "$@"
}

# Prints the mask of CPU core $1 as OVS takes it.
bed_mask () {
    printf '0x%x' $((1 << $1))
}

bed_index () {
    local index
    index=`echo "$1" | sed 's/.*[^0-9]//;s/^0*\([0-9]\)/\1/'`
    echo "${index:-0}"
}

# bed_vm_mac NAME
#
# Prints the MAC of VM NAME: made from the number at the end of the name.
bed_vm_mac () {
    printf '02:76:6d:00:00:%02x\n' "`bed_index "$1"`"
}


# ----------------------------------------------------------------------
# Hugepages: what a bed takes is written in a ledger before it is taken, so
# that also a bed that was killed with -9 is given back, by the next one.

bed_pages_file () {
    local node
    node=`ls -d "/sys/devices/system/cpu/cpu$BED_PMD_CORE"/node* 2>/dev/null \
          | sed 's/.*\(node[0-9]*\)$/\1/;q'`
    if test -n "$node" &&
       test -e "/sys/devices/system/node/$node/hugepages/hugepages-2048kB"
    then
        echo "/sys/devices/system/node/$node/hugepages/hugepages-2048kB"
    else
        echo /sys/kernel/mm/hugepages/hugepages-2048kB
    fi
}

# Takes $1 pages.  Under the ledger's lock.
bed_pages_take () {
    local file had got
    file=`bed_pages_file`
    had=`cat "$file/nr_hugepages" 2>/dev/null` || return 1
    echo $((had + $1)) > "$file/nr_hugepages" 2>/dev/null
    got=$((`cat "$file/nr_hugepages"` - had))
    if test $got -lt "$1"; then
        echo "$had" > "$file/nr_hugepages" 2>/dev/null
        return 1
    fi
    printf '%s %s\n' "$got" "$file" > "$BED_LEDGER/${BED_DIR##*/}.pages"
}

# Gives back the pages of bed $1.  Under the ledger's lock.
bed_pages_give () {
    local got file
    if test -s "$BED_LEDGER/$1.pages"; then
        read -r got file < "$BED_LEDGER/$1.pages"
        echo $((`cat "$file/nr_hugepages"` - got)) > "$file/nr_hugepages"
        rm -f "$BED_LEDGER/$1.pages"
    fi
}

bed_pages_locked () {
    (flock 9 && "$@") 9> "$BED_LEDGER/lock"
}


# ----------------------------------------------------------------------
# The bed itself.

# bed_from_build FOLDER
#
# Sets BED_VSWITCHD_DIR, BED_OVS_BUILD and BED_OVS_SRC from FOLDER, where vmlat
# was configured.  Those that are set already stay.
bed_from_build () {
    if test ! -r "$1/Makefile"; then
        bed_error "$1 holds no Makefile: run configure there first"
        return 1
    fi
    : "${BED_VSWITCHD_DIR:=$1/vswitchd}"
    : "${BED_OVS_BUILD:=`sed -n 's/^ovs_builddir = //p' "$1/Makefile"`}"
    : "${BED_OVS_SRC:=`sed -n 's/^ovs_srcdir = //p' "$1/Makefile"`}"
}

# Whether there is memory for $1 hugepages and something is left.
bed_pages_fit () {
    awk -v pages="$1" '
        $1 == "MemAvailable:" { free = $2 }
        END { exit !(free > pages * 2048 + 1048576) }' /proc/meminfo
}

# bed_init [auto|huge|nohuge]
#
# Makes $BED_DIR and the namespaces and reserves hugepages ("auto": if it can,
# else goes without; "huge": fails if it cannot).  The bed is cleaned when the
# calling shell dies, however it dies; call bed_clean to do it at once.
bed_init () {
    local mode="${1:-auto}" id cores
    if test "`id -u`" != 0; then
        bed_error "the DPDK test bed needs root"
        return 1
    fi
    if test ! -x "$BED_VSWITCHD_DIR/ovs-vswitchd"; then
        bed_error "no ovs-vswitchd in BED_VSWITCHD_DIR ($BED_VSWITCHD_DIR)"
        return 1
    fi
    if test ! -x "$BED_OVS_BUILD/ovsdb/ovsdb-server"; then
        bed_error "no ovsdb/ovsdb-server in BED_OVS_BUILD ($BED_OVS_BUILD)"
        return 1
    fi
    if test -z "$BED_OVS_SRC"; then
        BED_OVS_SRC=`sed -n 's/^abs_srcdir *= *//p;s/^srcdir *= *//p' \
                     "$BED_OVS_BUILD/Makefile" | tail -1`
        case $BED_OVS_SRC in
            /*) ;;
            *) BED_OVS_SRC=$BED_OVS_BUILD/$BED_OVS_SRC ;;
        esac
    fi
    if test ! -r "$BED_OVS_SRC/vswitchd/vswitch.ovsschema"; then
        bed_error "no vswitchd/vswitch.ovsschema in BED_OVS_SRC" \
                  "($BED_OVS_SRC)"
        return 1
    fi
    if ! command -v "${BED_TESTPMD:-dpdk-testpmd}" >/dev/null; then
        bed_error "no ${BED_TESTPMD:-dpdk-testpmd} (package dpdk)"
        return 1
    fi

    cores=`nproc --all`
    if test -z "$BED_PMD_CORE"; then
        BED_PMD_CORE=$((cores > 1 ? 1 : 0))
    fi
    if test -n "$BED_VM_CORES"; then
        :
    elif test "$cores" -le 2; then
        BED_VM_CORES=0
    elif test "$BED_PMD_CORE" = 1; then
        BED_VM_CORES="0,2-$((cores - 1))"
    else
        BED_VM_CORES="0-$((cores - 1))"
    fi

    mkdir -p "$BED_LEDGER" || return 1
    bed_reap
    BED_DIR=`mktemp -d "${BED_TMPDIR:-/tmp}/vmlat.XXXXXX"` || return 1
    chmod 755 "$BED_DIR"
    id=${BED_DIR##*/}
    BED_NS=$id
    BED_WIRE_NS=$id-wire
    # From here on the bed is known: whatever follows gets cleaned.
    printf '%s %s\n' $$ "$BED_DIR" > "$BED_LEDGER/$id"
    OVS_RUNDIR=$BED_DIR OVS_LOGDIR=$BED_DIR OVS_DBDIR=$BED_DIR
    OVS_SYSCONFDIR=$BED_DIR OVS_PKGDATADIR=$BED_OVS_SRC/vswitchd
    PATH=$BED_VSWITCHD_DIR:$BED_OVS_BUILD/utilities:$BED_OVS_BUILD/ovsdb:$PATH
    export BED_DIR BED_NS BED_WIRE_NS BED_VSWITCHD_DIR BED_OVS_BUILD
    export BED_OVS_SRC BED_PMD_CORE BED_VM_CORES PATH
    export OVS_RUNDIR OVS_LOGDIR OVS_DBDIR OVS_SYSCONFDIR OVS_PKGDATADIR
    bed_guard "$id"

    bed_ns_make "$BED_NS" && bed_ns_make "$BED_WIRE_NS" || return 1

    BED_MODE=nohuge
    if test "$mode" != nohuge; then
        if bed_pages_fit "${BED_PAGES:-512}" &&
           bed_pages_locked bed_pages_take "${BED_PAGES:-512}"; then
            BED_MODE=huge
        elif test "$mode" = huge; then
            bed_error "cannot reserve ${BED_PAGES:-512} hugepages of 2 MiB"
            return 1
        fi
    fi
    export BED_MODE
    for name in BED_DIR BED_NS BED_WIRE_NS BED_MODE BED_VSWITCHD_DIR \
        BED_OVS_BUILD BED_OVS_SRC BED_PMD_CORE BED_VM_CORES OVS_RUNDIR \
        OVS_LOGDIR OVS_DBDIR OVS_SYSCONFDIR OVS_PKGDATADIR PATH; do
        eval "echo \"$name='\$$name'; export $name\""
    done > "$BED_DIR/env"
    bed_log "mode $BED_MODE, PMD core $BED_PMD_CORE, VM cores $BED_VM_CORES"
}

# Makes network namespace $1, where nothing speaks IPv6 until it is told to.
bed_ns_make () {
    if ! ip netns add "$1"; then
        bed_error "cannot make network namespace $1"
        return 1
    fi
    ip netns exec "$1" sh -c '
        for key in all default; do
            key=/proc/sys/net/ipv6/conf/$key/disable_ipv6
            if test -w $key; then
                echo 1 > $key
            fi
        done
        ip link set lo up'
}

# bed_use FOLDER
#
# Makes the bed whose BED_DIR was FOLDER the present one, for scripts with more
# than one.
bed_use () {
    . "$1/env"
}

# bed_freeze
# bed_thaw
#
# Stops the present bed's processes for a while (SIGSTOP), so that they take no
# time from another bed's, and lets them go on.
bed_freeze () {
    kill -STOP `ip netns pids "$BED_NS"`
}
bed_thaw () {
    kill -CONT `ip netns pids "$BED_NS"`
}

# Watches the calling shell and cleans the bed when it is gone.
bed_guard () {
    (
        trap '' INT HUP TERM QUIT
        cd /
        owner=$$
        while bed_runs "$owner" &&
              test -e "$BED_LEDGER/$1"; do
            sleep 1
        done
        bed_clean_id "$1"
    ) </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
}

# Cleans beds whose owner is gone (and whose guard was killed as well).
bed_reap () {
    local file pid dir
    for file in "$BED_LEDGER"/vmlat.*; do
        case $file in
            *.pages | *'*') continue ;;
        esac
        read -r pid dir < "$file" || continue
        if ! bed_runs "$pid"; then
            bed_clean_id "${file##*/}"
        fi
    done
}

# Takes bed $1 away.  Idempotent; needs no variable.
bed_clean_id () {
    local pid dir ns i
    if test -e "$BED_LEDGER/$1" && read -r pid dir < "$BED_LEDGER/$1"; then
        # Everything that the bed started is in its namespaces.
        for ns in /run/netns/"$1" /run/netns/"$1"-*; do
            test -e "$ns" || continue
            ns=${ns##*/}
            i=0
            while test $i -lt 100; do
                pid=`ip netns pids "$ns" 2>/dev/null | tr '\n' ' '`
                test -n "`echo $pid`" || break
                kill -9 $pid 2>/dev/null
                sleep 0.05
                i=$((i + 1))
            done
            ip netns del "$ns" 2>/dev/null
        done
        bed_pages_locked bed_pages_give "$1"
        case $dir in
            */vmlat.??????) rm -rf "$dir" ;;
        esac
        rm -f "$BED_LEDGER/$1"
    fi
}

# bed_clean
#
# Stops everything and takes away all that the bed made.  With $BED_KEEP_LOGS
# set to a folder, saves the logs there.
bed_clean () {
    if test -n "$BED_DIR" && test -d "$BED_DIR"; then
        if test -n "$BED_KEEP_LOGS"; then
            mkdir -p "$BED_KEEP_LOGS"
            cp "$BED_DIR"/*.log "$BED_KEEP_LOGS"
            for vm in "$BED_DIR"/*/testpmd.log; do
                if test -e "$vm"; then
                    vm=${vm%/testpmd.log}
                    cp "$vm/testpmd.log" "$BED_KEEP_LOGS/${vm##*/}.log"
                fi
            done
        fi
        bed_vswitchd_stop >/dev/null 2>&1
        bed_clean_id "${BED_DIR##*/}"
    fi
}


# ----------------------------------------------------------------------
# Open vSwitch.

# bed_ovsdb_start
#
# Starts ovsdb-server on a new database.
bed_ovsdb_start () {
    ovsdb-tool create "$BED_DIR/conf.db" \
        "$BED_OVS_SRC/vswitchd/vswitch.ovsschema" &&
    bed_ns ovsdb-server --detach --no-chdir --pidfile \
        --log-file="$BED_DIR/ovsdb-server.log" -vconsole:off \
        --remote="punix:$BED_DIR/db.sock" "$BED_DIR/conf.db" \
        >> "$BED_DIR/console.log" 2>&1 &&
    ovs-vsctl --no-wait init
}

# bed_ovs_start [KEY=VALUE...]
#
# Starts ovsdb-server and ovs-vswitchd with DPDK and makes bridge br0
# (datapath_type=netdev).  Each KEY=VALUE goes to other_config.
bed_ovs_start () {
    local extra
    case $BED_MODE in
    huge)
        extra="--in-memory --no-pci --no-telemetry" ;;
    *)
        extra="--legacy-mem --no-huge --no-pci -m 2048 --no-telemetry" ;;
    esac
    bed_ovsdb_start &&
    ovs-vsctl --no-wait set Open_vSwitch . \
        other_config:dpdk-init=true \
        other_config:per-port-memory=true \
        other_config:dpdk-lcore-mask="`bed_mask 0`" \
        other_config:pmd-cpu-mask="`bed_mask "$BED_PMD_CORE"`" \
        other_config:dpdk-extra="\"$extra\"" || return 1
    for extra; do
        ovs-vsctl --no-wait set Open_vSwitch . "other_config:$extra" ||
            return 1
    done
    bed_vswitchd_start || return 1
    ovs-vsctl --timeout="${BED_TIMEOUT:-30}" --may-exist add-br br0 -- \
        set bridge br0 datapath_type=netdev fail_mode=standalone
}

# bed_vswitchd_start [FOLDER]
#
# Starts ovs-vswitchd of FOLDER ($BED_VSWITCHD_DIR) on the bed's database.
bed_vswitchd_start () {
    # RUNTIME_DIRECTORY: EAL's own folder.
    if ! RUNTIME_DIRECTORY="$BED_DIR" bed_ns nice -n "${BED_OVS_NICE:-0}" \
        "${1:-$BED_VSWITCHD_DIR}/ovs-vswitchd" --detach --no-chdir --pidfile \
        --log-file="$BED_DIR/ovs-vswitchd.log" -vconsole:off $BED_DEBUG \
        "unix:$BED_DIR/db.sock" </dev/null >> "$BED_DIR/console.log" 2>&1
    then
        tail -5 "$BED_DIR/ovs-vswitchd.log" >&2
        bed_error "ovs-vswitchd does not start"
        return 1
    fi
    bed_nice "$BED_DIR/ovs-vswitchd.pid" "${BED_OVS_NICE:-0}"
    if test "`ovs-vsctl --no-wait get Open_vSwitch . \
              other_config:dpdk-init 2>/dev/null`" = '"true"' &&
       test "`ovs-vsctl --timeout="${BED_TIMEOUT:-30}" \
              get Open_vSwitch . dpdk_initialized`" != true; then
        grep -i dpdk "$BED_DIR/ovs-vswitchd.log" | tail -5 >&2
        bed_error "DPDK did not initialize"
        return 1
    fi
}

# bed_vswitchd_stop
#
# Lets ovs-vswitchd end by itself; kills it when it does not.
bed_vswitchd_stop () {
    local pidfile="$BED_DIR/ovs-vswitchd.pid" n=0 pid
    if bed_alive "$pidfile"; then
        pid=`cat "$pidfile"`
        ovs-appctl --timeout=5 -t ovs-vswitchd exit >/dev/null 2>&1
        while bed_runs "$pid"; do
            n=$((n + 1))
            if test $n -ge 200; then
                kill -9 "$pid"
                bed_error "ovs-vswitchd had to be killed"
                return 1
            fi
            sleep 0.05
        done
    fi
}

# bed_ovs_counter PORT NAME
#
# Prints one of the port's counters, as OVS has it now (the database's are up
# to 5 s old).  NAME: rx, tx (packets), rx_drop, tx_drop.  OVS sets a DPDK
# port's counters to 0 when it reconfigures the port: when a VM comes back or
# the number of queues or PMDs changes.
bed_ovs_counter () {
    local br
    br=`ovs-vsctl iface-to-br "$1" 2>/dev/null` || br=$1
    ovs-ofctl dump-ports "$br" "$1" | tr ',' '\n' | awk -v name="$2" '
        /rx pkts/ { dir = "rx" }
        /tx pkts/ { dir = "tx" }
        /pkts=/   { split($0, v, "="); value[dir] = v[2] }
        /drop=/   { split($0, v, "="); value[dir "_drop"] = v[2] }
        END       { print value[name] == "" ? "?" : value[name] + 0 }'
}

# bed_port_add_vm NAME [QUEUES [BRIDGE]]
#
# Adds the vhost-user port of VM NAME, with the external_ids that a cloud
# sets.  bed_vm_start does it as well.
bed_port_add_vm () {
    local index
    index=`bed_index "$1"`
    ovs-vsctl --timeout="${BED_TIMEOUT:-30}" --may-exist \
        add-port "${3:-${BED_BRIDGE:-br0}}" "$1" -- \
        set Interface "$1" type=dpdkvhostuserclient \
        options:vhost-server-path="$BED_DIR/$1.sock" \
        options:n_rxq="${2:-1}" \
        external_ids:iface-id="port-$1" \
        external_ids:vm-uuid="`printf '%08d-0000-4000-8000-%012d' \
                               "$index" "$index"`" \
        external_ids:attached-mac="\"`bed_vm_mac "$1"`\""
}

# bed_uplink_add NAME [BRIDGE]
#
# Adds a type=dpdk port over a veth pair; its far end is device NAME-wire in
# the namespace $BED_WIRE_NS.
bed_uplink_add () {
    ip -n "$BED_NS" link add "$1-veth" type veth peer name "$1-wire" \
        netns "$BED_WIRE_NS" &&
    ip -n "$BED_NS" link set "$1-veth" up promisc on &&
    ip -n "$BED_WIRE_NS" link set "$1-wire" up promisc on &&
    ovs-vsctl --timeout="${BED_TIMEOUT:-30}" add-port "${2:-br0}" "$1" -- \
        set Interface "$1" type=dpdk \
        options:dpdk-devargs="net_af_packet_$1,iface=$1-veth" &&
    bed_wait "link on $1" bed_link_up "$1"
}

# bed_link_up PORT
bed_link_up () {
    test "`ovs-vsctl get Interface "$1" link_state`" = up
}


# ----------------------------------------------------------------------
# VMs.

# bed_vm_start NAME [MODE [QUEUES [TESTPMD-ARGUMENT...]]]
#
# Starts VM NAME and its port, waits for the link and lets it forward in MODE:
# a testpmd mode (io, macswap, 5tswap, txonly, rxonly, flowgen, icmpecho), or
# "none" (does not start forwarding; default).  5tswap sends each packet back
# to its sender.  A VM that is there already is an error.
bed_vm_start () {
    local name="$1" mode="${2:-none}" queues="${3:-1}" dir
    test $# -gt 3 && shift 3 || shift $#
    dir=$BED_DIR/$name
    if bed_alive "$dir/pid"; then
        bed_error "VM $name is running"
        return 1
    fi
    rm -f "$BED_DIR/$name.sock"
    bed_vm_spawn "$name" \
        "--vdev=net_virtio_user0,`bed_vm_vdev "$name" "$queues"`" \
        -- --rxq="$queues" --txq="$queues" --rxd=1024 --txd=1024 "$@" &&
    bed_port_add_vm "$name" "$queues" &&
    bed_wait "prompt of VM $name" grep -q 'testpmd>' "$dir/testpmd.log" &&
    bed_wait "link on $name" bed_link_up "$name" || return 1
    if test "$mode" != none; then
        bed_vm_cmd "$name" "set fwd $mode" >/dev/null &&
        bed_vm_cmd "$name" start >/dev/null
    fi
}

# bed_twin_start NAME PORT1 PORT2 [MODE [QUEUES [TESTPMD-ARGUMENT...]]]
#
# Starts one testpmd NAME that is both VMs, on ports PORT1 (its port 0) and
# PORT2 (its port 1).  What comes in at one, it sends from the other, so in
# mode io, with flows between PORT1 and PORT2, packets go round at full rate
# ("start tx_first N" puts 32 * N in each direction).  Two VMs that share a
# core lose nearly all they send to each other at full rate, a twin nothing.
bed_twin_start () {
    local name="$1" one="$2" two="$3" mode="${4:-none}" queues="${5:-1}" dir
    test $# -gt 5 && shift 5 || shift $#
    dir=$BED_DIR/$name
    if bed_alive "$dir/pid"; then
        bed_error "VM $name is running"
        return 1
    fi
    rm -f "$BED_DIR/$one.sock" "$BED_DIR/$two.sock"
    bed_port_add_vm "$one" "$queues" &&
    bed_port_add_vm "$two" "$queues" &&
    rm -f "$BED_DIR/$name.sock"
    bed_vm_spawn "$name" \
        "--vdev=net_virtio_user0,`bed_vm_vdev "$one" "$queues"`" \
        "--vdev=net_virtio_user1,`bed_vm_vdev "$two" "$queues"`" \
        -- --rxq="$queues" --txq="$queues" --rxd=1024 --txd=1024 "$@" &&
    bed_wait "prompt of VM $name" grep -q 'testpmd>' "$dir/testpmd.log" &&
    bed_wait "link on $one" bed_link_up "$one" &&
    bed_wait "link on $two" bed_link_up "$two" || return 1
    if test "$mode" != none; then
        bed_vm_cmd "$name" "set fwd $mode" >/dev/null &&
        bed_vm_cmd "$name" start >/dev/null
    fi
}

# Prints what follows "net_virtio_userN," for port $1 with $2 queues.
bed_vm_vdev () {
    printf 'path=%s,server=1,mac=%s,queues=%s,queue_size=1024\n' \
        "$BED_DIR/$1.sock" "`bed_vm_mac "$1"`" "$2"
}

# bed_vm_spawn NAME EAL-ARGUMENT... -- TESTPMD-ARGUMENT...
#
# Starts testpmd under NAME, interactive, with nothing but these arguments and
# what every testpmd of the bed has, in network namespace $BED_VM_NS (that of
# OVS, if not set).
bed_vm_spawn () {
    local dir="$BED_DIR/$1" name="$1" mem eal
    shift
    case $BED_MODE in
        huge) mem="--in-memory --single-file-segments" ;;
        *) mem="--no-huge -m 256 --file-prefix=${BED_DIR##*/}-$name" ;;
    esac
    rm -rf "$dir"
    mkdir -p "$dir" && mkfifo "$dir/stdin" || return 1
    eal=
    while test $# -gt 0 && test "$1" != --; do
        eal="$eal $1"
        shift
    done
    test $# -gt 0 && shift
    # Opening the FIFO for reading and writing keeps it from ending.
    (
        cd "$dir" || exit 1
        RUNTIME_DIRECTORY=$dir ip netns exec "${BED_VM_NS:-$BED_NS}" \
            nice -n "${BED_VM_NICE:-0}" setsid sh -c '
            echo $$ > pid
            exec stdbuf -oL "$@"' sh "${BED_TESTPMD:-dpdk-testpmd}" \
            --lcores "0@($BED_VM_CORES),1@($BED_VM_CORES)" \
            --no-pci --no-telemetry $mem $eal -- -i --no-flush-rx \
            --total-num-mbufs=16384 --nb-cores=1 "$@" \
            <> stdin > testpmd.log 2>&1 \
            3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    )
    bed_wait "process of VM $name" test -s "$dir/pid" || return 1
    bed_nice "$dir/pid" "${BED_VM_NICE:-0}"
}

# bed_vm_cmd NAME COMMAND
#
# Has testpmd run COMMAND and prints what it says.
bed_vm_cmd () {
    local dir="$BED_DIR/$1" at
    at=`wc -c < "$dir/testpmd.log"`
    printf '%s\nbedmark%s\n' "$2" "$at" > "$dir/stdin"
    bed_wait "answer of VM $1 to '$2'" \
        grep -q "bedmark$at" "$dir/testpmd.log" || return 1
    tail -c "+$((at + 1))" "$dir/testpmd.log" | tr -d '\r' |
        sed -e "/bedmark$at/,\$d" -e 1d
}

# bed_vm_counter NAME rx|tx [PORT]
#
# Prints how many packets the VM received or sent since it started.
#
# PORT: which port of a twin.
bed_vm_counter () {
    local key
    case $2 in
        rx) key=RX-packets: ;;
        tx) key=TX-packets: ;;
    esac
    bed_vm_cmd "$1" "show port stats ${3:-0}" | awk -v key="$key" '
        $1 == key { print $2; exit }'
}

# bed_vm_send NAME COUNT [MODE]
#
# Has VM NAME (not forwarding now) send at least COUNT packets at full rate in
# MODE (txonly; flowgen for many flows), stops it and prints how many it sent
# exactly.  Packets go to the MAC of --eth-peer (bed_vm_peer).
bed_vm_send () {
    local start now
    start=`bed_vm_counter "$1" tx` &&
    bed_vm_cmd "$1" "set fwd ${3:-txonly}" >/dev/null &&
    bed_vm_cmd "$1" start >/dev/null || return 1
    now=$start
    while test $((now - start)) -lt "$2"; do
        sleep 0.1
        now=`bed_vm_counter "$1" tx` || return 1
    done
    bed_vm_cmd "$1" stop >/dev/null
    now=`bed_vm_counter "$1" tx`
    echo $((now - start))
}

# bed_vm_send_exact NAME COUNT
#
# Has VM NAME (not forwarding now) send exactly COUNT packets, as many as its
# ring holds (1024) at a time.  Slow: for small numbers.
bed_vm_send_exact () {
    local left="$2" n
    bed_vm_cmd "$1" "set fwd rxonly" >/dev/null
    while test $left -gt 0; do
        n=$left
        if test $n -ge 32; then
            n=$((n / 32 < 16 ? n / 32 : 16))
            bed_vm_cmd "$1" "set burst 32" >/dev/null
            left=$((left - 32 * n))
        else
            bed_vm_cmd "$1" "set burst $n" >/dev/null
            left=0
            n=1
        fi
        bed_vm_cmd "$1" "start tx_first $n" >/dev/null
        bed_vm_cmd "$1" stop >/dev/null
        sleep 0.01
    done
    bed_vm_cmd "$1" "set burst 32" >/dev/null
}

# bed_vm_peer NAME MAC
#
# Sets where txonly and flowgen packets of VM NAME go.
bed_vm_peer () {
    bed_vm_cmd "$1" "set eth-peer 0 $2" >/dev/null
}

# bed_drain
#
# Waits until no VM and no OVS port counts any more packets: everything that
# was under way has arrived.  Nothing may be sending.
bed_drain () {
    local last=x now n=0 same=0
    while test $n -lt 300; do
        now=`for br in \`ovs-vsctl list-br\`; do
                 ovs-ofctl dump-ports "$br"
             done | grep -o 'pkts=[0-9]*'`
        if test "$now" = "$last"; then
            same=$((same + 1))
            test $same -ge 5 && return 0
        else
            same=0
        fi
        last=$now
        sleep 0.1
        n=$((n + 1))
    done
    bed_error "packets still flow"
}

# bed_vm_kill NAME
#
# kill -9.  Its port stays; bed_vm_start NAME connects to it again.
bed_vm_kill () {
    local pidfile="$BED_DIR/$1/pid"
    if bed_alive "$pidfile"; then
        kill -9 "`cat "$pidfile"`"
        bed_wait "end of VM $1" bed_gone "$pidfile"
    fi
}

# bed_vm_stop NAME
#
# Lets the VM end by itself.
bed_vm_stop () {
    local pidfile="$BED_DIR/$1/pid"
    if bed_alive "$pidfile"; then
        printf 'stop\nquit\n' > "$BED_DIR/$1/stdin"
        bed_wait "end of VM $1" bed_gone "$pidfile"
    fi
}


# ----------------------------------------------------------------------
# VMs and hosts with an IP stack.  Each is a network namespace, NAME for short
# and $BED_NS-NAME in full; its processes run what bed-host.py can do.

# bed_at NAME COMMAND...
#
# Runs COMMAND in namespace NAME: "host" is OVS's, "wire" the far end of the
# uplinks, others are made by bed_host_make and bed_guest_start.
bed_at () {
    local ns
    ns=`bed_ns_name "$1"`
    shift
    ip netns exec "$ns" "$@"
}

bed_ns_name () {
    case $1 in
        host) echo "$BED_NS" ;;
        *) echo "$BED_NS-$1" ;;
    esac
}

# bed_link NAME1 DEVICE1 NAME2 DEVICE2
#
# A cable (veth) between two devices.  Both leave checksums and segmentation
# to nobody else, as the frames go through programs.
bed_link () {
    local end
    ip -n "`bed_ns_name "$1"`" link add "$2" type veth \
        peer name "$4" netns "`bed_ns_name "$3"`" || return 1
    for end in "$1 $2" "$3 $4"; do
        bed_at ${end% *} ethtool -K ${end#* } tx off sg off tso off gso off \
            gro off >/dev/null 2>&1
        ip -n "`bed_ns_name ${end% *}`" link set ${end#* } up || return 1
    done
}

# bed_host_make NAME
bed_host_make () {
    bed_ns_make "`bed_ns_name "$1"`"
}

# bed_guest_start NAME [BRIDGE]
#
# Starts VM NAME with an IP stack: device eth0 in namespace NAME.  testpmd,
# in a namespace of its own, carries frames between it and the VM's
# vhost-user port, which is added to BRIDGE.
bed_guest_start () {
    bed_host_make "$1" && bed_host_make "$1-q" &&
    bed_link "$1" eth0 "$1-q" q0 &&
    ip -n "$BED_NS-$1" link set eth0 address "`bed_vm_mac "$1"`" &&
    ip -n "$BED_NS-$1-q" link set q0 promisc on arp off || return 1
    rm -f "$BED_DIR/$1.sock"
    BED_VM_NS=$BED_NS-$1-q bed_vm_spawn "$1" \
        "--vdev=net_virtio_user0,`bed_vm_vdev "$1" 1`" \
        --vdev=net_af_packet0,iface=q0 \
        -- --rxq=1 --txq=1 --rxd=1024 --txd=1024 &&
    bed_port_add_vm "$1" 1 "$2" &&
    bed_wait "prompt of VM $1" grep -q 'testpmd>' "$BED_DIR/$1/testpmd.log" &&
    bed_wait "link on $1" bed_link_up "$1" &&
    bed_vm_cmd "$1" "set fwd io" >/dev/null &&
    bed_vm_cmd "$1" start >/dev/null
}

# bed_run NAME LOG COMMAND...
#
# Runs bed-host.py COMMAND in namespace NAME in the background, with what it
# prints in $BED_DIR/LOG, and its process id in $BED_DIR/LOG.pid.
bed_run () {
    local ns log="$BED_DIR/$2"
    ns=`bed_ns_name "$1"`
    shift 2
    rm -f "$log.pid"
    (
        cd / || exit 1
        ip netns exec "$ns" setsid sh -c 'echo $$ > "$1"; shift; exec "$@"' \
            sh "$log.pid" "${PYTHON3:-python3}" "${BED_WIRE%/*}/bed-host.py" \
            "$@" </dev/null > "$log" 2>&1 \
            3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    )
    bed_wait "process of $*" test -s "$log.pid"
}

# bed_run_end LOG
#
# Ends it and prints what it printed.
bed_run_end () {
    local pidfile="$BED_DIR/$1.pid"
    if bed_alive "$pidfile"; then
        kill -TERM "`cat "$pidfile"`"
        bed_wait "end of $1" bed_gone "$pidfile"
    fi
    cat "$BED_DIR/$1"
}

# bed_device_counter NAME DEVICE rx|tx
#
# Prints how many packets DEVICE of namespace NAME received or sent.
bed_device_counter () {
    bed_at "$1" cat "/sys/class/net/$2/statistics/${3}_packets"
}


# bed_end [WHITELIST]
#
# Ends OVS and prints what it logged that it should not have: errors, and
# warnings but those that match WHITELIST (an extended regular expression) and
# those that come with VMs that start and end, little memory and busy cores.
# Fails if there are any, or if the daemon did not end by itself.
bed_end () {
    local status=0 known
    known='VHOST_CONFIG.*(failed to connect|recvmsg failed|peer closed)'
    known="$known|VHOST_CONFIG.*(write fail|failed to (send|read|recv))"
    known="$known|EAL: No (free|available) .*hugepages"
    known="$known|Rx checksum offload is not supported"
    # Of any thread, whose name is in parentheses.
    known="$known|(timeval|poll_loop|ovs_rcu)[^|]*\|WARN\|"
    known="$known|Dropped .* log messages"
    # A packet that comes while its port is being added.
    known="$known|ofproto_dpif_upcall.*xlate_key failed"
    bed_vswitchd_stop || status=1
    if grep -E '\|(WARN|ERR|EMER)\|' "$BED_DIR/ovs-vswitchd.log" |
       grep -vE "$known${1:+|$1}"; then
        status=1
    fi
    return $status
}


# ----------------------------------------------------------------------
# The wire.

# bed_wire COMMAND... : see bed-wire.py
#
# For example: bed_wire send dpdk0-wire --count 10 --dst-mac MAC
bed_wire () {
    bed_wire_ns "${PYTHON3:-python3}" "$BED_WIRE" "$@"
}

# bed_host COMMAND...
#
# The same from the OVS side: on device br0 it sends from the host.
bed_host () {
    bed_ns "${PYTHON3:-python3}" "$BED_WIRE" "$@"
}
