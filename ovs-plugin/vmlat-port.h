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

#ifndef VMLAT_PORT_H
#define VMLAT_PORT_H 1

/* The ports of datapaths, and the receive queues of userspace datapaths.
 *
 * A port is known by its name.  In a userspace datapath, it is here from when
 * the datapath opens its first receive queue to when it closes the last one;
 * in the kernel's, as long as vmlat-kernel.c finds it there.  Then it is
 * 'gone', but stays, with its counts, until vmlat/clear.  A port of the same
 * name that comes back takes up its place. */

#include <stdbool.h>
#include <stdint.h>

#include "openvswitch/thread.h"
#include "ovs-atomic.h"
#include "ovs-thread.h"
#include "vmlat-histogram.h"
#include "vmlat-tables.h"

struct netdev;
struct netdev_rxq;

/* As many as a stamp can name. */
#define VMLAT_MAX_PORTS 4096
#define VMLAT_MAX_RXQS 4096     /* Per port. */

/* As NETDEV_MAX_BURST. */
#define VMLAT_MAX_BURST 32

/* One receive queue.  The counts are written by the one thread that polls the
 * queue and read by any; they belong to 'epoch' (see vmlat-shard.h). */
struct vmlat_rxq {
    struct vmlat_port *port;
    uint16_t id;

    /* Written by the thread that polls. */
    OVS_ALIGNED_VAR(CACHE_LINE_SIZE) atomic_uint32_t seq; /* Odd: emptying. */
    atomic_uint32_t epoch;
    uint32_t run;                   /* Of 'last_poll'. */
    uint64_t last_poll;             /* Ticks. */
    atomic_uint64_t rx_packets;
    atomic_uint64_t filtered;       /* Of 'rx_packets'. */
    atomic_uint64_t policed;        /* Of 'rx_packets'. */
    atomic_uint64_t bursts[VMLAT_MAX_BURST + 1]; /* By number of packets. */
    const char *volatile poller;    /* Thread name, or NULL. */
    struct vmlat_histogram gap;     /* ns, between two polls. */
};

struct vmlat_port {
    uint16_t slot;                  /* 1...VMLAT_MAX_PORTS - 1. */
    char *name;
    char *type;                     /* netdev type, "dpdk" etc. */
    enum vmlat_role role;
    bool is_pmd;                    /* Polled by PMD threads. */
    bool is_ring;                   /* TX reports what the ring took. */
    bool is_vhost;                  /* Is vhost-user. */
    bool is_slow;                   /* TX takes system calls: a little more
                                     * work for each packet does no harm. */
    bool is_linux;                  /* TX may be lost without an error. */
    atomic_uint32_t virt_row;       /* Of a vhost-user port: row where signals
                                     * to the guest are counted (16 bits), and
                                     * above it which programs' row; 0: they
                                     * are not. */
    int ethdev;                     /* DPDK port id, or -1. */
    const char *how;                /* How measured, static string. */
    const char *why_not;            /* NULL, or why not, static string. */
    uint32_t epoch;                 /* In which it took its slot. */

    /* Of the kernel's datapath. */
    bool is_kernel;
    bool is_present;                /* Not gone. */
    bool is_tap;                    /* Is a tap device. */
    uint32_t ifindex;               /* In its network namespace; 0: unknown. */

    /* Protected by vmlat_ports_mutex. */
    const struct netdev *netdev;    /* NULL if gone. */
    int n_open;                     /* Receive queues open. */

    /* Receive queues ever opened, by number.  Written under the mutex, read
     * by any thread. */
    atomic_uint32_t n_rxqs;
    struct vmlat_rxq **rxqs;
};

extern struct ovs_mutex vmlat_ports_mutex;

/* Called from the netdev layer's wrappers, on the thread that configures the
 * datapath; no thread polls 'rx' or sends to its netdev at that time. */
void vmlat_port_rxq_opened(struct netdev_rxq *rx);
void vmlat_port_rxq_closing(struct netdev_rxq *rx);

/* A datapath of the kernel has a port 'name', whose device has number
 * 'ifindex'.  Returns the port, NULL if there is no room for it or a userspace
 * datapath has one of that name. */
struct vmlat_port *vmlat_port_kernel_found(const char *name, const char *type,
                                           uint32_t ifindex, bool is_tap)
    OVS_REQUIRES(vmlat_ports_mutex);

/* It has this port no more. */
void vmlat_port_kernel_gone(struct vmlat_port *)
    OVS_REQUIRES(vmlat_ports_mutex);

/* 'n' of its ports have no slot. */
void vmlat_port_kernel_set_unslotted(unsigned int n)
    OVS_REQUIRES(vmlat_ports_mutex);

/* Changes whenever there is a new port, or one has come back. */
extern atomic_uint32_t vmlat_ports_found;

/* Changes whenever a netdev or receive queue that may have been looked up goes
 * away. */
extern atomic_uint32_t vmlat_ports_change;

/* Return the port or queue of a datapath's object, NULL if it is not measured.
 * Wait-free; the results stay valid for as long as the thread may use the
 * object itself. */
struct vmlat_port *vmlat_port_lookup(const struct netdev *);
struct vmlat_rxq *vmlat_rxq_lookup(const struct netdev_rxq *);

/* Returns the port in 'slot', NULL if there is none.  Ports are freed only by
 * vmlat_port_forget_gone(), so this is for threads that hold the mutex or know
 * that the port cannot be forgotten. */
struct vmlat_port *vmlat_port_from_slot(uint16_t slot);

/* Returns the port called 'name', NULL if there is none. */
struct vmlat_port *vmlat_port_from_name(const char *name)
    OVS_REQUIRES(vmlat_ports_mutex);

/* Calls 'cb' for each port, in order of slots. */
void vmlat_port_for_each(void (*cb)(struct vmlat_port *, void *aux),
                         void *aux)
    OVS_REQUIRES(vmlat_ports_mutex);

/* Forgets the ports that are gone. */
void vmlat_port_forget_gone(void) OVS_REQUIRES(vmlat_ports_mutex);

/* Number of receive queues and kernel ports that are not measured, since all
 * slots were in use or another port had the same name. */
unsigned int vmlat_port_n_unslotted(void) OVS_REQUIRES(vmlat_ports_mutex);

/* Returns why 'port' is not measured, or not in full; NULL if it is. */
const char *vmlat_port_why_not(const struct vmlat_port *)
    OVS_REQUIRES(vmlat_ports_mutex);

/* Sets the role of 'port', from what the database says about it. */
void vmlat_port_set_role(struct vmlat_port *, enum vmlat_role);

/* The role that the type of 'port' gives it. */
enum vmlat_role vmlat_port_default_role(const struct vmlat_port *);

const char *vmlat_role_name(enum vmlat_role);
bool vmlat_role_from_name(const char *, enum vmlat_role *);

#endif /* vmlat-port.h */
