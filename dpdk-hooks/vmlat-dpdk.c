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
#include "vmlat-dpdk.h"

#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_vhost.h>

#include "netdev-dpdk.h"
#include "netdev.h"
#include "openvswitch/compiler.h"
#include "openvswitch/vlog.h"
#include "ovs-plugin/vmlat-datapath.h"
#include "ovs-plugin/vmlat-shard.h"
#include "ovs-rcu.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(vmlat_dpdk);

/* Bytes that a stamp takes: a time and a tag. */
#define STAMP_SIZE (2 * sizeof(uint64_t))

/* Where we would like it: at the end of the dynamic fields, since DPDK gives
 * those out from the beginning, and the highest dynamic flag. */
#define DEFAULT_OFS (offsetof(struct rte_mbuf, dynfield1)                     \
                     + sizeof ((struct rte_mbuf *) NULL)->dynfield1           \
                     - STAMP_SIZE)
#define DEFAULT_BIT 40

BUILD_ASSERT_DECL(DEFAULT_OFS % sizeof(uint64_t) == 0);
BUILD_ASSERT_DECL((UINT64_C(1) << DEFAULT_BIT) == RTE_MBUF_F_LAST_FREE);

uint16_t vmlat_stamp_ofs = DEFAULT_OFS;
uint64_t vmlat_stamp_flag = UINT64_C(1) << DEFAULT_BIT;

/* Changes the place of the stamp, while no thread looks at it. */
static void
move_stamp(uint16_t ofs, uint64_t flag)
{
    uint32_t active = vmlat_active_get();

    atomic_store(&vmlat_active, 0u);
    ovsrcu_synchronize();
    vmlat_stamp_ofs = ofs;
    vmlat_stamp_flag = flag;
    if (ofs) {
        atomic_store(&vmlat_active, active);
    }
}

void
vmlat_dpdk_up(void)
{
    static const struct rte_mbuf_dynfield field = {
        .name = "vmlat_dynfield_stamp",
        .size = STAMP_SIZE,
        .align = sizeof(uint64_t),
    };
    static const struct rte_mbuf_dynflag flag = {
        .name = "vmlat_dynflag_stamp",
    };
    int ofs, bit;

    ofs = rte_mbuf_dynfield_register_offset(&field, DEFAULT_OFS);
    if (ofs < 0) {
        ofs = rte_mbuf_dynfield_register(&field);
    }
    bit = rte_mbuf_dynflag_register_bitnum(&flag, DEFAULT_BIT);
    if (bit < 0) {
        bit = rte_mbuf_dynflag_register(&flag);
    }
    if (ofs < 0 || bit < 0) {
        VLOG_ERR("DPDK has no room left for a stamp in its mbuf (%s): the "
                 "userspace datapath is not measured",
                 rte_strerror(rte_errno));
        move_stamp(0, 0);
    } else if (ofs != vmlat_stamp_ofs
               || UINT64_C(1) << bit != vmlat_stamp_flag) {
        move_stamp(ofs, UINT64_C(1) << bit);
    }
}

/* Burst functions of ethdevs.
 *
 * A driver's answer matters: what it did not take of a burst has not left.
 * DPDK's callbacks for transmission run before the driver, so they see a
 * burst that is offered in parts several times and never what became of the
 * last part.  They also outlive the device.  So vmlat puts a function of its
 * own between rte_eth_tx_burst() and the driver.  DPDK sets its table anew
 * whenever it starts or stops a device, so nothing has to be taken back.
 *
 * The functions are given a driver's queue, which does not say which device
 * it belongs to, and devices may be stacked: one function per device. */

#define MAX_ETHDEVS 32
#define FOR_EACH_ETHDEV(X)                                                    \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)                                   \
    X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)                             \
    X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)                           \
    X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)

static struct {
    eth_rx_burst_t rx;
    eth_tx_burst_t tx;
} drivers[MAX_ETHDEVS];

static inline uint16_t
ethdev_rx(int port_id, void *queue, struct rte_mbuf **mbufs, uint16_t n)
{
    struct vmlat_shard *shard = vmlat_datapath_receiving();

    n = drivers[port_id].rx(queue, mbufs, n);
    if (shard) {
        shard->rx_taken = n;
    }
    return n;
}

static inline uint16_t
ethdev_tx(int port_id, void *queue, struct rte_mbuf **mbufs, uint16_t n)
{
    struct vmlat_shard *shard = vmlat_datapath_sending();

    if (shard) {
        vmlat_datapath_offer(shard, (struct dp_packet **) mbufs, n);
    }
    n = drivers[port_id].tx(queue, mbufs, n);
    if (shard) {
        vmlat_datapath_taken(shard, n);
    }
    return n;
}

#define ETHDEV_FUNCTIONS(N)                                                   \
    static uint16_t                                                           \
    ethdev_rx_##N(void *queue, struct rte_mbuf **mbufs, uint16_t n)           \
    {                                                                         \
        return ethdev_rx(N, queue, mbufs, n);                                 \
    }                                                                         \
    static uint16_t                                                           \
    ethdev_tx_##N(void *queue, struct rte_mbuf **mbufs, uint16_t n)           \
    {                                                                         \
        return ethdev_tx(N, queue, mbufs, n);                                 \
    }
FOR_EACH_ETHDEV(ETHDEV_FUNCTIONS)

static const struct {
    eth_rx_burst_t rx;
    eth_tx_burst_t tx;
} hooks[MAX_ETHDEVS] = {
#define ETHDEV_HOOKS(N) { ethdev_rx_##N, ethdev_tx_##N },
    FOR_EACH_ETHDEV(ETHDEV_HOOKS)
};

int
vmlat_dpdk_hook_ethdev(struct netdev *netdev, const char **why_not)
{
    int port_id = netdev_dpdk_get_port_id(netdev);
    struct rte_eth_fp_ops *ops;

    if (port_id < 0 || port_id >= RTE_MAX_ETHPORTS) {
        *why_not = "the device is not there";
        return -1;
    }
    if (port_id >= MAX_ETHDEVS) {
        *why_not = "DPDK port id above 31: refused packets count as sent";
        return port_id;
    }

    ops = &rte_eth_fp_ops[port_id];
    if (ops->rx_pkt_burst != hooks[port_id].rx) {
        drivers[port_id].rx = ops->rx_pkt_burst;
        ops->rx_pkt_burst = hooks[port_id].rx;
    }
    if (ops->tx_pkt_burst != hooks[port_id].tx) {
        drivers[port_id].tx = ops->tx_pkt_burst;
        ops->tx_pkt_burst = hooks[port_id].tx;
    }
    return port_id;
}

bool
vmlat_dpdk_ethdev_is_hooked(int port_id)
{
    return (port_id >= 0 && port_id < MAX_ETHDEVS
            && rte_eth_fp_ops[port_id].rx_pkt_burst == hooks[port_id].rx
            && rte_eth_fp_ops[port_id].tx_pkt_burst == hooks[port_id].tx);
}

bool
vmlat_dpdk_ethdev_is_virtual(int port_id)
{
    struct rte_eth_dev_info info;
    const struct rte_bus *bus;

    if (rte_eth_dev_info_get(port_id, &info) || !info.device) {
        return false;
    }
    bus = rte_dev_bus(info.device);
    return bus && !strcmp(rte_bus_name(bus), "vdev");
}

bool
vmlat_dpdk_vring_depth(int vid, uint16_t queue_id, uint16_t *depth)
{
    uint64_t features;

    /* DPDK only knows it of split rings. */
    if (rte_vhost_get_negotiated_features(vid, &features)
        || features & (UINT64_C(1) << VIRTIO_F_RING_PACKED)) {
        return false;
    }
    *depth = rte_vhost_avail_entries(vid, queue_id);
    return true;
}

/* DPDK signals guests by the C library's eventfd_write(), which it may call
 * from a library of its own, so that the linker's --wrap does not reach it.
 * This one is in its place, in the whole program. */
int
eventfd_write(int fd, eventfd_t value)
{
    vmlat_datapath_signalling(vmlat_datapath_sending());
    return write(fd, &value, sizeof value) == sizeof value ? 0 : -1;
}
