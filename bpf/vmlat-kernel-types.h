/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Copyright (c) 2026 The vmlat authors. */

#ifndef VMLAT_KERNEL_TYPES_H
#define VMLAT_KERNEL_TYPES_H 1

/* What the BPF programs know of the kernel: only the members that they read.
 *
 * The order and the offsets here mean nothing.  Types under
 * preserve_access_index are relocated by libbpf, by the names of the members,
 * against the BTF of the kernel that loads them.  Bit fields are left out on
 * purpose.  Headers that go over a wire are laid out as they are there, and
 * are not relocated.
 *
 * Nothing else of the kernel's is included: programs build on a machine
 * without kernel headers for the target "bpf". */

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;

typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;

typedef _Bool bool;
enum { false, true };

#define NULL ((void *) 0)

/* Types of maps, as in linux/bpf.h. */
enum {
    BPF_MAP_TYPE_HASH = 1,
    BPF_MAP_TYPE_ARRAY = 2,
    BPF_MAP_TYPE_PROG_ARRAY = 3,
    BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
    BPF_MAP_TYPE_PERCPU_HASH = 5,
    BPF_MAP_TYPE_PERCPU_ARRAY = 6,
    BPF_MAP_TYPE_STACK_TRACE = 7,
    BPF_MAP_TYPE_LRU_HASH = 9,
    BPF_MAP_TYPE_LRU_PERCPU_HASH = 10,
    BPF_MAP_TYPE_LPM_TRIE = 11,
    BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
    BPF_MAP_TYPE_HASH_OF_MAPS = 13,
    BPF_MAP_TYPE_RINGBUF = 27,
    BPF_MAP_TYPE_TASK_STORAGE = 29,
};

/* Flags of maps, helpers and the ring buffer, as in linux/bpf.h. */
enum {
    BPF_ANY = 0,
    BPF_NOEXIST = 1,
    BPF_EXIST = 2,
};
enum {
    BPF_F_NO_PREALLOC = 1u << 0,
    BPF_F_NO_COMMON_LRU = 1u << 1,
    BPF_F_RDONLY_PROG = 1u << 7,
    BPF_F_MMAPABLE = 1u << 10,
};
enum {
    BPF_F_SKIP_FIELD_MASK = 0xff,
    BPF_F_USER_STACK = 1u << 8,
    BPF_F_FAST_STACK_CMP = 1u << 9,
    BPF_F_REUSE_STACKID = 1u << 10,
};
enum {
    BPF_RB_NO_WAKEUP = 1u << 0,
    BPF_RB_FORCE_WAKEUP = 1u << 1,
};
enum {
    BPF_RB_AVAIL_DATA = 0,
    BPF_RB_RING_SIZE = 1,
};

/* EtherTypes and IP protocols, host byte order. */
#define VMLAT_ETH_P_IP    0x0800
#define VMLAT_ETH_P_ARP   0x0806
#define VMLAT_ETH_P_8021Q 0x8100
#define VMLAT_ETH_P_8021AD 0x88a8
#define VMLAT_ETH_P_IPV6  0x86dd

#define VMLAT_IPPROTO_HOPOPTS  0
#define VMLAT_IPPROTO_ICMP     1
#define VMLAT_IPPROTO_TCP      6
#define VMLAT_IPPROTO_UDP      17
#define VMLAT_IPPROTO_ROUTING  43
#define VMLAT_IPPROTO_FRAGMENT 44
#define VMLAT_IPPROTO_ICMPV6   58
#define VMLAT_IPPROTO_DSTOPTS  60
#define VMLAT_IPPROTO_SCTP     132

#define VMLAT_ICMP_ECHOREPLY 0
#define VMLAT_ICMP_ECHO      8
#define VMLAT_ICMPV6_ECHO_REQUEST 128
#define VMLAT_ICMPV6_ECHO_REPLY   129

#define VMLAT_IP_OFFSET 0x1fff          /* Of frag_off, host byte order. */
#define VMLAT_IP_MF     0x2000

#define VMLAT_IFF_LOOPBACK (1u << 3)    /* net_device.flags. */

#ifndef VMLAT_NO_CORE
#pragma clang attribute push (__attribute__((preserve_access_index)), \
                              apply_to = record)
#endif

/* Registers, as bpf_tracing.h looks for them. */
#if defined(__TARGET_ARCH_x86)
#define __VMLINUX_H__
struct pt_regs {
    unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
    unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
    __u64 regs[31];
    __u64 sp;
    __u64 pc;
    __u64 pstate;
};
#endif

struct ns_common {
    unsigned int inum;
};

struct net {
    struct ns_common ns;
};

typedef struct {
    struct net *net;
} possible_net_t;

struct net_device {
    char name[16];
    int ifindex;
    unsigned int flags;
    unsigned short type;
    unsigned int mtu;
    const unsigned char *dev_addr;
    possible_net_t nd_net;
};

struct sock_common {
    unsigned short skc_family;
    possible_net_t skc_net;
};

struct dst_entry {
    struct net_device *dev;
};

struct socket;

struct sock {
    struct sock_common __sk_common;
    struct socket *sk_socket;
};

struct sk_buff {
    struct sk_buff *next;
    struct net_device *dev;
    struct sock *sk;
    char cb[48];
    unsigned long _skb_refdst;          /* A dst_entry; low bits are flags. */
    unsigned long _nfct;
    unsigned int len;
    unsigned int data_len;
    __u16 mac_len;
    __u16 queue_mapping;
    __u32 hash;
    __u32 mark;
    __u32 priority;
    int skb_iif;
    __be16 vlan_proto;
    __u16 vlan_tci;
    __be16 protocol;
    __u16 transport_header;
    __u16 network_header;
    __u16 mac_header;
    __u16 inner_transport_header;
    __u16 inner_network_header;
    __u16 inner_mac_header;
    unsigned int tail;                  /* sk_buff_data_t, an offset. */
    unsigned int end;
    unsigned char *head;
    unsigned char *data;
    unsigned int truesize;
};

struct skb_shared_info {
    __u8 nr_frags;
    unsigned short gso_size;
    unsigned short gso_segs;
    struct sk_buff *frag_list;
    unsigned int gso_type;
};

struct netdev_queue {
    struct net_device *dev;
};

/* Netlink. */

struct nlattr {
    __u16 nla_len;
    __u16 nla_type;
};

struct nlmsghdr {
    __u32 nlmsg_len;
    __u16 nlmsg_type;
    __u16 nlmsg_flags;
    __u32 nlmsg_seq;
    __u32 nlmsg_pid;
};

struct genlmsghdr {
    __u8 cmd;
    __u8 version;
    __u16 reserved;
};

struct genl_info {
    __u32 snd_seq;
    __u32 snd_portid;
    const struct nlmsghdr *nlhdr;
    struct genlmsghdr *genlhdr;
    struct nlattr **attrs;
    possible_net_t _net;
};

/* Open vSwitch, in the module's own BTF. */

struct vport {
    struct net_device *dev;
    __u16 port_no;
};

struct dp_upcall_info {
    __u32 portid;
    __u8 cmd;
    __u16 mru;
};

/* Taps. */

struct msghdr {
    void *msg_control;
};

struct tun_msg_ctl {
    unsigned short type;
    unsigned short num;
};

/* vhost, in the modules' own BTF. */

struct list_head {
    struct list_head *next;
};

struct wait_queue_head {
    struct list_head head;
};

struct wait_queue_entry {
    void *func;
    struct list_head entry;
};

struct eventfd_ctx {
    struct wait_queue_head wqh;
};

struct file {
    void *private_data;
};

struct vhost_work {
    void *fn;
};

struct vhost_poll {
    struct wait_queue_entry wait;
    struct vhost_work work;
};

struct vhost_vring_call {
    struct eventfd_ctx *ctx;
};

struct vhost_iotlb;

struct vhost_virtqueue;

struct vhost_dev {
    struct vhost_virtqueue **vqs;
};

struct vhost_virtqueue {
    struct vhost_dev *dev;
    unsigned int num;
    void *avail;                        /* In the VM's process. */
    struct vhost_vring_call call_ctx;
    struct vhost_poll poll;
    __u16 last_avail_idx;
    __u16 last_used_idx;
    struct vhost_iotlb *iotlb;
};

struct vhost_net_virtqueue {
    struct vhost_virtqueue vq;
    int done_idx;
};

struct vhost_net {
    struct vhost_net_virtqueue vqs[2];
};

/* KVM, in the module's own BTF. */

struct work_struct {
    void *func;
};

struct kvm_kernel_irqfd {
    struct wait_queue_entry wait;
    struct work_struct inject;
};

struct kvm_vcpu {
    int mode;
    bool preempted;
};

struct kvm_lapic {
    struct kvm_vcpu *vcpu;
    bool apicv_active;
};

/* Tasks. */

struct task_struct {
    int pid;
    int tgid;
    unsigned int flags;
    char comm[16];
};

#ifndef VMLAT_NO_CORE
#pragma clang attribute pop
#endif

/* On the wire. */

struct ethhdr {
    __u8 h_dest[6];
    __u8 h_source[6];
    __be16 h_proto;
};

struct vlan_hdr {
    __be16 h_vlan_TCI;
    __be16 h_vlan_encapsulated_proto;
};

struct iphdr {
    __u8 ihl_version;                   /* Version in the upper 4 bits. */
    __u8 tos;
    __be16 tot_len;
    __be16 id;
    __be16 frag_off;
    __u8 ttl;
    __u8 protocol;
    __sum16 check;
    __be32 saddr;
    __be32 daddr;
};

struct ipv6hdr {
    __be32 vtc_flow;                    /* Version in the upper 4 bits. */
    __be16 payload_len;
    __u8 nexthdr;
    __u8 hop_limit;
    __be32 saddr[4];
    __be32 daddr[4];
};

/* Hop-by-hop options, routing and destination options. */
struct ipv6_opt_hdr {
    __u8 nexthdr;
    __u8 hdrlen;                        /* In 8 bytes, beyond the first 8. */
};

struct ipv6_frag_hdr {
    __u8 nexthdr;
    __u8 reserved;
    __be16 frag_off;
    __be32 identification;
};

struct icmphdr {
    __u8 type;
    __u8 code;
    __sum16 checksum;
    __be16 id;                          /* Of an echo. */
    __be16 sequence;
};

struct tcphdr {
    __be16 source;
    __be16 dest;
    __be32 seq;
    __be32 ack_seq;
    __u8 doff;                          /* In 4 bytes, upper 4 bits. */
    __u8 flags;
    __be16 window;
    __sum16 check;
    __be16 urg_ptr;
};

struct udphdr {
    __be16 source;
    __be16 dest;
    __be16 len;
    __sum16 check;
};

#endif /* vmlat-kernel-types.h */
