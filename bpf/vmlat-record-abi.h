/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

#ifndef VMLAT_RECORD_ABI_H
#define VMLAT_RECORD_ABI_H 1

/* Records of packets: one for each way that a packet went on a host or in a
 * guest, with the times at which it passed each mark there.
 *
 * BPF programs, ovs-vswitchd, vmlat-guest and ovs-vmlat share this; it needs
 * __u8 ... __u64 before it.  Records are kept in files, too, so this layout is
 * a part of the format, see ovs-plugin/vmlat-record-file.h: a change of it is
 * a new version.  Times are CLOCK_MONOTONIC in ns of the machine that wrote
 * the record. */

/* Kinds of way, and the marks on each, in the order of the way.
 *
 * VMLAT_RECORD_KIND(ID, name, meaning)
 * VMLAT_RECORD_MARK(KIND, ID, name, meaning) */
#define VMLAT_RECORD_TABLE                                                    \
    VMLAT_RECORD_KIND(PATH, "path",                                           \
                      "through the datapath of a host")                       \
    VMLAT_RECORD_MARK(PATH, RX, "port-rx",                                    \
                      "received by a port")                                   \
    VMLAT_RECORD_MARK(PATH, OVS, "ovs",                                       \
                      "in OVS")                                               \
    VMLAT_RECORD_MARK(PATH, UPCALL, "upcall",                                 \
                      "no flow: goes to a handler thread")                    \
    VMLAT_RECORD_MARK(PATH, HANDLER, "handler",                               \
                      "the handler thread has it")                            \
    VMLAT_RECORD_MARK(PATH, EXECUTE, "execute",                               \
                      "back in the kernel")                                   \
    VMLAT_RECORD_MARK(PATH, SEND, "vport-send",                               \
                      "sent to a port")                                       \
    VMLAT_RECORD_MARK(PATH, QDISC, "qdisc",                                   \
                      "in the device's queueing discipline")                  \
    VMLAT_RECORD_MARK(PATH, TX, "port-tx",                                    \
                      "taken by the port's driver or ring")                   \
    VMLAT_RECORD_MARK(PATH, OUTER, "outer-tx",                                \
                      "taken by the driver below a tunnel")                   \
    VMLAT_RECORD_KIND(VM_TX, "vm-tx",                                         \
                      "from a VM to the host's port")                         \
    VMLAT_RECORD_MARK(VM_TX, KICK, "kick",                                    \
                      "the guest kicked (ioeventfd)")                         \
    VMLAT_RECORD_MARK(VM_TX, WORKER, "vhost-worker",                          \
                      "the vhost worker runs for it")                         \
    VMLAT_RECORD_MARK(VM_TX, SENDMSG, "tun-sendmsg",                          \
                      "given to the tap")                                     \
    VMLAT_RECORD_MARK(VM_TX, RX, "port-rx",                                   \
                      "received by the port")                                 \
    VMLAT_RECORD_KIND(VM_RX, "vm-rx",                                         \
                      "from the host's port to a VM")                         \
    VMLAT_RECORD_MARK(VM_RX, TX, "port-tx",                                   \
                      "taken by the tap or put in the vhost-user ring")       \
    VMLAT_RECORD_MARK(VM_RX, TAKEN, "vhost-taken",                            \
                      "the vhost worker takes it")                            \
    VMLAT_RECORD_MARK(VM_RX, SIGNAL, "used-signal",                           \
                      "in the used ring, the guest is to be signalled")       \
    VMLAT_RECORD_MARK(VM_RX, IRQFD, "irqfd",                                  \
                      "eventfd woke KVM's irqfd")                             \
    VMLAT_RECORD_MARK(VM_RX, INJECT, "kvm-inject",                            \
                      "KVM has injected the interrupt")                       \
    VMLAT_RECORD_MARK(VM_RX, VCPU, "vcpu-entry",                              \
                      "the vCPU entered the guest after that")                \
    VMLAT_RECORD_KIND(GUEST_OUT, "guest-out",                                 \
                      "out of a guest's stack")                               \
    VMLAT_RECORD_MARK(GUEST_OUT, IP_OUT, "ip-out",                            \
                      "leaves IP")                                            \
    VMLAT_RECORD_MARK(GUEST_OUT, QDISC, "qdisc",                              \
                      "in the device's queueing discipline")                  \
    VMLAT_RECORD_MARK(GUEST_OUT, TX, "device-tx",                             \
                      "given to the device's driver")                         \
    VMLAT_RECORD_KIND(GUEST_IN, "guest-in",                                   \
                      "into a guest's stack")                                 \
    VMLAT_RECORD_MARK(GUEST_IN, RX, "device-rx",                              \
                      "received from the device's driver")                    \
    VMLAT_RECORD_MARK(GUEST_IN, IP_IN, "ip-in",                               \
                      "in IP")                                                \
    VMLAT_RECORD_MARK(GUEST_IN, DELIVER, "deliver",                           \
                      "at ICMP, TCP or UDP")

enum vmlat_record_kind {
#define VMLAT_RECORD_KIND(ID, NAME, MEANING) VMLAT_REC_##ID,
#define VMLAT_RECORD_MARK(KIND, ID, NAME, MEANING)
    VMLAT_RECORD_TABLE
#undef VMLAT_RECORD_KIND
#undef VMLAT_RECORD_MARK
    VMLAT_REC_N_KINDS
};

/* Marks of each kind count from 0: VMLAT_MARK_PATH_TX. */
enum vmlat_record_path_mark {
    VMLAT_MARK_PATH_RX, VMLAT_MARK_PATH_OVS, VMLAT_MARK_PATH_UPCALL,
    VMLAT_MARK_PATH_HANDLER, VMLAT_MARK_PATH_EXECUTE, VMLAT_MARK_PATH_SEND,
    VMLAT_MARK_PATH_QDISC, VMLAT_MARK_PATH_TX, VMLAT_MARK_PATH_OUTER
};
enum vmlat_record_vm_tx_mark {
    VMLAT_MARK_VM_TX_KICK, VMLAT_MARK_VM_TX_WORKER, VMLAT_MARK_VM_TX_SENDMSG,
    VMLAT_MARK_VM_TX_RX
};
enum vmlat_record_vm_rx_mark {
    VMLAT_MARK_VM_RX_TX, VMLAT_MARK_VM_RX_TAKEN, VMLAT_MARK_VM_RX_SIGNAL,
    VMLAT_MARK_VM_RX_IRQFD, VMLAT_MARK_VM_RX_INJECT, VMLAT_MARK_VM_RX_VCPU
};
enum vmlat_record_guest_out_mark {
    VMLAT_MARK_GUEST_OUT_IP_OUT, VMLAT_MARK_GUEST_OUT_QDISC,
    VMLAT_MARK_GUEST_OUT_TX
};
enum vmlat_record_guest_in_mark {
    VMLAT_MARK_GUEST_IN_RX, VMLAT_MARK_GUEST_IN_IP_IN,
    VMLAT_MARK_GUEST_IN_DELIVER
};

#define VMLAT_RECORD_MARKS 9            /* Of a record, at most. */

/* Flags. */
#define VMLAT_REC_COPY       (1u << 0)  /* Is a copy (flood, mirror). */
#define VMLAT_REC_UPCALL     (1u << 1)  /* Took an upcall. */
#define VMLAT_REC_SHARED     (1u << 2)  /* VM_RX: several packets on this
                                         * signal; VM_TX: on this kick. */
#define VMLAT_REC_NO_SIGNAL  (1u << 3)  /* VM_RX: the guest asked for no
                                         * interrupt: ends at SIGNAL. */
#define VMLAT_REC_NO_KICK    (1u << 4)  /* VM_TX: the worker was at it already:
                                         * begins at SENDMSG. */
#define VMLAT_REC_RUNNING    (1u << 5)  /* VM_RX: posted to a vCPU that ran in
                                         * the guest: no VCPU mark. */
#define VMLAT_REC_FRAGMENT   (1u << 6)  /* IP fragment, ports may be 0. */
#define VMLAT_REC_USERSPACE  (1u << 7)  /* PATH: of a userspace datapath. */
#define VMLAT_REC_MERGED     (1u << 8)  /* VM_RX: another packet's signal
                                         * interrupted the guest for it, too,
                                         * and was still pending. */

/* A record.  112 bytes, no holes.
 *
 * Ports and sequence numbers are in host byte order, little endian in files.
 * ICMP and ICMPv6 echoes: 'sport' is the identifier, 'dport' 0, 'seq' the
 * sequence number, 'l4_type' the ICMP type, 'ack' 0.  TCP: 'l4_type' is the
 * byte of flags.  UDP: 'seq' and 'ack' are the first 8 bytes of the payload,
 * as big endian numbers; each is 0 if the payload does not have all 4 of its
 * bytes.  The rest: 0, but SCTP has ports. */
struct vmlat_record {
    __u64 time_ns;                      /* At the first mark that it passed. */
    __u8 src[16], dst[16];              /* IPv4 is ::ffff:a.b.c.d. */
    __u16 sport, dport;
    __u32 seq;
    __u32 ack;
    __u32 payload;                      /* Bytes after the L4 header, as the
                                         * IP header says (all of GSO). */
    __u16 ip_id;                        /* 0 for IPv6. */
    __u8 proto;                         /* IPPROTO_*. */
    __u8 l4_type;
    __u16 in, out;                      /* Port ids of NAME blocks, 0: none. */
    __u8 kind;                          /* enum vmlat_record_kind. */
    __u8 shift;                         /* Times below are in 2^shift ns. */
    __u16 flags;                        /* VMLAT_REC_*. */
    __u16 cpu;                          /* At the last mark. */
    __u16 segments;                     /* Of GSO; 1 otherwise. */
    __u16 vring;                        /* VM_RX: buffers in the vring that
                                         * the guest has made available and
                                         * the host has not used, at TAKEN;
                                         * VMLAT_VRING_UNKNOWN. */
#define VMLAT_VRING_UNKNOWN 0xffff
    __u16 tap_ring;                     /* VM_RX: packets in the tap's ring
                                         * before this one. */
    __u32 marks[VMLAT_RECORD_MARKS];    /* Time since 'time_ns'; */
#define VMLAT_MARK_NONE 0xffffffffu     /* did not pass it. */
};
_Static_assert(sizeof(struct vmlat_record) == 112, "ABI");

#endif /* vmlat-record-abi.h */
