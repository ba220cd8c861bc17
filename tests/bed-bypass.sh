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

# The network of the bypass case, on the test bed (source testbed.sh first):
# for check-bypass and vmlat-sandbox --bypass.
#
#   vm1 -- vhost-user -- ovsbr0 -- dpdk0 ---------- wire -- peer
#                          | (internal port)         |
#                        kernel -- enp65s0f0np0 -----+
#
# "wire" is the router that both links of the host end at; the peer is behind
# it.  All of these have real IP stacks.

BYP_NIC=enp65s0f0np0
BYP_WIRE_NIC=w-enp65s0f0np0
BYP_VM_IP=192.168.100.10
BYP_GW_IP=192.168.100.1         # The VM's gateway: whose, is the question.
BYP_WIRE_IP=192.168.100.254     # The router in the VM's network, if it is.
BYP_HOST_IP=10.20.0.11          # The host, on its kernel NIC.
BYP_PEER_IP=10.30.0.20
BYP_PEER2_IP=10.30.0.21

# Runs one or more "ip" commands, a line each, in namespace $1, from standard
# input; with $2 "force", whether or not each succeeds.
byp_ip () {
    if test "$2" = force; then
        ip -n "`bed_ns_name "$1"`" -force -batch - 2>/dev/null
    else
        ip -n "`bed_ns_name "$1"`" -batch -
    fi
}

# bypass_bed_start
#
# Starts OVS-DPDK with ovsbr0, dpdk0 and vm1, and all around it.
bypass_bed_start () {
    BED_BRIDGE=ovsbr0
    bed_ovs_start "$@" &&
    ovs-vsctl --timeout="${BED_TIMEOUT:-30}" del-br br0 -- add-br ovsbr0 -- \
        set bridge ovsbr0 datapath_type=netdev fail_mode=standalone &&
    bed_uplink_add dpdk0 ovsbr0 &&
    bed_wire_ns ethtool -K dpdk0-wire tx off >/dev/null 2>&1 &&
    # A NIC that DPDK has is out of the kernel's sight.
    ip -n "$BED_NS" link set dpdk0-veth arp off &&
    bed_link host $BYP_NIC wire $BYP_WIRE_NIC &&
    bed_host_make peer &&
    bed_link peer eth0 wire peer &&
    bed_guest_start vm1 ovsbr0 &&
    bed_run peer serve-peer serve &&
    bed_run vm1 serve-vm1 serve &&
    bed_run host serve-host serve &&
    # A router's ports answer for their own addresses only.
    bed_wire_ns sysctl -q -w net.ipv4.conf.all.arp_ignore=1
}

# bypass_bed_reset
#
# Takes away all addresses, routes, rules and settings, and lays the cables and
# addresses that are always there.
bypass_bed_reset () {
    local ns device
    for ns in host wire peer vm1; do
        bed_at $ns sh -c '
            while ip rule del pref 100 || ip -6 rule del pref 100; do
                :
            done
            ip route flush table 100
            ip -6 route flush table 100
            nft flush ruleset
            for device in /sys/class/net/*; do
                device=${device##*/}
                test $device != lo || continue
                ip addr flush dev $device
                ip route flush dev $device
                ip neigh flush dev $device nud all
                echo 1 > /proc/sys/net/ipv6/conf/$device/disable_ipv6
            done
            # A change sets it for each device; the router forwards.
            for value in 1 0 '$(test $ns != wire || echo 1)'; do
                echo $value > /proc/sys/net/ipv4/ip_forward
                echo $value > /proc/sys/net/ipv6/conf/all/forwarding
            done' >/dev/null 2>&1
    done
    byp_ip wire <<END
link set dpdk0-wire up
addr add 10.20.0.1/24 dev $BYP_WIRE_NIC
addr add 10.30.0.1/24 dev peer
END
    byp_ip peer <<END
addr add $BYP_PEER_IP/24 dev eth0
addr add $BYP_PEER2_IP/24 dev eth0
route add default via 10.30.0.1
END
    byp_ip host <<END
link set $BYP_NIC up
addr add $BYP_HOST_IP/24 dev $BYP_NIC
route add default via 10.20.0.1
link set ovsbr0 up
END
    byp_ip vm1 <<END
addr add $BYP_VM_IP/24 dev eth0
route add default via $BYP_GW_IP
END
    ovs-appctl fdb/flush ovsbr0 >/dev/null
}

# bypass_field
#
# The field case: the host's kernel has the addresses of the VM's gateway, on
# ovsbr0, and routes.
bypass_field () {
    byp_ip host <<END
addr add $BYP_GW_IP/24 dev ovsbr0
addr add 10.10.1.1/24 dev ovsbr0
END
    bed_ns sysctl -q -w net.ipv4.ip_forward=1 &&
    # What the host announces, the router takes.
    byp_ip wire <<END
route add 192.168.100.0/24 via $BYP_HOST_IP
END
}

# bypass_direct
#
# As it should be: the VM's gateway is the router at the other end of dpdk0.
bypass_direct () {
    byp_ip wire <<END
addr add $BYP_GW_IP/24 dev dpdk0-wire
END
}

# bypass_takeover
#
# What the network does when the host has ceased to be the VM's gateway: the
# router withdraws the route to it and takes the gateway's address over, as
# with VRRP, and says so (gratuitous ARP).  Fails if the host has the address
# still.
bypass_takeover () {
    local mac
    if ip -n "$BED_NS" -o addr show to $BYP_GW_IP | grep -q .; then
        bed_error "the host still has $BYP_GW_IP"
        return 1
    fi
    mac=`bed_at wire cat /sys/class/net/dpdk0-wire/address`
    byp_ip wire <<END
route del 192.168.100.0/24 via $BYP_HOST_IP
addr add $BYP_GW_IP/24 dev dpdk0-wire
END
    bed_wire send dpdk0-wire --hex "ffffffffffff${mac}08060001080006040001\
${mac}c0a86401000000000000c0a86401" >/dev/null
}

# bypass_cures PORT
#
# Prints the commands that vmlat/bypass has for PORT, one a line.
bypass_cures () {
    ovs-appctl vmlat/bypass cures "$1" interval=1 -f json |
        "${PYTHON3:-python3}" -c '
import json
import sys

table = json.load(sys.stdin)
at = table["headings"].index("command")
for row in table["data"]:
    print(row[at])'
}
