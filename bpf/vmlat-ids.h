/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

#ifndef VMLAT_IDS_H
#define VMLAT_IDS_H 1

/* What packets are known by to the programs of the datapath and to those that
 * follow them into taps, and how the former know that the latter are
 * interested in the end of an skb: the tracepoints that say so are passed for
 * all packets of the host, and each program there costs more than the look at
 * 'vm'. */

#include "vmlat-kernel-types.h"

#include <bpf/bpf_helpers.h>

#include "vmlat-abi.h"

/* The same map for both, if both are loaded. */
struct vmlat_bpf_vm vm SEC(".data.vm");

/* The address of 'vm' as a number. */
__u64 base;

/* What a packet is known by: the distance of its skb from 'vm'.  The verifier
 * allows no arithmetic with the skb's address itself, but the difference of
 * two addresses is a number to it. */
static __always_inline __u64
id_of(const void *skb)
{
    __u64 id = (__u64) (long) skb;

    asm volatile ("%0 -= %1" : "+r" (id) : "r" (&vm));
    return id;
}

/* Returns the address of 'vm' as a number: it has to be read from a map to be
 * one to the verifier. */
static __always_inline __u64
base_number(void)
{
    *(volatile __u64 *) &base = (__u64) (long) &vm;
    return *(volatile __u64 *) &base;
}

/* The same as id_of() where the address is a number: in kprobes. */
static __always_inline __u64
id_of_number(__u64 skb)
{
    return skb - base_number();
}

/* The other way round. */
static __always_inline __u64
number_of(__u64 id)
{
    return id + base_number();
}

/* Keeps the compiler from knowing what 'X' is, so that it does not take out
 * the mask that the verifier wants to see. */
#define hide(X) asm volatile ("" : "+r" (X))

/* Makes 'X', an offset into ARRAY, the address there; what is beyond the array
 * is cut off.  The array and its elements have sizes that are powers of 2.  In
 * one piece, since old kernels forget the bounds of a number that the compiler
 * puts on the stack meanwhile. */
#define element(X, ARRAY, N)                                        \
    asm volatile ("%0 &= %2; %0 += %1"                              \
                  : "+r" (X)                                        \
                  : "r" (ARRAY), "i" (((N) - 1) * sizeof (ARRAY)[0]))

/* Returns the place in 'vm' for packet 'id': skbs are 256 bytes or more apart.
 */
static __always_inline __u32 *
vm_ids_of(__u64 id)
{
    __u64 x = id >> 6;

    element(x, vm.n_ids, VMLAT_BPF_VM_IDS);
    return (__u32 *) (long) x;
}

#endif /* vmlat-ids.h */
