/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

/* Follows packets through the kernel datapath.
 *
 * A packet is known by the address of its skb from where it enters at a port
 * to where it leaves by one, is consumed or dropped; each of these ends it, so
 * that an address that comes back is another packet.  On its way its times are
 * kept in the map 'packets'; at the end they go into the histograms of the CPU
 * that it ends on.
 *
 * Everything that OVS does with a packet runs with bottom halves off, on one
 * CPU, and so do receiving and transmitting: there, plain additions to the
 * CPU's own counters are safe.  Freeing, upcalls and what the handler threads
 * do may be interrupted by these: there, additions are atomic. */

#include "vmlat-kernel-types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "vmlat-path-count.h"
#include "vmlat-path-headers.h"
#include "vmlat-path-maps.h"
#include "vmlat-path-packets.h"
#include "vmlat-path-report.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Entering. */

/* A packet enters at 'port', 'now'.  Following it begins when OVS does. */
static __always_inline void
enter(void *ctx, struct vmlat_bpf_cpu *cpu, struct sk_buff *skb,
      __u32 port, __u32 ifindex, __u64 now, bool l2_in_data)
{
    __u32 active = config.active, segments = 1;
    struct vmlat_bpf_account *a;

    if (unlikely(!(active & VMLAT_BPF_RX))) {
        return;
    }
    a = account(cpu, port);
    if (unlikely(!a)) {
        return;
    }
    count(&a->entered[0], 1);
    if (unlikely(active & VMLAT_BPF_FILTER)
        && !filter_admits(skb, l2_in_data)) {
        count(&a->fates[0][VMLAT_F_FILTERED], 1);
        return;
    }
    if (unlikely(skb->len > 1518)) {
        segments = n_segments(skb, l2_in_data);
    }
    cpu->rx_head = (__u64) (long) skb->head;
    cpu->rx_ns = now;
    cpu->rx_port = port;
    cpu->rx_segments = segments;
    cpu->rx_ifindex = ifindex;
    if (unlikely(active & VMLAT_BPF_STACKS)) {
        cpu->rx_stack = bpf_get_stackid(ctx, &stacks, BPF_F_FAST_STACK_CMP);
    }
    cpu->rx_state = VMLAT_RX_PORT;
}

/* Forgets a packet that entered on this CPU and that OVS did not begin with:
 * it has 'fate'. */
static __noinline int
end_entered(struct vmlat_bpf_cpu *cpu, __u32 fate, __u64 location,
            __u32 reason)
{
    struct vmlat_bpf_packet pkt = { .in = 0 };

    if (!cpu) {
        return 0;
    }
    if (cpu->rx_state == VMLAT_RX_PORT) {
        pkt.in = cpu->rx_port;
        pkt.last = VMLAT_P_RX;
        if (fate == VMLAT_F_LOST) {
            count_fate(cpu, &pkt, VMLAT_F_LOST);
        } else if (reason == vmlat_tc_ingress_reason) {
            count_fate(cpu, &pkt, VMLAT_F_POLICED);
            count_drop(&pkt, location, reason);
        } else {
            count_fate(cpu, &pkt, VMLAT_F_DROPPED);
            count_drop(&pkt, location, reason);
        }
    }
    cpu->rx_state = VMLAT_RX_NONE;
    return 0;
}

/* 'skb' is another packet than the one that entered last on this CPU. */
static __always_inline void
enter_next(struct vmlat_bpf_cpu *cpu, struct sk_buff *skb)
{
    if (unlikely(cpu->rx_state)) {
        end_entered(cpu, VMLAT_F_LOST, 0, 0);
    }
    cpu->rx_skb = (__u64) (long) skb;
    cpu->tx_skb = 0;

    /* What OVS began with before is not the parent of anything from now on:
     * all that it does with a packet is done before the CPU receives one. */
    cpu->ovs_ref.gen = 0;
}

/* Leaving. */

static __always_inline __u64
stage_ns(const struct vmlat_bpf_packet *pkt, enum vmlat_bpf_point from,
         enum vmlat_bpf_point to)
{
    return pkt->t[to] - pkt->t[from];
}

/* Adds the stages of a packet that took an upcall. */
static __noinline int
finish_upcall(struct vmlat_bpf_cpu *cpu, struct vmlat_bpf_pair *pair,
              const struct vmlat_bpf_packet *pkt)
{
    if (!cpu || !pair || !pkt) {
        return 0;
    }
    if (pkt->t[VMLAT_P_OVS] && pkt->t[VMLAT_P_UPCALL]
        && pkt->t[VMLAT_P_HANDLER] && pkt->t[VMLAT_P_EXECUTE]
        && pkt->t[VMLAT_P_SEND]) {
        hist_add(cpu, pair, VMLAT_S_OVS_TO_UPCALL,
                 stage_ns(pkt, VMLAT_P_OVS, VMLAT_P_UPCALL));
        hist_add(cpu, pair, VMLAT_S_UPCALL_HANDLER,
                 stage_ns(pkt, VMLAT_P_UPCALL, VMLAT_P_HANDLER));
        hist_add(cpu, pair, VMLAT_S_HANDLER_EXECUTE,
                 stage_ns(pkt, VMLAT_P_HANDLER, VMLAT_P_EXECUTE));
        hist_add(cpu, pair, VMLAT_S_EXECUTE_SEND,
                 stage_ns(pkt, VMLAT_P_EXECUTE, VMLAT_P_SEND));
    } else {
        count(&pair->stage_missed, 1);
    }
    if (pkt->install_ns) {
        hist_add(cpu, pair, VMLAT_S_INSTALL, pkt->install_ns);
    }
    return 0;
}

static __noinline int
finish_conntrack(struct vmlat_bpf_cpu *cpu, struct vmlat_bpf_pair *pair,
                 const struct vmlat_bpf_packet *pkt)
{
    if (cpu && pair && pkt) {
        count(&pair->ct_passes, pkt->ct_passes);
        hist_add(cpu, pair, VMLAT_S_CONNTRACK, pkt->ct_ns);
    }
    return 0;
}

/* A packet is at its end, at pkt->out: adds it to the histograms.  The caller
 * releases it. */
static __always_inline void
finish(struct vmlat_bpf_cpu *cpu, struct vmlat_bpf_packet *pkt, __u32 index,
       struct sk_buff *skb)
{
    struct vmlat_bpf_account *a = account(cpu, pkt->in);
    __u32 copy = pkt->flags & VMLAT_PKT_COPY;
    struct vmlat_bpf_pair *pair;
    __u64 ns;

    if (unlikely(!a)) {
        return;
    }
    if (unlikely(pkt->flags & VMLAT_PKT_MADE)) {
        count(&a->fates[copy][VMLAT_F_MADE_BY_OVS], 1);
        return;
    }
    pair = find_pair(cpu, pkt->in, pkt->out);
    ns = stage_ns(pkt, VMLAT_P_RX, VMLAT_P_TX);
    if (unlikely(!pair)
        || !hist_add(cpu, pair, (pkt->flags & VMLAT_PKT_UPCALL
                                 ? VMLAT_S_TOTAL_UPCALL : VMLAT_S_TOTAL),
                     ns)) {
        count(&a->fates[copy][VMLAT_F_NO_ROOM], 1);
        return;
    }
    count(&a->fates[copy][VMLAT_F_MEASURED], 1);
    count(&pair->packets, 1);
    count(&pair->segments, pkt->segments);
    count(&pair->passes, pkt->passes);

    if (likely(pkt->t[VMLAT_P_OVS])) {
        hist_add(cpu, pair, VMLAT_S_RX_OVS,
                 stage_ns(pkt, VMLAT_P_RX, VMLAT_P_OVS));
    }
    if (unlikely(pkt->flags & VMLAT_PKT_UPCALL)) {
        finish_upcall(cpu, pair, pkt);
    } else if (likely(pkt->t[VMLAT_P_OVS] && pkt->t[VMLAT_P_SEND])) {
        hist_add(cpu, pair, VMLAT_S_OVS_SEND,
                 stage_ns(pkt, VMLAT_P_OVS, VMLAT_P_SEND));
    } else {
        count(&pair->stage_missed, 1);
    }
    if (likely(pkt->t[VMLAT_P_QDISC])) {
        if (likely(pkt->t[VMLAT_P_SEND])) {
            hist_add(cpu, pair, VMLAT_S_SEND_QDISC,
                     stage_ns(pkt, VMLAT_P_SEND, VMLAT_P_QDISC));
        }
        hist_add(cpu, pair, VMLAT_S_QDISC_TX,
                 stage_ns(pkt, VMLAT_P_QDISC, VMLAT_P_TX));
    } else if (pkt->t[VMLAT_P_SEND]) {
        hist_add(cpu, pair, VMLAT_S_SEND_TX,
                 stage_ns(pkt, VMLAT_P_SEND, VMLAT_P_TX));
    }
    if (unlikely(pkt->ct_passes)) {
        finish_conntrack(cpu, pair, pkt);
    }
    if (unlikely(config.active & (VMLAT_BPF_EVENTS | VMLAT_BPF_FLOWS))) {
        if (config.active & VMLAT_BPF_EVENTS && ns >= config.min_ns) {
            report(skb, pkt, index);
        }
        if (config.active & VMLAT_BPF_FLOWS) {
            count_flow(skb, pkt, ns);
        }
    }
}

/* The same for what is not the common case. */
static __noinline int
finish_rare(struct vmlat_bpf_cpu *cpu, struct vmlat_bpf_packet *pkt,
            __u32 index, struct sk_buff *skb)
{
    if (cpu && pkt) {
        finish(cpu, pkt, index, skb);
    }
    return 0;
}

/* A packet that left by a tunnel has reached a NIC. */
static __noinline int
finish_outer(struct vmlat_bpf_cpu *cpu, const struct vmlat_bpf_packet *pkt)
{
    struct vmlat_bpf_pair *pair;

    if (!cpu || !pkt) {
        return 0;
    }
    pair = find_pair(cpu, pkt->in, pkt->out);
    if (pair) {
        hist_add(cpu, pair, VMLAT_S_TX_OUTER,
                 bpf_ktime_get_ns() - pkt->t[VMLAT_P_TX]);
    }
    return 0;
}

/* Points. */

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(vmlat_receive, struct sk_buff *skb)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct vmlat_bpf_dev *e;
    struct net_device *dev;
    struct place p;
    __u32 ifindex;

    if (!cpu) {
        return 0;
    }
    base = (__u64) (long) &config;
    enter_next(cpu, skb);
    dev = skb->dev;
    ifindex = dev->ifindex;
    e = find_dev(dev, ifindex);
    if (!e) {
        return 0;
    }

    if (unlikely(e->flags & VMLAT_DEV_INTERNAL)) {
        /* The end of a packet to the host.  It is followed further, for the
         * host may drop it. */
        if (find(&p, id_of(skb))
            && !(p.pkt->flags & VMLAT_PKT_ENDED) && p.pkt->t[VMLAT_P_OVS]) {
            p.pkt->t[VMLAT_P_TX] = bpf_ktime_get_ns();
            p.pkt->out = e->slot;
            p.pkt->last = VMLAT_P_TX;
            note(ctx, p.index, VMLAT_P_TX, ifindex, 0);
            finish_rare(cpu, p.pkt, p.index, skb);
            p.pkt->flags |= VMLAT_PKT_ENDED;
        }
    } else if (likely(e->flags & VMLAT_DEV_PORT)) {
        enter(ctx, cpu, skb, e->slot, ifindex, bpf_ktime_get_ns(), false);
    } else if (e->flags & VMLAT_DEV_LOWER) {
        cpu->rx_head = (__u64) (long) skb->head;
        cpu->rx_ns = bpf_ktime_get_ns();
        cpu->rx_state = VMLAT_RX_LOWER;
    }
    return 0;
}

/* Makes 'skb', which OVS has to do with but which is not known, a copy of the
 * packet that OVS is busy with. */
static __noinline bool
adopt(struct vmlat_bpf_cpu *cpu, struct sk_buff *skb, __u64 id)
{
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_handler *handler;
    struct vmlat_bpf_account *a;
    struct place parent, p;
    struct sk_buff *other;
    bool found;

    if (!cpu) {
        return false;
    }

    /* A packet that the present pass began with is the parent: that it is
     * still in OVS, or that the data are the same, says that the pass is the
     * present one.  Otherwise it may be one that a thread has sent back. */
    found = find_ref(&parent, &cpu->ovs_ref);
    if (found && (*parent.tag != id_of_number(cpu->ovs_skb)
                  || parent.pkt->last != VMLAT_P_OVS)) {
        other = (void *) (long) cpu->ovs_skb;
        if (BPF_CORE_READ(other, head) != BPF_CORE_READ(skb, head)) {
            handler = bpf_map_lookup_elem(&handlers, &tid);
            if (handler && handler->exec_ref.gen) {
                found = find_ref(&parent, &handler->exec_ref);
            }
        }
    } else if (!found) {
        handler = bpf_map_lookup_elem(&handlers, &tid);
        if (handler && handler->exec_ref.gen) {
            found = find_ref(&parent, &handler->exec_ref);
        }
    }
    if (!found) {
        return false;
    }

    a = account(cpu, parent.pkt->in);
    if (!a) {
        return false;
    }
    count_atomic(&a->entered[1], 1);
    if (!take(cpu, &p, id, bpf_ktime_get_ns())) {
        count_atomic(&a->fates[1][VMLAT_F_TABLE_FULL], 1);
        return false;
    }
    if (p.pkt != parent.pkt) {
        __u32 gen = p.pkt->gen;

        *p.pkt = *parent.pkt;
        p.pkt->gen = gen;
        parent.pkt->flags |= VMLAT_PKT_COPIED;
    }
    p.pkt->flags &= VMLAT_PKT_UPCALL | VMLAT_PKT_MADE;
    p.pkt->flags |= VMLAT_PKT_COPY;
    p.pkt->out = 0;
    p.pkt->t[VMLAT_P_SEND] = 0;
    p.pkt->t[VMLAT_P_QDISC] = 0;
    if (config.active & VMLAT_BPF_EVENTS) {
        struct vmlat_bpf_details *from, *to;

        from = bpf_map_lookup_elem(&details, &parent.index);
        to = bpf_map_lookup_elem(&details, &p.index);
        if (from && to) {
            *to = *from;
        }
    }
    return true;
}

/* OVS begins with a packet that came from a device below the port's. */
static __noinline int
enter_from_lower(struct vmlat_bpf_cpu *cpu, struct sk_buff *skb)
{
    struct vmlat_bpf_account *a;
    struct vmlat_bpf_dev *e;
    struct net_device *dev;
    __u32 ifindex;

    if (!cpu) {
        return 0;
    }
    cpu->rx_state = VMLAT_RX_NONE;
    dev = BPF_CORE_READ(skb, dev);
    ifindex = BPF_CORE_READ(dev, ifindex);
    e = find_dev(dev, ifindex);
    if (!e || !(e->flags & VMLAT_DEV_PORT)
        || !(config.active & VMLAT_BPF_RX)) {
        return 0;
    }
    a = account(cpu, e->slot);
    if (!a) {
        return 0;
    }
    count(&a->entered[0], 1);
    if (config.active & VMLAT_BPF_FILTER && !filter_admits(skb, true)) {
        count(&a->fates[0][VMLAT_F_FILTERED], 1);
        return 0;
    }
    cpu->rx_segments = 1;
    if (BPF_CORE_READ(skb, len) > 1518) {
        cpu->rx_segments = n_segments(skb, true);
    }
    cpu->rx_port = e->slot;
    cpu->rx_ifindex = ifindex;
    cpu->rx_stack = -1;
    cpu->rx_state = VMLAT_RX_PORT;
    return 0;
}

/* OVS begins with the packet that entered last on this CPU, or with a clone of
 * it, the original of which is not followed. */
static __always_inline bool
begin(void *ctx, struct vmlat_bpf_cpu *cpu, struct place *p, __u64 id)
{
    struct vmlat_bpf_packet *pkt;

    cpu->rx_state = VMLAT_RX_NONE;
    if (unlikely(!take(cpu, p, id, cpu->rx_ns))) {
        struct vmlat_bpf_account *a = account(cpu, cpu->rx_port);

        if (a) {
            count(&a->fates[0][VMLAT_F_TABLE_FULL], 1);
        }
        return false;
    }

    pkt = p->pkt;
    pkt->t[VMLAT_P_RX] = cpu->rx_ns;
    pkt->t[VMLAT_P_SEND] = 0;
    pkt->t[VMLAT_P_QDISC] = 0;
    pkt->in = cpu->rx_port;
    pkt->out = 0;
    pkt->flags = 0;
    pkt->ct_passes = 0;
    pkt->segments = cpu->rx_segments;
    pkt->ct_ns = 0;
    pkt->install_ns = 0;
    if (config.active & VMLAT_BPF_EVENTS) {
        struct vmlat_bpf_details *d;

        note(ctx, p->index, VMLAT_P_RX, cpu->rx_ifindex, 0);
        d = bpf_map_lookup_elem(&details, &p->index);
        if (d && config.active & VMLAT_BPF_STACKS) {
            d->points[VMLAT_P_RX].stack = cpu->rx_stack;
        }
    }
    return true;
}

/* 'head' is skb->head. */
static __always_inline int
on_ovs(void *ctx, struct sk_buff *skb, __u64 id, __u64 head)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct vmlat_bpf_packet *pkt;
    struct place p;

    if (!cpu) {
        return 0;
    }
    cpu->ovs_skb = (__u64) (long) skb;
    if (unlikely(cpu->rx_state == VMLAT_RX_LOWER) && cpu->rx_head == head) {
        enter_from_lower(cpu, skb);
    }
    if (likely(cpu->rx_state == VMLAT_RX_PORT && cpu->rx_head == head)) {
        if (unlikely(!begin(ctx, cpu, &p, id))) {
            cpu->ovs_ref.gen = 0;
            return 0;
        }
        pkt = p.pkt;
        pkt->t[VMLAT_P_OVS] = bpf_ktime_get_ns();
        pkt->passes = 1;
        note(ctx, p.index, VMLAT_P_OVS, 0, 0);
    } else if (find(&p, id)
               || (cpu->rx_skb != (__u64) (long) skb && adopt(cpu, skb, id)
                   && find(&p, id))) {
        /* Comes round again: by recirculation, or a copy that does so. */
        pkt = p.pkt;
        pkt->passes++;
    } else {
        cpu->ovs_ref.gen = 0;
        return 0;
    }
    pkt->last = VMLAT_P_OVS;
    cpu->ovs_ref.index = p.index;
    cpu->ovs_ref.gen = pkt->gen;
    return 0;
}

static __noinline int
count_handler_execute(const struct vmlat_bpf_packet *pkt, __u64 now)
{
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_handler *handler = bpf_map_lookup_elem(&handlers, &tid);

    if (handler && pkt) {
        small_hist_add(&handler->execute, now - pkt->t[VMLAT_P_EXECUTE],
                       false);
    }
    return 0;
}

static __always_inline int
on_send(void *ctx, struct sk_buff *skb, __u64 id)
{
    struct place p;
    __u64 now;

    if (unlikely(!find(&p, id))) {
        struct vmlat_bpf_cpu *cpu = this_cpu();

        if (!cpu || !adopt(cpu, skb, id) || !find(&p, id)) {
            return 0;
        }
    }
    now = bpf_ktime_get_ns();
    if (unlikely(p.pkt->last == VMLAT_P_EXECUTE)
        && p.pkt->flags & VMLAT_PKT_UPCALL) {
        count_handler_execute(p.pkt, now);
    }
    p.pkt->t[VMLAT_P_SEND] = now;
    p.pkt->last = VMLAT_P_SEND;
    note(ctx, p.index, VMLAT_P_SEND, 0, 0);
    return 0;
}

static __always_inline int
on_queue(void *ctx, struct sk_buff *skb)
{
    struct place p;

    if (find(&p, id_of(skb)) && p.pkt->last < VMLAT_P_QDISC
        && p.pkt->t[VMLAT_P_OVS]) {
        p.pkt->t[VMLAT_P_QDISC] = bpf_ktime_get_ns();
        p.pkt->last = VMLAT_P_QDISC;
        if (config.active & VMLAT_BPF_EVENTS) {
            note(ctx, p.index, VMLAT_P_QDISC, skb->dev->ifindex,
                 skb->queue_mapping);
        }
    }
    return 0;
}

/* A queueing discipline has taken a packet: not so where there is none, or
 * where it was empty and let the packet pass. */
SEC("tp_btf/qdisc_enqueue")
int BPF_PROG(vmlat_enqueue, void *qdisc, void *queue, struct sk_buff *skb)
{
    return on_queue(ctx, skb);
}

/* For kernels before 5.14, which do not tell so. */
SEC("tp_btf/net_dev_queue")
int BPF_PROG(vmlat_queue, struct sk_buff *skb)
{
    return on_queue(ctx, skb);
}

/* The host sends 'skb' by an internal port. */
static __noinline int
enter_internal(void *ctx, struct sk_buff *skb, __u32 port, __u32 ifindex)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();

    if (cpu) {
        enter_next(cpu, skb);
        enter(ctx, cpu, skb, port, ifindex, bpf_ktime_get_ns(), true);
    }
    return 0;
}

SEC("tp_btf/net_dev_start_xmit")
int BPF_PROG(vmlat_xmit, struct sk_buff *skb, struct net_device *dev)
{
    __u64 id = id_of(skb);
    __u32 ifindex = dev->ifindex;
    struct vmlat_bpf_dev *e = find_dev(dev, ifindex);
    __u32 flags = e ? e->flags : 0;
    struct vmlat_bpf_packet *pkt;
    struct vmlat_bpf_cpu *cpu;
    struct place p;

    if (!find(&p, id)) {
        if (unlikely(flags & VMLAT_DEV_INTERNAL)) {
            enter_internal(ctx, skb, e ? e->slot : 0, ifindex);
        }
        return 0;
    }
    cpu = this_cpu();
    if (!cpu) {
        return 0;
    }
    pkt = p.pkt;
    if (unlikely(flags & VMLAT_DEV_INTERNAL)) {
        if (pkt->flags & VMLAT_PKT_TUNNEL) {
            finish_outer(cpu, pkt);
        }
        if (release(&p, id)
            && !(pkt->flags & (VMLAT_PKT_ENDED | VMLAT_PKT_MOVED))) {
            count_fate(cpu, pkt, VMLAT_F_LOST);
        }
        enter_internal(ctx, skb, e ? e->slot : 0, ifindex);
        return 0;
    }

    if (unlikely(pkt->flags & VMLAT_PKT_ENDED)) {
        if (!(flags & (VMLAT_DEV_THROUGH | VMLAT_DEV_TUNNEL))) {
            if (pkt->flags & VMLAT_PKT_TUNNEL) {
                finish_outer(cpu, pkt);
            }
            release(&p, id);
        }
        return 0;
    }
    if (likely(e && flags & VMLAT_DEV_PORT && !pkt->out)) {
        pkt->out = e->slot;
    }
    if (unlikely(flags & VMLAT_DEV_THROUGH)) {
        return 0;
    }

    pkt->t[VMLAT_P_TX] = bpf_ktime_get_ns();
    pkt->last = VMLAT_P_TX;
    if (config.active & VMLAT_BPF_EVENTS) {
        note(ctx, p.index, VMLAT_P_TX, ifindex, skb->queue_mapping);
    }
    if (unlikely(flags & VMLAT_DEV_TUNNEL)) {
        finish_rare(cpu, pkt, p.index, skb);
        pkt->flags |= VMLAT_PKT_ENDED | VMLAT_PKT_TUNNEL;
        return 0;
    }
    if (unlikely(!release(&p, id))) {
        return 0;
    }
    if (likely(pkt->out && pkt->t[VMLAT_P_OVS])) {
        finish(cpu, pkt, p.index, skb);
    } else {
        count_fate(cpu, pkt, VMLAT_F_UNHOOKED);
    }
    cpu->tx_skb = (__u64) (long) skb;
    cpu->tx_in = pkt->in;
    cpu->tx_out = pkt->out;
    return 0;
}

/* Ends. */

/* A message with an upcall was freed: if by a handler that has read it, the
 * packet goes on there. */
static __noinline int
message_freed(__u64 message, __u32 read)
{
    struct vmlat_bpf_upcall_key key = { .id = message };
    struct vmlat_bpf_upcall *u = bpf_map_lookup_elem(&upcalls, &key);
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_handler *handler;
    struct vmlat_bpf_cpu *cpu;
    __u64 now;

    if (!u) {
        return 0;
    }
    count_atomic(&n_messages, -1);
    cpu = this_cpu();
    if (!cpu) {
        return 0;
    }
    if (!read) {
        count_fate(cpu, &u->packet, VMLAT_F_UPCALL_FULL);
        bpf_map_delete_elem(&upcalls, &key);
        return 0;
    }

    now = bpf_ktime_get_ns();
    u->packet.t[VMLAT_P_HANDLER] = now;
    u->packet.last = VMLAT_P_HANDLER;
    bpf_get_current_comm(u->details.comm, sizeof u->details.comm);
    u->details.points[VMLAT_P_HANDLER].tid = tid;
    u->details.points[VMLAT_P_HANDLER].cpu = bpf_get_smp_processor_id();
    u->details.points[VMLAT_P_HANDLER].stack = -1;

    handler = bpf_map_lookup_elem(&handlers, &tid);
    if (!handler) {
        __u32 zero = SCRATCH_FLOW;
        struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);

        if (s) {
            bpf_map_update_elem(&handlers, &tid, &s->handler, BPF_NOEXIST);
            handler = bpf_map_lookup_elem(&handlers, &tid);
        }
    }
    if (handler) {
        bpf_get_current_comm(handler->comm, sizeof handler->comm);
        handler->received++;
        small_hist_add(&handler->queue, now - u->packet.t[VMLAT_P_UPCALL],
                       false);
    }

    struct vmlat_bpf_upcall_key new = { .id = u->content, .tid = tid };
    for (__u32 n = 0; n < VMLAT_BPF_SAME_CONTENT; n++) {
        new.n = n;
        if (!bpf_map_update_elem(&upcalls, &new, u, BPF_NOEXIST)) {
            bpf_map_delete_elem(&upcalls, &key);
            return 0;
        }
    }
    count_atomic(&stats.upcalls_left_out, 1);
    count_fate(cpu, &u->packet, VMLAT_F_TABLE_FULL);
    bpf_map_delete_elem(&upcalls, &key);
    return 0;
}

/* A known packet was freed. */
static __noinline int
packet_freed(struct sk_buff *skb, __u64 id, __u64 location, __u32 reason)
{
    struct vmlat_bpf_packet *pkt;
    struct vmlat_bpf_cpu *cpu;
    enum vmlat_bpf_fate fate;
    struct place p;

    cpu = this_cpu();
    if (!cpu || !find(&p, id)) {
        return 0;
    }
    pkt = p.pkt;
    if (pkt->flags & VMLAT_PKT_ENDED) {
        if (reason != VMLAT_REASON_CONSUMED) {
            count_drop(pkt, location, reason);
        }
        if (pkt->flags & VMLAT_PKT_TUNNEL) {
            count_atomic(&stats.outer_lost, 1);
        }
        release(&p, id);
        return 0;
    }
    if (pkt->flags & VMLAT_PKT_MOVED) {
        if (reason != VMLAT_REASON_CONSUMED) {
            count_drop(pkt, location, reason);
        }
        release(&p, id);
        return 0;
    }
    if (reason == VMLAT_REASON_CONSUMED && pkt->last == VMLAT_P_QDISC
        && pkt->segments > 1 && pkt->t[VMLAT_P_OVS]) {
        /* Cut into segments, which go to the driver at once. */
        struct net_device *dev = BPF_CORE_READ(skb, dev);
        __u32 ifindex = BPF_CORE_READ(dev, ifindex);
        struct vmlat_bpf_dev *e = find_dev(dev, ifindex);

        if (!pkt->out && e && e->flags & VMLAT_DEV_PORT) {
            pkt->out = e->slot;
        }
        if (pkt->out) {
            pkt->t[VMLAT_P_TX] = bpf_ktime_get_ns();
            pkt->last = VMLAT_P_TX;
            if (release(&p, id)) {
                finish_rare(cpu, pkt, p.index, skb);
            }
            return 0;
        }
    }
    if (pkt->last >= VMLAT_P_SEND) {
        fate = VMLAT_F_TX_DROPPED;
    } else if (pkt->flags & VMLAT_PKT_COPIED) {
        fate = VMLAT_F_COPIED;
    } else if (reason == vmlat_tc_ingress_reason
               && pkt->last == VMLAT_P_RX) {
        fate = VMLAT_F_POLICED;
    } else {
        fate = VMLAT_F_DROPPED;
    }
    if (release(&p, id)) {
        count_fate(cpu, pkt, fate);
        if (fate != VMLAT_F_COPIED) {
            count_drop(pkt, location, reason);
        }
    }
    return 0;
}

static __always_inline int
on_free(struct sk_buff *skb, __u64 location, __u32 reason)
{
    __u64 id = id_of(skb);
    struct vmlat_bpf_cpu *cpu;
    struct place p;

    if (unlikely(find(&p, id))) {
        return packet_freed(skb, id, location, reason);
    }
    cpu = this_cpu();
    if (cpu && unlikely(cpu->rx_state)
        && cpu->rx_skb == (__u64) (long) skb) {
        end_entered(cpu, VMLAT_F_DROPPED, location, reason);
    } else if (reason != VMLAT_REASON_CONSUMED) {
        if (cpu && unlikely(cpu->tx_skb == (__u64) (long) skb)) {
            /* By the driver that was given it. */
            struct vmlat_bpf_packet pkt = {
                .in = cpu->tx_in, .out = cpu->tx_out, .last = VMLAT_P_TX,
                .flags = VMLAT_PKT_ENDED,
            };

            cpu->tx_skb = 0;
            count_drop(&pkt, location, reason);
        }
    }
    if (unlikely(n_messages)) {
        message_freed(id, reason == VMLAT_REASON_CONSUMED);
    }
    return 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(vmlat_kfree, struct sk_buff *skb, void *location, __u32 reason)
{
    return on_free(skb, (__u64) (long) location, reason);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(vmlat_kfree_no_reason, struct sk_buff *skb, void *location)
{
    return on_free(skb, (__u64) (long) location, VMLAT_REASON_UNKNOWN);
}

SEC("tp_btf/consume_skb")
int BPF_PROG(vmlat_consume, struct sk_buff *skb)
{
    return on_free(skb, 0, VMLAT_REASON_CONSUMED);
}

/* Upcalls. */

static __always_inline int
on_upcall(void *ctx, struct sk_buff *skb, __u64 id)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct place p;

    if (!cpu) {
        return 0;
    }
    cpu->upcall_skb = 0;
    if (find(&p, id)
        && !(p.pkt->flags & (VMLAT_PKT_ENDED | VMLAT_PKT_MADE))) {
        p.pkt->t[VMLAT_P_UPCALL] = bpf_ktime_get_ns();
        p.pkt->last = VMLAT_P_UPCALL;
        note(ctx, p.index, VMLAT_P_UPCALL, 0, 0);
        cpu->upcall_skb = (__u64) (long) skb;
        cpu->upcall_n = 0;
        cpu->upcall_ref.index = p.index;
        cpu->upcall_ref.gen = p.pkt->gen;
    }
    return 0;
}

/* Returns content() of the packet in a message to a handler, 0 if it cannot be
 * read, and the message's command in '*cmd'. */
static __noinline __u64
message_content(struct sk_buff *message, __u32 *cmd)
{
    const void *data = BPF_CORE_READ(message, data);
    __u32 linear = BPF_CORE_READ(message, len)
                   - BPF_CORE_READ(message, data_len);
    __u32 offset = 16 + 4 + 4;      /* nlmsghdr, genlmsghdr, ovs_header. */
    __u8 c = 0;

    if (!cmd) {
        return 0;
    }
    bpf_probe_read_kernel(&c, sizeof c, data + 16);
    *cmd = c;
    for (int i = 0; i < 16; i++) {
        struct nlattr nla = { 0, 0 };

        if (offset + sizeof nla > linear
            || bpf_probe_read_kernel(&nla, sizeof nla, data + offset)
            || nla.nla_len < sizeof nla) {
            return 0;
        }
        if (nla.nla_type == 1) {    /* OVS_PACKET_ATTR_PACKET */
            offset += sizeof nla;
            return content(data + offset, linear - offset,
                           nla.nla_len - sizeof nla);
        }
        offset += (nla.nla_len + 3) & ~3u;
    }
    return 0;
}

/* A message goes to a socket: a packet in an upcall, if OVS is in the middle
 * of one. */
static __always_inline int
on_message(struct sk_buff *message, __u64 id)
{
    struct vmlat_bpf_upcall_key key = { .id = id };
    struct vmlat_bpf_cpu *cpu = this_cpu();
    __u32 user = SCRATCH_UPCALL, cmd = 0;
    struct vmlat_bpf_details *d;
    struct vmlat_bpf_account *a;
    struct scratch *s;
    struct place p;
    __u64 hash;
    bool moves;

    if (!cpu || likely(!cpu->upcall_skb)) {
        return 0;
    }
    if (!find_ref(&p, &cpu->upcall_ref) || *p.tag != id_of_number(cpu->upcall_skb)
        || p.pkt->last != VMLAT_P_UPCALL) {
        cpu->upcall_skb = 0;
        return 0;
    }
    hash = message_content(message, &cmd);
    if (!hash && !cpu->upcall_n) {
        /* The packet is not in the linear part of the message, which then
         * shares its pages with the skb. */
        struct sk_buff *skb = (void *) (long) cpu->upcall_skb;
        const void *l2 = skb_l2(skb);
        __u32 len = BPF_CORE_READ(skb, len);
        __u32 data_len = BPF_CORE_READ(skb, data_len);

        hash = content(l2, len - data_len, len);
    }
    moves = cmd == 1 /* OVS_PACKET_CMD_MISS */ && !cpu->upcall_n++;

    s = bpf_map_lookup_elem(&scratches, &user);
    a = account(cpu, p.pkt->in);
    if (!s || !a) {
        return 0;
    }
    if (moves) {
        p.pkt->flags |= VMLAT_PKT_MOVED;
    }
    s->upcall.packet = *p.pkt;
    s->upcall.packet.flags &= VMLAT_PKT_COPY | VMLAT_PKT_COPIED;
    s->upcall.packet.flags |= VMLAT_PKT_UPCALL;
    s->upcall.packet.t[VMLAT_P_HANDLER] = 0;
    s->upcall.packet.t[VMLAT_P_EXECUTE] = 0;
    s->upcall.packet.t[VMLAT_P_SEND] = 0;
    s->upcall.packet.t[VMLAT_P_QDISC] = 0;
    s->upcall.content = hash;
    if (!moves) {
        s->upcall.packet.flags |= VMLAT_PKT_COPY;
        p.pkt->flags |= VMLAT_PKT_COPIED;
        count(&a->entered[1], 1);
    }
    d = bpf_map_lookup_elem(&details, &p.index);
    if (d) {
        s->upcall.details = *d;
    }
    if (!hash) {
        count_atomic(&stats.upcalls_left_out, 1);
        count_fate(cpu, &s->upcall.packet, VMLAT_F_LOST);
        return 0;
    }
    count_atomic(&n_messages, 1);
    if (bpf_map_update_elem(&upcalls, &key, &s->upcall, BPF_ANY)) {
        count_atomic(&n_messages, -1);
        count_atomic(&stats.upcalls_left_out, 1);
        count_fate(cpu, &s->upcall.packet, VMLAT_F_TABLE_FULL);
    }
    return 0;
}

/* A thread of the daemon sends a packet. */
static __always_inline int
on_execute(void *ctx, struct sk_buff *skb, __u64 id)
{
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_upcall_key key = { .tid = tid }, best = { 0 };
    __u32 len = BPF_CORE_READ(skb, len);
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct vmlat_bpf_handler *handler;
    struct vmlat_bpf_account *a;
    struct vmlat_bpf_upcall *u;
    __u64 oldest = ~0ull, now;
    struct place p;
    __u32 gen;

    if (!cpu) {
        return 0;
    }
    now = bpf_ktime_get_ns();
    key.id = content(BPF_CORE_READ(skb, data), len, len);
    for (__u32 n = 0; n < VMLAT_BPF_SAME_CONTENT; n++) {
        key.n = n;
        u = bpf_map_lookup_elem(&upcalls, &key);
        if (u && u->packet.t[VMLAT_P_HANDLER] < oldest) {
            oldest = u->packet.t[VMLAT_P_HANDLER];
            best = key;
        }
    }
    handler = bpf_map_lookup_elem(&handlers, &tid);
    u = oldest != ~0ull ? bpf_map_lookup_elem(&upcalls, &best) : NULL;
    if (!u) {
        if (!(config.active & VMLAT_BPF_RX)) {
            return 0;
        }
        a = account(cpu, 0);
        if (!a) {
            return 0;
        }
        count_atomic(&a->entered[0], 1);
        if (!take(cpu, &p, id, now)) {
            count_atomic(&a->fates[0][VMLAT_F_TABLE_FULL], 1);
            return 0;
        }
        gen = p.pkt->gen;
        __builtin_memset(p.pkt, 0, sizeof *p.pkt);
        p.pkt->gen = gen;
        p.pkt->flags = VMLAT_PKT_MADE;
        p.pkt->segments = 1;
        p.pkt->t[VMLAT_P_RX] = now;
        p.pkt->t[VMLAT_P_OVS] = now;
        p.pkt->last = VMLAT_P_EXECUTE;
    } else {
        if (!take(cpu, &p, id, now)) {
            count_fate(cpu, &u->packet, VMLAT_F_TABLE_FULL);
            bpf_map_delete_elem(&upcalls, &best);
            return 0;
        }
        gen = p.pkt->gen;
        *p.pkt = u->packet;
        p.pkt->gen = gen;
        p.pkt->t[VMLAT_P_EXECUTE] = now;
        p.pkt->last = VMLAT_P_EXECUTE;
        if (handler) {
            p.pkt->install_ns = handler->install_ns;
            handler->install_ns = 0;
            handler->executed++;
            small_hist_add(&handler->handling,
                           now - u->packet.t[VMLAT_P_HANDLER], false);
        }
        if (config.active & VMLAT_BPF_EVENTS) {
            struct vmlat_bpf_details *d;

            d = bpf_map_lookup_elem(&details, &p.index);
            if (d) {
                *d = u->details;
            }
            note(ctx, p.index, VMLAT_P_EXECUTE, 0, 0);
        }
        bpf_map_delete_elem(&upcalls, &best);
    }
    if (handler) {
        handler->exec_ref.index = p.index;
        handler->exec_ref.gen = p.pkt->gen;
    }
    return 0;
}

/* Connection tracking. */

static __always_inline int
on_ct(__u64 id)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct place p;

    if (cpu) {
        cpu->ct_skb = 0;
        if (find(&p, id)) {
            cpu->ct_skb = id;
            p.pkt->ct_since = bpf_ktime_get_ns();
        }
    }
    return 0;
}

static __always_inline int
on_ct_done(void)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct place p;

    if (cpu && cpu->ct_skb && find(&p, cpu->ct_skb)) {
        p.pkt->ct_ns += bpf_ktime_get_ns() - p.pkt->ct_since;
        p.pkt->ct_passes++;
    }
    if (cpu) {
        cpu->ct_skb = 0;
    }
    return 0;
}

/* Installing flows. */

static __always_inline int
on_install(bool done)
{
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_handler *handler = bpf_map_lookup_elem(&handlers, &tid);
    __u64 now = bpf_ktime_get_ns();

    if (!handler) {
        return 0;
    }
    if (!done) {
        handler->install_since = now;
    } else if (handler->install_since) {
        handler->install_ns += now - handler->install_since;
        handler->installed++;
        small_hist_add(&handler->install, now - handler->install_since,
                       false);
        handler->install_since = 0;
    }
    return 0;
}

/* The programs at functions: for the kernels whose BTF describes the function,
 * and kprobes for the others.
 *
 * POINT(name, function, n, call): 'call' may use 'ctx', 'skb', which is argument
 * 'n' of the function, and its 'id'. */
#define POINT(NAME, FUNCTION, N, CALL)                              \
    SEC("fentry/" FUNCTION)                                         \
    int NAME(__u64 *ctx)                                            \
    {                                                               \
        struct sk_buff *skb = (void *) (long) ctx[N - 1];           \
        __u64 id = id_of(skb);                                      \
                                                                    \
        (void) id;                                                  \
        return CALL;                                                \
    }                                                               \
    SEC("kprobe/" FUNCTION)                                         \
    int NAME##_kprobe(struct pt_regs *ctx)                          \
    {                                                               \
        struct sk_buff *skb = (void *) PT_REGS_PARM##N(ctx);        \
        __u64 id = id_of_number((__u64) (long) skb);                \
                                                                    \
        (void) id;                                                  \
        return CALL;                                                \
    }
#define POINT_RETURN(NAME, FUNCTION, CALL)                          \
    SEC("fexit/" FUNCTION)                                          \
    int NAME(void *ctx)                                             \
    {                                                               \
        return CALL;                                                \
    }                                                               \
    SEC("kretprobe/" FUNCTION)                                      \
    int NAME##_kprobe(struct pt_regs *ctx)                          \
    {                                                               \
        return CALL;                                                \
    }

SEC("fentry/ovs_dp_process_packet")
int
vmlat_ovs(__u64 *ctx)
{
    struct sk_buff *skb = (void *) (long) ctx[0];

    return on_ovs(ctx, skb, id_of(skb), (__u64) (long) skb->head);
}

SEC("kprobe/ovs_dp_process_packet")
int
vmlat_ovs_kprobe(struct pt_regs *ctx)
{
    struct sk_buff *skb = (void *) PT_REGS_PARM1(ctx);

    return on_ovs(ctx, skb, id_of_number((__u64) (long) skb),
                  (__u64) (long) BPF_CORE_READ(skb, head));
}

POINT(vmlat_send, "ovs_vport_send", 2, on_send(ctx, skb, id))
POINT(vmlat_upcall, "ovs_dp_upcall", 2, on_upcall(ctx, skb, id))
POINT(vmlat_message, "netlink_unicast", 2, on_message(skb, id))
POINT(vmlat_execute, "ovs_flow_key_extract_userspace", 3,
      on_execute(ctx, skb, id))
POINT(vmlat_ct, "ovs_ct_execute", 2, on_ct(id))
POINT_RETURN(vmlat_ct_done, "ovs_ct_execute", on_ct_done())
POINT(vmlat_install, "ovs_flow_cmd_new", 1, on_install(false))
POINT_RETURN(vmlat_install_done, "ovs_flow_cmd_new", on_install(true))
