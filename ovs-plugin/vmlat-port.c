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

#include <config.h>
#include "vmlat-port.h"

#include <string.h>

#include "cmap.h"
#include "dpdk-hooks/vmlat-dpdk.h"
#include "hash.h"
#include "netdev.h"
#include "netdev-provider.h"
#include "openvswitch/shash.h"
#include "openvswitch/vlog.h"
#include "ovs-rcu.h"
#include "util.h"
#include "vmlat-kernel.h"
#include "vmlat-shard.h"

VLOG_DEFINE_THIS_MODULE(vmlat_port);

struct ovs_mutex vmlat_ports_mutex = OVS_MUTEX_INITIALIZER;
atomic_uint32_t vmlat_ports_change = 1;
atomic_uint32_t vmlat_ports_found = 1;

static ATOMIC(struct vmlat_port *) slots[VMLAT_MAX_PORTS];
static struct shash ports_by_name OVS_GUARDED_BY(vmlat_ports_mutex)
    = SHASH_INITIALIZER(&ports_by_name);
static unsigned int n_unslotted OVS_GUARDED_BY(vmlat_ports_mutex);
static unsigned int n_kernel_unslotted OVS_GUARDED_BY(vmlat_ports_mutex);

/* What the datapath knows by pointer: netdevs (to ports) and receive queues
 * (to receive queues).  Written under the mutex, read by any thread. */
struct object {
    struct cmap_node node;
    const void *key;
    void *value;
};
static struct cmap objects = CMAP_INITIALIZER;

static const struct {
    const char *type;
    enum vmlat_role role;
    const char *how;
} port_types[] = {
#define VMLAT_PORT_TYPE(TYPE, ROLE, HOW) { TYPE, VMLAT_ROLE_##ROLE, HOW },
    VMLAT_PORT_TYPES
#undef VMLAT_PORT_TYPE
};

static const char *role_names[] = {
    [VMLAT_ROLE_VM] = "vm",
    [VMLAT_ROLE_WIRE] = "wire",
    [VMLAT_ROLE_HOST] = "host",
};

static struct object *
object_find(const void *key)
{
    struct object *object;

    CMAP_FOR_EACH_WITH_HASH (object, node, hash_pointer(key, 0), &objects) {
        if (object->key == key) {
            return object;
        }
    }
    return NULL;
}

static void
object_insert(const void *key, void *value)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    struct object *object = xmalloc(sizeof *object);

    object->key = key;
    object->value = value;
    cmap_insert(&objects, &object->node, hash_pointer(key, 0));
}

static void
object_remove(const void *key)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    struct object *object = object_find(key);

    if (object) {
        uint32_t change;

        cmap_remove(&objects, &object->node, hash_pointer(key, 0));
        ovsrcu_postpone(free, object);
        atomic_read_relaxed(&vmlat_ports_change, &change);
        atomic_store_explicit(&vmlat_ports_change, change + 1,
                              memory_order_release);
    }
}

struct vmlat_port *
vmlat_port_lookup(const struct netdev *netdev)
{
    struct object *object = object_find(netdev);

    return object ? object->value : NULL;
}

struct vmlat_rxq *
vmlat_rxq_lookup(const struct netdev_rxq *rx)
{
    struct object *object = object_find(rx);

    return object ? object->value : NULL;
}

struct vmlat_port *
vmlat_port_from_slot(uint16_t slot)
{
    struct vmlat_port *port = NULL;

    if (slot < VMLAT_MAX_PORTS) {
        atomic_read_explicit(&slots[slot], &port, memory_order_acquire);
    }
    return port;
}

struct vmlat_port *
vmlat_port_from_name(const char *name)
{
    return shash_find_data(&ports_by_name, name);
}

void
vmlat_port_for_each(void (*cb)(struct vmlat_port *, void *aux), void *aux)
{
    for (size_t i = 1; i < VMLAT_MAX_PORTS; i++) {
        struct vmlat_port *port = vmlat_port_from_slot(i);

        if (port) {
            cb(port, aux);
        }
    }
}

unsigned int
vmlat_port_n_unslotted(void)
{
    return n_unslotted + n_kernel_unslotted;
}

/* Returns true if no datapath has 'port' any more. */
static bool
port_is_gone(const struct vmlat_port *port)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    return port->is_kernel ? !port->is_present : !port->netdev;
}

const char *
vmlat_port_why_not(const struct vmlat_port *port)
{
    return (port_is_gone(port)
            ? "the port is gone, its counts stay until vmlat/clear"
            : port->why_not
            ? port->why_not
            : port->is_kernel
            ? vmlat_kernel_why_not()
            : port->ethdev >= 0 && !vmlat_dpdk_ethdev_is_hooked(port->ethdev)
            ? "the driver has replaced its burst functions: refused packets "
              "count as sent"
            : NULL);
}

enum vmlat_role
vmlat_port_default_role(const struct vmlat_port *port)
{
    if (port->is_kernel && port->is_tap) {
        return VMLAT_ROLE_VM;
    }
    for (size_t i = 0; i < ARRAY_SIZE(port_types); i++) {
        if (!strcmp(port->type, port_types[i].type)) {
            return port_types[i].role;
        }
    }
    return VMLAT_ROLE_WIRE;
}

void
vmlat_port_set_role(struct vmlat_port *port, enum vmlat_role role)
{
    port->role = role;
}

const char *
vmlat_role_name(enum vmlat_role role)
{
    return role_names[role];
}

bool
vmlat_role_from_name(const char *name, enum vmlat_role *role)
{
    for (size_t i = 0; i < ARRAY_SIZE(role_names); i++) {
        if (!strcmp(name, role_names[i])) {
            *role = i;
            return true;
        }
    }
    return false;
}

/* Sets how 'port' is measured, now that 'netdev' is there. */
static void
port_set_how(struct vmlat_port *port, struct netdev *netdev)
{
    port->how = "netdev batch";
    port->why_not = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(port_types); i++) {
        if (!strcmp(port->type, port_types[i].type)) {
            port->how = port_types[i].how;
        }
    }
    port->is_pmd = netdev_is_pmd(netdev);
    port->is_linux = (!strcmp(port->type, "tap")
                      || !strcmp(port->type, "internal")
                      || !strcmp(port->type, "system"));
    port->ethdev = (!strcmp(port->type, "dpdk")
                    ? vmlat_dpdk_hook_ethdev(netdev, &port->why_not)
                    : -1);
    port->is_vhost = !strncmp(port->type, "dpdkvhost", 9);
    port->is_ring = (port->is_vhost
                     || (port->ethdev >= 0 && !port->why_not));
    port->is_slow = (!port->is_ring
                     || (port->ethdev >= 0
                         && vmlat_dpdk_ethdev_is_virtual(port->ethdev)));
    if (port->ethdev >= 0 && port->why_not) {
        port->how = "netdev batch";
    }
    if (!vmlat_stamp_ofs) {
        port->how = "none";
        port->why_not = "no room for a stamp in DPDK's mbuf";
    }
}

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(5, 20);

static void
ports_found(void)
{
    uint32_t n;

    atomic_add(&vmlat_ports_found, 1, &n);
}

static struct vmlat_port *
port_create(const char *name, const char *type)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    for (size_t i = 1; i < VMLAT_MAX_PORTS; i++) {
        if (!vmlat_port_from_slot(i)) {
            struct vmlat_port *port = xzalloc(sizeof *port);

            port->slot = i;
            port->name = xstrdup(name);
            port->type = xstrdup(type);
            port->role = vmlat_port_default_role(port);
            port->ethdev = -1;
            port->epoch = vmlat_epoch_get();
            vmlat_shards_add_port(i);
            atomic_store_explicit(&slots[i], port, memory_order_release);
            shash_add(&ports_by_name, port->name, port);
            return port;
        }
    }
    VLOG_WARN_RL(&rl, "%s: not measured, %d ports are known already "
                 "(vmlat/clear forgets those that are gone)",
                 name, VMLAT_MAX_PORTS - 1);
    return NULL;
}

static void
port_set_type(struct vmlat_port *port, const char *type)
{
    if (strcmp(port->type, type)) {
        free(port->type);
        port->type = xstrdup(type);
    }
    port->role = vmlat_port_default_role(port);
}

struct vmlat_port *
vmlat_port_kernel_found(const char *name, const char *type, uint32_t ifindex,
                        bool is_tap)
{
    struct vmlat_port *port = vmlat_port_from_name(name);

    if (port && port->netdev) {
        return NULL;
    }
    if (!port) {
        port = port_create(name, type);
        if (!port) {
            return NULL;
        }
    }
    if (!port->is_kernel || !port->is_present || port->is_tap != is_tap
        || strcmp(port->type, type)) {
        port->is_kernel = port->is_present = true;
        port->is_tap = is_tap;
        port->is_pmd = port->is_ring = port->is_vhost = false;
        port->is_slow = port->is_linux = false;
        port->ethdev = -1;
        port_set_type(port, type);
        ports_found();
    }
    port->ifindex = ifindex;
    port->how = ifindex ? "BPF" : "none";
    port->why_not = (ifindex ? NULL
                     : "its device is in a network namespace without a name");
    return port;
}

void
vmlat_port_kernel_gone(struct vmlat_port *port)
{
    port->is_present = false;
    port->ifindex = 0;
}

void
vmlat_port_kernel_set_unslotted(unsigned int n)
{
    n_kernel_unslotted = n;
}

void
vmlat_port_rxq_opened(struct netdev_rxq *rx)
{
    struct netdev *netdev = rx->netdev;
    struct vmlat_port *port;
    uint32_t n_rxqs;

    ovs_mutex_lock(&vmlat_ports_mutex);
    port = vmlat_port_from_name(netdev_get_name(netdev));
    if (!port) {
        port = port_create(netdev_get_name(netdev), netdev_get_type(netdev));
        if (!port) {
            n_unslotted++;
            goto out;
        }
    }
    if (rx->queue_id >= VMLAT_MAX_RXQS) {
        goto out;
    }

    if ((port->netdev && port->netdev != netdev)
        || (port->is_kernel && port->is_present)) {
        /* Another datapath has a port of that name already. */
        n_unslotted++;
        VLOG_WARN("%s: not measured, another port has that name",
                  netdev_get_name(netdev));
        goto out;
    }
    if (!port->netdev) {
        port->is_kernel = false;
        port_set_type(port, netdev_get_type(netdev));
        ports_found();
        port->netdev = netdev;
        object_insert(netdev, port);
    }
    /* Again for each queue, since the device was reconfigured. */
    port_set_how(port, netdev);

    atomic_read_relaxed(&port->n_rxqs, &n_rxqs);
    if (rx->queue_id >= n_rxqs) {
        /* Queues are opened in order. */
        struct vmlat_rxq *rxq = xzalloc_cacheline(sizeof *rxq);
        struct vmlat_rxq **rxqs = xmalloc((n_rxqs + 1) * sizeof *rxqs);

        rxq->port = port;
        rxq->id = n_rxqs;
        memcpy(rxqs, port->rxqs, n_rxqs * sizeof *rxqs);
        rxqs[n_rxqs] = rxq;
        free(port->rxqs);
        port->rxqs = rxqs;
        atomic_store_relaxed(&port->n_rxqs, n_rxqs + 1);
    }
    if (rx->queue_id <= n_rxqs) {
        struct vmlat_rxq *rxq = port->rxqs[rx->queue_id];

        rxq->run = 0;
        object_insert(rx, rxq);
        port->n_open++;
    }

out:
    ovs_mutex_unlock(&vmlat_ports_mutex);
}

void
vmlat_port_rxq_closing(struct netdev_rxq *rx)
{
    struct vmlat_rxq *rxq;

    ovs_mutex_lock(&vmlat_ports_mutex);
    rxq = vmlat_rxq_lookup(rx);
    if (rxq) {
        struct vmlat_port *port = rxq->port;

        rxq->poller = NULL;
        object_remove(rx);
        if (!--port->n_open) {
            object_remove(port->netdev);
            port->netdev = NULL;
        }
    }
    ovs_mutex_unlock(&vmlat_ports_mutex);
}

static void
port_free(struct vmlat_port *port)
{
    uint32_t n_rxqs;

    atomic_read_relaxed(&port->n_rxqs, &n_rxqs);
    for (size_t i = 0; i < n_rxqs; i++) {
        free_cacheline(port->rxqs[i]);
    }
    free(port->rxqs);
    free(port->name);
    free(port->type);
    free(port);
}

void
vmlat_port_forget_gone(void)
{
    for (size_t i = 1; i < VMLAT_MAX_PORTS; i++) {
        struct vmlat_port *port = vmlat_port_from_slot(i);

        if (port && port_is_gone(port)) {
            atomic_store_explicit(&slots[i], NULL, memory_order_release);
            shash_find_and_delete(&ports_by_name, port->name);
            ovsrcu_postpone(port_free, port);
        }
    }
    n_unslotted = 0;
}
