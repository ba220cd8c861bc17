/*
 * Copyright (c) 2026 The vmlat authors.
 *
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 * You may obtain a copy of the License at:
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS,
 * WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 * See the License for the specific language governing permissions and
 * limitations under the License.
 */

#ifndef VMLAT_BYPASS_FACTS_H
#define VMLAT_BYPASS_FACTS_H 1

/* What is known when vmlat-bypass-rules.c judges whether the traffic of VMs
 * bypasses the userspace datapath: what the datapath did with packets, what
 * the kernel did with them, how the host and Open vSwitch are configured.
 * Plain data, with no pointers into anything else; each part says how it was
 * got and why it is missing, if it is. */

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/types.h>
#include "openvswitch/types.h"
#include "vmlat-bypass-abi.h"

/* The datapath: from its flows' counters (vmlat-bypass-flows.c). */

/* Packets of a window that entered by port 'in' and went out by 'out'. */
struct vmlat_bypass_dp_row {
    char *in;                   /* Name of the interface. */
    char *out;                  /* NULL if dropped or flooded. */
    bool flooded;               /* Went to several ports: counted once. */
    bool has_src, has_dst;      /* Whether the flow says these. */
    struct eth_addr src, dst;
    uint64_t packets;
    uint64_t bytes;
};

struct vmlat_bypass_dp {
    char *why_not;              /* NULL, or why there are no rows. */
    struct vmlat_bypass_dp_row *rows;
    size_t n;
    uint64_t left_out;          /* Packets of flows beyond what is kept. */
    uint64_t elsewhere;         /* Packets given to ovs-vswitchd, or to a bond
                                 * that chooses the port by itself: by which
                                 * port they went is not known. */
};

/* The kernel: from BPF (vmlat-bypass-load.c). */

struct vmlat_bypass_kernel_way {
    struct vmlat_bypass_way_key key;
    struct vmlat_bypass_way count;      /* Summed over the CPUs. */
};

struct vmlat_bypass_kernel_flow {
    struct vmlat_bypass_flow_key key;
    struct vmlat_bypass_flow count;
};

struct vmlat_bypass_kernel {
    char *why_not;              /* NULL, or why nothing could be followed. */
    char *without;              /* NULL, or what could not be attached, and
                                 * what is lost without it. */
    uint64_t counters[VMLAT_BYPASS_N_COUNTERS];
    struct vmlat_bypass_kernel_way *ways;
    size_t n_ways;
    struct vmlat_bypass_kernel_flow *flows;     /* Most packets first. */
    size_t n_flows;
};

/* The host: from rtnetlink and /proc/sys (vmlat-bypass-host.c), in the network
 * namespace of the daemon. */

struct vmlat_bypass_link {
    uint32_t ifindex;
    char name[IFNAMSIZ];
    struct eth_addr mac;
    uint32_t flags;             /* IFF_*. */
    bool carrier;
    bool physical;              /* Backed by a device of a bus. */
    bool stacked;               /* VLAN, bond, bridge, macvlan etc. */
    uint32_t lower;             /* IFLA_LINK in this namespace, or 0. */
    uint32_t master;            /* IFLA_MASTER, or 0. */
    char kind[16];              /* IFLA_INFO_KIND, "" if none. */
    char driver[32];            /* "" if unknown. */
    char bus[32];               /* Bus address, "" if none. */
    bool forwarding4;           /* net.ipv4.conf.NAME.forwarding. */
    bool forwarding6;
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
};

struct vmlat_bypass_ip {
    uint32_t ifindex;
    struct in6_addr ip;         /* IPv4 addresses are mapped. */
    uint8_t plen;               /* 0 to 32, or 128 for IPv6. */
};

struct vmlat_bypass_route {
    bool ip6;
    uint32_t table;
    struct in6_addr dst;        /* IPv4 addresses are mapped. */
    uint8_t plen;               /* Of the family. */
    uint32_t ifindex;           /* Of a next hop; one entry for each. */
    struct in6_addr gateway;    /* All 0 if none. */
    uint32_t metric;
};

struct vmlat_bypass_policy {    /* "ip rule". */
    bool ip6;
    uint32_t priority;
    uint32_t table;
    char text[96];              /* As "ip rule" shows it. */
};

struct vmlat_bypass_neighbor {
    uint32_t ifindex;
    struct in6_addr ip;
    struct eth_addr mac;
    bool valid;                 /* Reachable, stale, delay, probe or
                                 * permanent. */
};

struct vmlat_bypass_host {
    char *why_not;              /* NULL, or why something of this is
                                 * missing. */
    bool overrun;               /* The kernel could not tell us all. */
    struct vmlat_bypass_link *links;
    size_t n_links;
    struct vmlat_bypass_ip *ips;
    size_t n_ips;
    struct vmlat_bypass_route *routes;
    size_t n_routes;
    struct vmlat_bypass_policy *policies;
    size_t n_policies;
    struct vmlat_bypass_neighbor *neighbors;
    size_t n_neighbors;
    uint64_t left_out;          /* Entries beyond what is kept. */
    bool forwarding4, forwarding6;      /* net.*.conf.all.forwarding. */
    int nat;                    /* 1: the kernel has hooks for NAT in this
                                 * namespace, 0: none, -1: unknown. */
};

/* Open vSwitch: from the database and the daemon (vmlat-bypass.c). */

enum vmlat_bypass_port_kind {
    VMLAT_BYPASS_PORT_VM,               /* vhost-user, or a tap for a VM. */
    VMLAT_BYPASS_PORT_NIC,              /* dpdk, afxdp, NIC, tunnel. */
    VMLAT_BYPASS_PORT_INTERNAL,
    VMLAT_BYPASS_PORT_PATCH,
    VMLAT_BYPASS_PORT_OTHER
};

struct vmlat_bypass_port {
    char *name;
    char *bridge;
    char *type;                 /* As in the database: "dpdk", "" etc. */
    char *vm;                   /* Name of the VM for people, or NULL. */
    enum vmlat_bypass_port_kind kind;
    bool userspace;             /* Its bridge has datapath_type=netdev. */
    bool vhost;                 /* dpdkvhostuser or dpdkvhostuserclient. */
    bool tap;                   /* A tap that the main thread polls. */
    char *error;                /* Column "error" of Interface, or NULL. */
    char *devargs;              /* options:dpdk-devargs, or NULL. */
    char *peer;                 /* options:peer of a patch port, or NULL. */
    int tag;                    /* VLAN of the port, or 0. */
    bool link_known, link_up;   /* link_state. */
    bool admin_known, admin_up; /* admin_state. */
    uint32_t ifindex;           /* 0 if it has none. */
    bool has_mac;
    struct eth_addr mac;        /* mac_in_use. */
    bool has_vm_mac;
    struct eth_addr vm_mac;     /* external_ids:attached-mac. */
    bool mirror;                /* Is the output of a mirror. */
};

struct vmlat_bypass_ovs {
    struct vmlat_bypass_port *ports;
    size_t n_ports;
    bool dpdk_init;             /* other_config:dpdk-init is true or try. */
    bool dpdk_initialized;      /* Column dpdk_initialized. */
    bool pmd_known;
    double pmd_idle;            /* Share of PMD threads' cycles in which they
                                 * found nothing, 0 to 1, over the window. */
    bool direct_known;
    uint64_t direct_p50_ns;     /* Median from a VM to a NIC in the datapath,
                                 * if vmlat measures. */
    uint64_t direct_packets;
};

/* All of it. */
struct vmlat_bypass_facts {
    uint64_t window_ns;         /* How long it was counted. */
    struct vmlat_bypass_dp dp;
    struct vmlat_bypass_kernel kernel;
    struct vmlat_bypass_host host;
    struct vmlat_bypass_ovs ovs;
};

/* Free what these have, not the structures themselves. */
void vmlat_bypass_dp_destroy(struct vmlat_bypass_dp *);
void vmlat_bypass_kernel_destroy(struct vmlat_bypass_kernel *);
void vmlat_bypass_host_destroy(struct vmlat_bypass_host *);
void vmlat_bypass_ovs_destroy(struct vmlat_bypass_ovs *);
void vmlat_bypass_facts_destroy(struct vmlat_bypass_facts *);
void vmlat_bypass_ovs_clone(struct vmlat_bypass_ovs *,
                            const struct vmlat_bypass_ovs *);

/* Look up what is known, NULL if nothing. */
const struct vmlat_bypass_link *vmlat_bypass_link_find(
    const struct vmlat_bypass_host *, uint32_t ifindex);
const struct vmlat_bypass_link *vmlat_bypass_link_find_name(
    const struct vmlat_bypass_host *, const char *name);
const struct vmlat_bypass_port *vmlat_bypass_port_find(
    const struct vmlat_bypass_ovs *, const char *name);

#endif /* vmlat-bypass-facts.h */
