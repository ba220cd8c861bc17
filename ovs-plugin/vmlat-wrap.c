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

/* The wrappers of vmlat-wrap.def.
 *
 * With the linker's --wrap=X, calls of X from other object files come to
 * __wrap_X(), and __real_X() is the original.  When vmlat is stopped each
 * wrapper on the way of packets costs one test per burst. */

#include <config.h>

#include "openvswitch/vlog.h"
#include "ovsdb-idl.h"
#include "util.h"
#include "vmlat.h"
#include "vmlat-datapath.h"
#include "vmlat-db.h"
#include "vmlat-pmd-load.h"
#include "vmlat-port.h"
#include "vmlat-shard.h"
#include "vmlat-vring.h"
#include "vswitchd/bridge.h"

#ifdef DPDK_NETDEV
#include <rte_vhost.h>

#include "dp-packet.h"
#include "dpdk-hooks/vmlat-dpdk.h"
#include "dpif-netdev-perf.h"
#include "dpif.h"
#include "netdev-afxdp.h"
#include "netdev-dpdk.h"
#include "netdev-provider.h"
#include "netdev.h"
#endif

/* Declares __wrap_X() and __real_X() with the prototype that X has now: a
 * change of it is an error here. */
#define VMLAT_WRAP(SYMBOL, WHY)                                               \
    __typeof__(SYMBOL) __wrap_##SYMBOL;                                       \
    __typeof__(SYMBOL) __real_##SYMBOL;
#ifdef DPDK_NETDEV
#define VMLAT_WRAP_DPDK(SYMBOL, WHY) VMLAT_WRAP(SYMBOL, WHY)
#else
#define VMLAT_WRAP_DPDK(SYMBOL, WHY)
#endif
#if defined DPDK_NETDEV && HAVE_AF_XDP
#define VMLAT_WRAP_AFXDP(SYMBOL, WHY) VMLAT_WRAP(SYMBOL, WHY)
#else
#define VMLAT_WRAP_AFXDP(SYMBOL, WHY)
#endif
#include "vmlat-wrap.def"

/* The main loop. */

void
__wrap_bridge_run(void)
{
    __real_bridge_run();
    vmlat_run_main();
}

void
__wrap_bridge_wait(void)
{
    __real_bridge_wait();
    vmlat_wait_main();
}

void
__wrap_bridge_exit(bool delete_datapath)
{
    vmlat_exit_main();
    __real_bridge_exit(delete_datapath);
}

struct ovsdb_idl *
__wrap_ovsdb_idl_create(const char *remote,
                        const struct ovsdb_idl_class *class,
                        bool monitor_everything_by_default, bool retry)
{
    struct ovsdb_idl *idl = __real_ovsdb_idl_create(
        remote, class, monitor_everything_by_default, retry);

    vmlat_db_created(idl, class);
    return idl;
}

void
__wrap_ovsdb_idl_omit(struct ovsdb_idl *idl,
                      const struct ovsdb_idl_column *column)
{
    if (vmlat_db_keeps(column)) {
        /* Without the alert, OVS does not notice when it changes. */
        ovsdb_idl_omit_alert(idl, column);
    } else {
        __real_ovsdb_idl_omit(idl, column);
    }
}

#ifdef DPDK_NETDEV
/* The userspace datapath. */

int
__wrap_netdev_rxq_open(struct netdev *netdev, struct netdev_rxq **rxp, int id)
{
    int error = __real_netdev_rxq_open(netdev, rxp, id);

    if (!error) {
        vmlat_port_rxq_opened(*rxp);
    }
    return error;
}

void
__wrap_netdev_rxq_close(struct netdev_rxq *rx)
{
    if (rx) {
        vmlat_port_rxq_closing(rx);
    }
    __real_netdev_rxq_close(rx);
}

int
__wrap_netdev_rxq_recv(struct netdev_rxq *rx, struct dp_packet_batch *batch,
                       int *qfill)
{
    uint32_t active = vmlat_active_get();

    return (active & (VMLAT_RX | VMLAT_TX)
            ? vmlat_datapath_recv(rx, batch, qfill, __real_netdev_rxq_recv,
                                  active)
            : __real_netdev_rxq_recv(rx, batch, qfill));
}

void
__wrap_pmd_perf_start_iteration(struct pmd_perf_stats *s)
{
    vmlat_datapath_set_perf(s);
    vmlat_pmd_load_note(s);
    __real_pmd_perf_start_iteration(s);
}

int
__wrap_netdev_send(struct netdev *netdev, int qid,
                   struct dp_packet_batch *batch, bool concurrent_txq)
{
    uint32_t active = vmlat_active_get();

    return (active & VMLAT_TX
            ? vmlat_datapath_send(netdev, qid, batch, concurrent_txq,
                                  __real_netdev_send, active)
            : __real_netdev_send(netdev, qid, batch, concurrent_txq));
}

void
__wrap_free_dpdk_buf(struct dp_packet *packet)
{
    if (vmlat_active_get() & VMLAT_TX) {
        vmlat_datapath_freeing(packet);
    }
    __real_free_dpdk_buf(packet);
}

#if HAVE_AF_XDP
void
__wrap_free_afxdp_buf(struct dp_packet *packet)
{
    if (vmlat_active_get() & VMLAT_TX) {
        vmlat_datapath_freeing(packet);
    }
    __real_free_afxdp_buf(packet);
}
#endif

void
__wrap_dp_packet_uninit(struct dp_packet *packet)
{
    if (vmlat_active_get() & VMLAT_TX && packet
        && packet->source != DPBUF_DPDK && packet->source != DPBUF_AFXDP) {
        vmlat_datapath_freeing(packet);
    }
    __real_dp_packet_uninit(packet);
}

struct dp_packet *
__wrap_dp_packet_clone(const struct dp_packet *packet)
{
    struct dp_packet *clone = __real_dp_packet_clone(packet);

    if (vmlat_active_get() & VMLAT_TX) {
        vmlat_datapath_cloned(packet, clone);
    }
    return clone;
}

struct dp_packet *
__wrap_dp_packet_clone_with_headroom(const struct dp_packet *packet,
                                     size_t headroom)
{
    struct dp_packet *clone = __real_dp_packet_clone_with_headroom(packet,
                                                                   headroom);

    if (vmlat_active_get() & VMLAT_TX) {
        vmlat_datapath_cloned(packet, clone);
    }
    return clone;
}

int
__wrap_dpif_execute(struct dpif *dpif, struct dpif_execute *execute)
{
    bool active = vmlat_active_get() & VMLAT_TX;
    int error;

    if (active) {
        vmlat_datapath_execute_begin();
    }
    error = __real_dpif_execute(dpif, execute);
    if (active) {
        vmlat_datapath_execute_end();
    }
    return error;
}

void
__wrap_dpif_operate(struct dpif *dpif, struct dpif_op **ops, size_t n_ops,
                    enum dpif_offload_type offload_type)
{
    bool active = vmlat_active_get() & VMLAT_TX;

    if (active) {
        vmlat_datapath_execute_begin();
    }
    __real_dpif_operate(dpif, ops, n_ops, offload_type);
    if (active) {
        vmlat_datapath_execute_end();
    }
}

void
__wrap_dpif_register_upcall_cb(struct dpif *dpif, upcall_callback *cb,
                               void *aux)
{
    if (!strcmp(dpif_type(dpif), "system")) {
        __real_dpif_register_upcall_cb(dpif, cb, aux);
    } else {
        upcall_callback *wrapped = vmlat_datapath_wrap_upcall(cb, &aux);

        __real_dpif_register_upcall_cb(dpif, wrapped, aux);
    }
}

/* DPDK. */

void
__wrap_netdev_dpdk_register(const struct smap *ovs_other_config)
{
    vmlat_dpdk_up();
    __real_netdev_dpdk_register(ovs_other_config);
}

uint16_t
__wrap_rte_vhost_dequeue_burst(int vid, uint16_t queue_id,
                               struct rte_mempool *mp, struct rte_mbuf **pkts,
                               uint16_t count)
{
    struct vmlat_shard *shard = vmlat_datapath_receiving();

    if (!shard) {
        return __real_rte_vhost_dequeue_burst(vid, queue_id, mp, pkts, count);
    }
    shard->rx_taken = __real_rte_vhost_dequeue_burst(vid, queue_id, mp, pkts,
                                                     count);
    return shard->rx_taken;
}

uint16_t
__wrap_rte_vhost_enqueue_burst(int vid, uint16_t queue_id,
                               struct rte_mbuf **pkts, uint16_t count)
{
    struct vmlat_shard *shard = vmlat_datapath_sending();
    struct vmlat_vring vring;
    uint16_t n;

    if (!shard) {
        return __real_rte_vhost_enqueue_burst(vid, queue_id, pkts, count);
    }
    vmlat_datapath_offer(shard, (struct dp_packet **) pkts, count);
    vmlat_vring_begin(&vring, shard, vid, queue_id);
    n = __real_rte_vhost_enqueue_burst(vid, queue_id, pkts, count);
    vmlat_vring_end(&vring, shard, n);
    vmlat_datapath_taken(shard, n);
    return n;
}
#endif /* DPDK_NETDEV */
