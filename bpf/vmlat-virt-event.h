/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

#ifndef VMLAT_VIRT_EVENT_H
#define VMLAT_VIRT_EVENT_H 1

/* Packets that took long, with their first bytes: for the daemon, one by one.
 *
 * Whether a packet to a VM took long is known when its skb has gone.  So its
 * headers are kept when the worker takes it, if it has waited by then; if what
 * took long came later they are not known. */

#include "vmlat-virt-record.h"

/* Copies the first bytes of the skb 'id' to 'bytes', which has room for
 * VMLAT_VIRT_EVENT_BYTES; 'pulled' is as for frame_find().  Returns their
 * number and stores the length of the packet. */
static __always_inline __u32
event_headers(__u64 id, bool pulled, __u8 *bytes, __u32 *length)
{
    struct sk_buff *skb = (void *) (long) number_of(id);
    struct frame f;
    __u64 size;

    frame_find(&f, skb, pulled);
    *length = (BPF_CORE_READ(skb, len)
               + ((__u64) (long) BPF_CORE_READ(skb, data) - f.data));
    size = f.size;
    hide(size);
    if (size > VMLAT_VIRT_EVENT_BYTES) {
        size = VMLAT_VIRT_EVENT_BYTES;
    }
    return (size && !bpf_probe_read_kernel(bytes, size,
                                           (void *) (long) f.data)
            ? size : 0);
}

/* Keeps the headers of packet 'number', the skb 'id'. */
__noinline int
pkt_keep_headers(__u32 number, __u64 id)
{
    struct head *h = at(heads, N_PKTS, number);

    h->size = event_headers(id, false, h->bytes, &h->length);
    at(pkts, N_PKTS, number)->flags |= PKT_HEADERS;
    return 0;
}

static __always_inline struct vmlat_virt_event *
event_begin(void)
{
    struct vmlat_virt_event *e = bpf_ringbuf_reserve(&records, sizeof *e, 0);

    if (e) {
        __builtin_memset(e, 0, sizeof *e);
        e->base = base_number();
        e->cpu = bpf_get_smp_processor_id();
    } else {
        __sync_fetch_and_add(&stats.events_lost, 1);
    }
    return e;
}

/* Returns when the packets of 'b' were at the last mark that is known. */
static __always_inline __u64
batch_end(const struct batch *b)
{
    return b->entry_ns ? b->entry_ns : b->inject_ns ? b->inject_ns
           : b->signal_ns;
}

/* Returns true if one of the packets of 'b', which is at its end, took
 * long. */
static __always_inline bool
batch_is_slow(const struct batch *b)
{
    return batch_end(b) - b->first_ns >= config.min_ns;
}

/* Reports packet 'number' of 'batch', whose record would have 'flags', if it
 * took long. */
__noinline int
pkt_event(__u32 number, __u32 batch, __u32 flags)
{
    const struct batch *b = at(batches, N_WORKERS * N_BATCHES, batch);
    const struct pkt *p = at(pkts, N_PKTS, number);
    const struct head *h = at(heads, N_PKTS, number);
    struct vmlat_virt_event *e;

    if (batch_end(b) - p->tx_ns < config.min_ns) {
        return 0;
    }
    e = event_begin();
    if (!e) {
        return 0;
    }
    e->kind = VMLAT_REC_VM_RX;
    e->row = b->row;
    e->t[VMLAT_MARK_VM_RX_TX] = p->tx_ns;
    e->t[VMLAT_MARK_VM_RX_TAKEN] = p->taken_ns;
    e->t[VMLAT_MARK_VM_RX_SIGNAL] = b->signal_ns;
    e->t[VMLAT_MARK_VM_RX_IRQFD] = b->irqfd_ns;
    e->t[VMLAT_MARK_VM_RX_INJECT] = b->inject_ns;
    e->t[VMLAT_MARK_VM_RX_VCPU] = b->entry_ns;
    e->woken_ns = b->woken_ns > b->inject_ns ? b->woken_ns : 0;
    e->before_ns = p->before_ns;
    e->skb = p->skb;
    e->which = (!b->inject_ns
                ? (flags & VMLAT_REC_NO_SIGNAL
                   ? VMLAT_VF_NO_SIGNAL : VMLAT_VF_USER)
                : flags & VMLAT_REC_SHARED ? VMLAT_VF_SHARED : VMLAT_VF_OWN);
    e->vcpu = b->vcpu;
    if (p->flags & PKT_HEADERS) {
        e->length = h->length;
        e->size = h->size;
        __builtin_memcpy(e->bytes, h->bytes, sizeof e->bytes);
    }
    bpf_ringbuf_submit(e, 0);
    return 0;
}

/* Reports the skb 'id', which 'w' has sent for a VM: a port received it 'now',
 * 'before_ns' after the packet before. */
static __always_inline void
receive_event(__u64 id, const struct worker *w, __u32 row, __u32 which,
              __u64 kick_ns, __u64 now, __u64 before_ns)
{
    struct vmlat_virt_event *e = event_begin();
    __u32 length;

    if (!e) {
        return;
    }
    e->kind = VMLAT_REC_VM_TX;
    e->row = row;
    e->which = which;
    e->tid = bpf_get_current_pid_tgid();
    e->t[VMLAT_MARK_VM_TX_KICK] = kick_ns;
    e->t[VMLAT_MARK_VM_TX_WORKER] = kick_ns ? w->run_ns : 0;
    e->t[VMLAT_MARK_VM_TX_SENDMSG] = w->send_ns;
    e->t[VMLAT_MARK_VM_TX_RX] = now;
    e->before_ns = before_ns;
    e->size = event_headers(id, true, e->bytes, &length);
    e->length = length;
    bpf_ringbuf_submit(e, 0);
}

#endif /* vmlat-virt-event.h */
