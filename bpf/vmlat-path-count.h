/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

#ifndef VMLAT_PATH_COUNT_H
#define VMLAT_PATH_COUNT_H 1

/* Counters of vmlat-path.bpf.c: each CPU's blocks, accounts, histograms, pairs
 * of ports. */

#include "vmlat-path-maps.h"

/* Counters. */

static __always_inline void
count(__u64 *counter, __u64 n)
{
    *counter += n;
}

static __always_inline void
count_atomic(__u64 *counter, __u64 n)
{
    __sync_fetch_and_add(counter, n);
}

/* Replaces '*p' by 'new' if it is 'old'.  Returns true if it was.  Kernels
 * before 5.12 cannot do so atomically: there two CPUs may both have it. */
static __always_inline bool
replace(__u64 *p, __u64 old, __u64 new)
{
#ifdef VMLAT_OLD
    if (*(volatile __u64 *) p != old) {
        return false;
    }
    *(volatile __u64 *) p = new;
    return true;
#else
    __u64 was = __sync_val_compare_and_swap(p, old, new);

    hide(was);                  /* Shorter: a branch, and no value. */
    return was == old;
#endif
}

static __always_inline struct now *
now_of(__u32 cpu)
{
    __u64 n = cpu * sizeof(struct now);

    element(n, nows, VMLAT_BPF_CPUS);
    return (struct now *) (long) n;
}

static __always_inline struct now *
this_now(void)
{
    return now_of(bpf_get_smp_processor_id());
}

static __always_inline struct vmlat_bpf_cpu *
cpu_of(__u32 key)
{
    struct cpu_value *value = bpf_map_lookup_elem(&cpus, &key);

    return value ? &value->cpu : NULL;
}

static __always_inline struct vmlat_bpf_cpu *
this_cpu(void)
{
    return cpu_of(bpf_get_smp_processor_id());
}

/* Blocks. */

static __always_inline void *
block(struct vmlat_bpf_cpu *cpu, __u32 number)
{
    __u64 offset = number & vmlat_block_mask;

    return (void *) cpu + VMLAT_BPF_CPU_BLOCKS + offset * VMLAT_BPF_BLOCK;
}

/* For hist_add_short(): bits of the offset of a block. */
static __always_inline __u64
block_mask(void)
{
    return (__u64) vmlat_block_mask << 8;
}

/* Makes '*number' the number of a new block.  Returns false if there is none.
 * An interrupt may do the same: the one that is late wastes its block. */
static __always_inline bool
new_block(struct vmlat_bpf_cpu *cpu, __u32 *number)
{
    __u32 n;

    if (cpu->n_blocks >= vmlat_block_mask) {
        count_atomic(&cpu->no_block, 1);
        return false;
    }
#ifdef VMLAT_OLD
    n = ++cpu->n_blocks;
    if (!*number) {
        *number = n;
    }
#else
    n = __sync_fetch_and_add(&cpu->n_blocks, 1) + 1;
    __sync_val_compare_and_swap(number, 0, n);
#endif
    return true;
}

static __always_inline struct vmlat_bpf_account *
account(struct vmlat_bpf_cpu *cpu, __u32 port)
{
    __u32 *number = &cpu->accounts[port & (VMLAT_BPF_PORTS - 1)];

    if (unlikely(!*number) && !new_block(cpu, number)) {
        return NULL;
    }
    return block(cpu, *number);
}

/* Fates are added atomically where an interrupt could count the same one. */
static __always_inline void
count_fate(struct vmlat_bpf_cpu *cpu, const struct vmlat_bpf_packet *pkt,
           enum vmlat_bpf_fate fate)
{
    struct vmlat_bpf_account *a = account(cpu, pkt->in);

    if (a) {
        count_atomic(&a->fates[pkt->flags & VMLAT_PKT_COPY][fate], 1);
    }
}

/* Histograms. */

/* Entry i is the shift of values from 64 * i on: see vmlat_histogram_bucket().
 */
#define X2(N) N, N
#define X4(N) X2(N), X2(N)
#define X8(N) X4(N), X4(N)
#define X16(N) X8(N), X8(N)
#define X32(N) X16(N), X16(N)
#define X64(N) X32(N), X32(N)
#define X128(N) X64(N), X64(N)
#define X256(N) X128(N), X128(N)
#define X512(N) X256(N), X256(N)
static const __u8 shifts[1024] = {
    0, 1, X2(2), X4(3), X8(4), X16(5), X32(6), X64(7), X128(8), X256(9),
    X512(10)
};

/* Returns the shift of 'ns', which is below 2^36: see
 * vmlat_histogram_bucket().  Few branches, for the sake of the verifier. */
static __always_inline __u32
shift_of(__u64 ns)
{
    __u32 shift = 0;
    __u64 i = ns >> 6;

    if (unlikely(ns >= 1ull << 26)) {
        shift = 20;
        i = ns >> 26;
    } else if (unlikely(ns >= 1ull << 16)) {
        shift = 10;
        i = ns >> 16;
    }
    hide(i);
    return shift + shifts[i & 1023];
}

/* Makes 's' lead to row 'i', block 'number', of 'h', whose buckets are
 * 1 << 'shift' ns wide. */
static __always_inline void
set_short(struct vmlat_bpf_short *s, const struct vmlat_bpf_hist *h, __u64 i,
          __u32 number, __u32 shift)
{
    __u64 low = i ? 32ull << shift : 0;
    __u64 high = (i ? 64ull << shift : 32) - 1;
    __u64 min = ~h->not_min;

    if (low < min) {
        low = min;
    }
    if (high > h->max) {
        high = h->max;
    }
    s->span = 0;
    if (!(high >> 32)) {
        s->low = low;
        s->factor = 1u << 31 >> shift;
        s->row = number << 8;
        s->span = high - low + 1;
    }
}

/* Returns the pair of ports 'in' and 'out', NULL if there is no room. */
static __always_inline struct vmlat_bpf_pair *
find_pair(struct vmlat_bpf_cpu *cpu, __u32 in, __u32 out)
{
    __u32 key = out << 16 | in;
    __u32 hash = VMLAT_BPF_PAIR_HASH(key);
    __u64 slot;

    for (int i = 0; i < VMLAT_BPF_PAIR_PROBES; i++) {
        __u32 j = (hash + i) & (VMLAT_BPF_PAIRS - 1);

        slot = cpu->pairs[j];
        if (!(slot >> 32)) {
            __u32 number = 0;

            if (cpu->n_blocks >= vmlat_block_mask) {
                count_atomic(&cpu->no_block, 1);
                return NULL;
            }
#ifdef VMLAT_OLD
            number = ++cpu->n_blocks;
#else
            number = __sync_fetch_and_add(&cpu->n_blocks, 1) + 1;
#endif
            slot = (__u64) number << 32 | key;
            cpu->pairs[j] = slot;
        }
        if ((__u32) slot == key) {
            return block(cpu, slot >> 32);
        }
    }
    return NULL;
}

/* Adds a sample of 'ns' to the histogram of 'stage' of the pair of ports
 * 'ports', as in struct vmlat_bpf_packet, and makes 'which' of the short cuts,
 * if it is one, lead there.  Returns 0 if there is no room for it.
 *
 * A global function with numbers only, since the verifier looks at it once,
 * not for each way to each call: that takes most of the time until a program
 * is loaded. */
__noinline int
hist_add(__u64 ports, __u64 stage, __u64 ns, __u64 which)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct vmlat_bpf_short *s = NULL;
    struct vmlat_bpf_pair *pair;
    struct vmlat_bpf_hist *h;
    __u32 *block_number;

    if (!cpu) {
        return 0;
    }
    pair = find_pair(cpu, ports & 0xffff, ports >> 16 & 0xffff);
    if (!pair) {
        return 0;
    }
    /* hide(): what is looked up is what was checked, and after that. */
    hide(which);
    if (which < VMLAT_N_SHORTS) {
        hide(which);
        s = &pair->shorts[which];
    }
    hide(stage);
    if (stage >= VMLAT_BPF_PAIR_HISTS) {
        return 0;
    }
    hide(stage);
    block_number = &pair->hists[stage];
    if (!*block_number && !new_block(cpu, block_number)) {
        return 0;
    }
    h = block(cpu, *block_number);

    count(&h->total, ns);
    if (ns > h->max) {
        h->max = ns;
    }
    if (~ns > h->not_min) {
        h->not_min = ~ns;
    }
    if (ns >> 36) {
        count(&h->overflow, 1);
    } else {
        __u32 shift = shift_of(ns);
        __u64 bucket = (shift << 5) + (ns >> shift);
        __u64 i = bucket >> 5;
        __u32 *number;
        __u64 *row;

        hide(i);
        i &= VMLAT_BPF_HIST_ROWS - 1;
        number = &h->rows[i];
        if (!*number && !new_block(cpu, number)) {
            return 0;
        }
        row = block(cpu, *number);
        count(&row[bucket & 31], 1);
        if (s) {
            set_short(s, h, i, *number, shift);
        }
    }
    return 1;
}

/* The same for 'pkt', by short cut 'which' if that leads there.  'pair' is
 * that of its ports, 'mask' is block_mask(). */
static __always_inline bool
hist_add_short(struct vmlat_bpf_cpu *cpu, struct vmlat_bpf_pair *pair,
               const struct vmlat_bpf_packet *pkt, __u32 stage, __u64 ns,
               __u32 which, __u64 mask)
{
    struct vmlat_bpf_short *s = &pair->shorts[which];
    void *blocks = (void *) cpu + VMLAT_BPF_CPU_BLOCKS;
    __u64 i, row;

    if (unlikely(ns - s->low >= s->span)) {
        return hist_add(pkt->ports, stage, ns, which);
    }
    count(&s->total, ns);
    i = ns * s->factor >> 28;
    row = s->row;
    asm volatile ("%0 &= %2; %1 &= 0xf8; %0 += %3; %0 += %1"
                  : "+r" (row), "+r" (i) : "r" (mask), "r" (blocks));
    count((__u64 *) (long) row, 1);
    return true;
}

#define HIST_ADD(PKT, ID, NS) \
    hist_add((PKT)->ports, VMLAT_S_##ID, NS, VMLAT_N_SHORTS)
#define HIST_ADD_SHORT(CPU, PAIR, PKT, ID, NS, MASK) \
    hist_add_short(CPU, PAIR, PKT, VMLAT_S_##ID, NS, VMLAT_SHORT_##ID, MASK)

static __always_inline void
small_hist_add(struct vmlat_bpf_small_hist *h, __u64 ns, bool atomic)
{
    __u64 bucket = ns;

    if (ns >> VMLAT_BPF_SMALL_MAX_BITS) {
        bucket = VMLAT_BPF_SMALL_BUCKETS - 1;
    } else if (ns >= 64) {
        __u32 shift = shift_of(ns) + 2;

        bucket = (shift << VMLAT_BPF_SMALL_SUB_BITS) + (ns >> shift);
    } else if (ns >= 32) {
        bucket = 16 + (ns >> 2);
    } else if (ns >= 16) {
        bucket = 8 + (ns >> 1);
    }
    hide(bucket);
    if (bucket >= VMLAT_BPF_SMALL_BUCKETS) {
        bucket = VMLAT_BPF_SMALL_BUCKETS - 1;
    }
    if (atomic) {
        count_atomic(&h->total, ns);
        __sync_fetch_and_add(&h->buckets[bucket], 1);
        count_atomic(&h->packets, 1);
    } else {
        count(&h->total, ns);
        h->buckets[bucket]++;
        count(&h->packets, 1);
    }
    if (ns > h->max) {
        h->max = ns;
    }
}

#endif /* vmlat-path-count.h */
