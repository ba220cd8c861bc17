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

/* Which conversation, and where each record of it belongs to. */

#include <config.h>
#include "ovs-vmlat-slots.h"

#include <inttypes.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "openvswitch/hmap.h"
#include "packets.h"
#include "random.h"
#include "util.h"

/* Conversations that are told apart when the one to show is looked for. */
#define MAX_CONVERSATIONS 65536

/* No machine has been up for 36 years, and no packet takes 13 days.  With
 * that, sums of times fit into 63 bits. */
#define MAX_TIME (UINT64_C(1) << 60)
#define MAX_SHIFT 18

const struct match_slot_class match_slots[N_SLOTS] = {
#define MATCH_SLOT(ID, PART, KIND, FROM_VM)                                   \
    { #ID, JOIN_##PART, VMLAT_REC_##KIND, FROM_VM },
    MATCH_SLOTS
#undef MATCH_SLOT
};

struct identity
identify(const struct vmlat_record *r)
{
    struct identity id = {
        { (uint64_t) r->sport << 48 | (uint64_t) r->dport << 32 | r->seq }
    };

    if (!is_icmp(r->proto)) {
        id.words[1] = (uint64_t) r->ack << 32 | r->payload;
        id.words[2] = r->ip_id << 8 | (r->proto == IPPROTO_TCP ? r->l4_type
                                       : 0);
    }
    return id;
}

/* Secret, so that nobody can make packets that all have one hash. */
static uint64_t
hash_identity(const struct identity *id, uint64_t seed)
{
    uint64_t hash = seed;

    for (size_t i = 0; i < ARRAY_SIZE(id->words); i++) {
        hash = (hash ^ id->words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return hash * UINT64_C(0xd6e8feb86659fd93);
}

/* Says which way a record of a datapath goes by the ports' roles. */
static enum vmlat_record_port_role
port_role(const struct vmlat_record_file *f, uint16_t id)
{
    return id < f->n_names && f->names[id] ? f->names[id]->role : 0;
}

static bool
role_is_end(enum vmlat_record_port_role role)
{
    return role == VMLAT_RECORD_PORT_VM || role == VMLAT_RECORD_PORT_HOST;
}

/* Sets '*from_vm'.  Returns false if 'r' goes another way than between an end
 * and the network. */
static bool
path_direction(const struct vmlat_record_file *f,
               const struct vmlat_record *r, bool *from_vm)
{
    enum vmlat_record_port_role in = port_role(f, r->in);
    enum vmlat_record_port_role out = port_role(f, r->out);

    *from_vm = role_is_end(in);
    return (role_is_end(in) ? out == VMLAT_RECORD_PORT_WIRE
            : in == VMLAT_RECORD_PORT_WIRE && role_is_end(out));
}

/* Returns true if 'r' is of a packet that asks for something: only of those
 * it is clear who began. */
static bool
is_request(const struct vmlat_record *r)
{
    return (r->proto == IPPROTO_ICMP ? r->l4_type == ICMP_ECHO
            : r->proto == IPPROTO_ICMPV6 ? r->l4_type == ICMP6_ECHO_REQUEST
            : r->proto == IPPROTO_TCP ? r->payload > 0
            : r->proto == IPPROTO_UDP);
}

static bool
is_echo_reply(const struct vmlat_record *r)
{
    return (r->proto == IPPROTO_ICMP ? r->l4_type == ICMP_ECHOREPLY
            : r->proto == IPPROTO_ICMPV6 && r->l4_type == ICMP6_ECHO_REPLY);
}

/* The conversation. */

struct candidate {
    struct hmap_node node;
    struct conversation c;
    uint64_t n;
};

/* What was asked for. */
struct wish {
    bool src, dst, proto;
    struct conversation c;      /* 'proto' is ICMP for both kinds of it. */
};

static char *
parse_address(const char *option, const char *s, struct in6_addr *address)
{
    ovs_be32 ip;

    if (ip_parse(s, &ip)) {
        in6_addr_set_mapped_ipv4(address, ip);
        return NULL;
    }
    return (ipv6_parse(s, address) ? NULL
            : xasprintf("--%s: \"%s\" is not an IP address", option, s));
}

static char *
parse_wish(const struct ovs_vmlat_options *o, struct wish *wish)
{
    static const struct {
        const char *name;
        uint8_t proto;
    } protos[] = {
        { "icmp", IPPROTO_ICMP },
        { "tcp", IPPROTO_TCP },
        { "udp", IPPROTO_UDP },
    };
    char *error = NULL;

    memset(wish, 0, sizeof *wish);
    if (o->src) {
        wish->src = true;
        error = parse_address("src", o->src, &wish->c.src);
    }
    if (!error && o->dst) {
        wish->dst = true;
        error = parse_address("dst", o->dst, &wish->c.dst);
    }
    if (!error && o->proto) {
        for (size_t i = 0; i < ARRAY_SIZE(protos); i++) {
            if (!strcmp(o->proto, protos[i].name)) {
                wish->proto = true;
                wish->c.proto = protos[i].proto;
            }
        }
        if (!wish->proto) {
            error = xasprintf("--proto: \"%s\" is not icmp, tcp or udp",
                              o->proto);
        }
    }
    return error;
}

static bool
fits_wish(const struct wish *wish, const struct vmlat_record *r)
{
    return ((!wish->src || !memcmp(&wish->c.src, r->src, sizeof r->src))
            && (!wish->dst || !memcmp(&wish->c.dst, r->dst, sizeof r->dst))
            && (!wish->proto || wish->c.proto == r->proto
                || (is_icmp(wish->c.proto) && is_icmp(r->proto))));
}

static void
count_candidate(struct hmap *candidates, const struct vmlat_record *r,
                uint32_t basis)
{
    uint32_t hash = hash_bytes(r->src, sizeof r->src,
                               hash_bytes(r->dst, sizeof r->dst, basis));
    struct candidate *candidate;

    HMAP_FOR_EACH_WITH_HASH (candidate, node, hash, candidates) {
        if (candidate->c.proto == r->proto
            && !memcmp(&candidate->c.src, r->src, sizeof r->src)
            && !memcmp(&candidate->c.dst, r->dst, sizeof r->dst)) {
            candidate->n++;
            return;
        }
    }
    if (hmap_count(candidates) < MAX_CONVERSATIONS) {
        candidate = xzalloc(sizeof *candidate);
        memcpy(&candidate->c.src, r->src, sizeof r->src);
        memcpy(&candidate->c.dst, r->dst, sizeof r->dst);
        candidate->c.proto = r->proto;
        candidate->n = 1;
        hmap_insert(candidates, &candidate->node, hash);
    }
}

/* Returns true if 'r', of 'f', tells of a VM that sends (or, unless
 * 'from_vm', receives). */
static bool
record_is_of_vm(const struct vmlat_record_file *f,
                const struct vmlat_record *r, bool from_vm)
{
    bool path_from_vm;

    switch (r->kind) {
    case VMLAT_REC_PATH:
        return path_direction(f, r, &path_from_vm) && path_from_vm == from_vm;
    case VMLAT_REC_VM_TX:
    case VMLAT_REC_GUEST_OUT:
        return from_vm;
    case VMLAT_REC_VM_RX:
    case VMLAT_REC_GUEST_IN:
        return !from_vm;
    default:
        return false;
    }
}

char *
choose_conversation(struct matching *m,
                    const struct ovs_vmlat_options *options)
{
    static const struct {
        enum join_part part;
        bool from_vm;
    } sources[] = {
        { JOIN_SENDER_HOST, true },
        { JOIN_SENDER_GUEST, true },
        { JOIN_RECEIVER_HOST, false },
        { JOIN_RECEIVER_GUEST, false },
    };
    struct candidate *candidate, *best = NULL;
    const struct vmlat_record_file *f;
    uint64_t n_wrong_way = 0;
    uint32_t basis = random_uint32();
    struct hmap candidates;
    struct wish wish;
    char *error;
    size_t s;

    error = parse_wish(options, &wish);
    if (error) {
        return error;
    }
    for (s = 0; !m->files[sources[s].part]; s++) {
        continue;
    }
    f = m->files[sources[s].part];

    hmap_init(&candidates);
    for (size_t i = 0; i < f->n_runs; i++) {
        for (size_t j = 0; j < f->runs[i].n; j++) {
            const struct vmlat_record *r = &f->runs[i].records[j];

            if (is_request(r) && fits_wish(&wish, r)
                && vmlat_record_is_sane(r)) {
                if (record_is_of_vm(f, r, sources[s].from_vm)) {
                    count_candidate(&candidates, r, basis);
                } else if (record_is_of_vm(f, r, !sources[s].from_vm)) {
                    n_wrong_way++;
                }
            }
        }
    }

    HMAP_FOR_EACH (candidate, node, &candidates) {
        if (!best || candidate->n > best->n
            || (candidate->n == best->n
                && memcmp(&candidate->c, &best->c, sizeof best->c) < 0)) {
            best = candidate;
        }
    }
    if (best) {
        m->c = best->c;
        m->n_other_conversations = hmap_count(&candidates) - 1;
    } else if (n_wrong_way) {
        error = xasprintf("%s: no request %s the VM, but %"PRIu64" the other "
                          "way: are the sender's and the receiver's files in "
                          "the right order?", f->name,
                          sources[s].from_vm ? "from" : "to", n_wrong_way);
    } else {
        error = xasprintf("%s: no request (ICMP echo, TCP data or UDP) %s%s",
                          f->name,
                          (f->source->role == VMLAT_RECORD_GUEST
                           ? "of the guest"
                           : sources[s].from_vm
                           ? "from a VM to the network"
                           : "from the network to a VM"),
                          (wish.src || wish.dst || wish.proto
                           ? " that fits --src, --dst and --proto" : ""));
    }
    HMAP_FOR_EACH_POP (candidate, node, &candidates) {
        free(candidate);
    }
    hmap_destroy(&candidates);
    return error;
}

/* Sorting records into slots. */

/* Returns REQUESTS or REPLIES, or -1 if 'r' is not of the conversation. */
static int
record_direction(const struct matching *m, const struct vmlat_record *r)
{
    int direction;

    if (r->proto != m->c.proto) {
        return -1;
    } else if (!memcmp(&m->c.src, r->src, sizeof r->src)
               && !memcmp(&m->c.dst, r->dst, sizeof r->dst)) {
        direction = REQUESTS;
    } else if (!memcmp(&m->c.src, r->dst, sizeof r->dst)
               && !memcmp(&m->c.dst, r->src, sizeof r->src)) {
        direction = REPLIES;
    } else {
        return -1;
    }
    if (is_icmp(r->proto)
        && !(direction == REQUESTS ? is_request(r) : is_echo_reply(r))) {
        return -1;
    }
    return direction;
}

/* Returns the slot of 'r', which is of the file of 'part', or N_SLOTS, with
 * '*fate' set, if it has none. */
static enum match_slot
record_slot(const struct matching *m, enum join_part part,
            const struct vmlat_record *r, enum record_fate *fate)
{
    const struct vmlat_record_file *f = m->files[part];
    bool from_vm;
    int direction;

    if (!vmlat_record_is_sane(r) || r->time_ns >= MAX_TIME
        || r->shift > MAX_SHIFT) {
        *fate = RECORD_INSANE;
        return N_SLOTS;
    }
    direction = record_direction(m, r);
    if (direction < 0) {
        *fate = RECORD_OTHER;
        return N_SLOTS;
    }
    if (r->flags & VMLAT_REC_COPY) {
        *fate = RECORD_COPY;
        return N_SLOTS;
    }
    if (r->flags & VMLAT_REC_FRAGMENT) {
        *fate = RECORD_FRAGMENT;
        return N_SLOTS;
    }
    switch (r->kind) {
    case VMLAT_REC_PATH:
        if (r->marks[VMLAT_MARK_PATH_RX] == VMLAT_MARK_NONE
            || r->marks[VMLAT_MARK_PATH_TX] == VMLAT_MARK_NONE) {
            *fate = RECORD_NOT_SENT;
            return N_SLOTS;
        }
        if (!path_direction(f, r, &from_vm)) {
            *fate = RECORD_ELSEWHERE;
            return N_SLOTS;
        }
        break;
    case VMLAT_REC_VM_TX:
    case VMLAT_REC_GUEST_OUT:
        from_vm = true;
        break;
    default:
        from_vm = false;
        break;
    }
    for (int i = 0; i < WAY_SLOTS; i++) {
        enum match_slot slot = direction * WAY_SLOTS + i;

        if (match_slots[slot].part == part
            && match_slots[slot].kind == r->kind) {
            if (match_slots[slot].from_vm == from_vm) {
                return slot;
            }
        }
    }
    *fate = ((f->source->role == VMLAT_RECORD_GUEST)
             == (r->kind == VMLAT_REC_GUEST_OUT
                 || r->kind == VMLAT_REC_GUEST_IN)
             ? RECORD_OTHER_WAY : RECORD_KIND);
    return N_SLOTS;
}

static void
slot_add(struct matcher *mr, enum match_slot slot,
         const struct vmlat_record *r)
{
    struct matching *m = mr->m;
    struct slot *s = &mr->slots[slot];
    struct identity id = identify(r);
    uint64_t hash = hash_identity(&id, mr->seed);
    struct entry *e;

    if (s->n >= s->allocated) {
        s->entries = x2nrealloc(s->entries, &s->allocated,
                                sizeof *s->entries);
    }
    e = &s->entries[s->n++];
    e->hash[0] = hash >> 32;
    e->hash[1] = hash;
    e->record = ((const char *) r - m->base[match_slots[slot].part]) / 8 + 1;
    if (!m->first_ns[slot] || r->time_ns < m->first_ns[slot]) {
        m->first_ns[slot] = r->time_ns;
    }
    m->last_ns[slot] = MAX(m->last_ns[slot], r->time_ns);
}

static void
read_part(struct matcher *mr, enum join_part part)
{
    struct matching *m = mr->m;
    const struct vmlat_record_file *f = m->files[part];

    for (size_t i = 0; i < f->n_runs; i++) {
        for (size_t j = 0; j < f->runs[i].n; j++) {
            const struct vmlat_record *r = &f->runs[i].records[j];
            enum record_fate fate;
            enum match_slot slot = record_slot(m, part, r, &fate);

            if (slot < N_SLOTS) {
                slot_add(mr, slot, r);
            } else {
                m->fates[part][fate]++;
            }
        }
    }
}

static uint16_t
record_vm_port(const struct vmlat_record *r, enum match_slot slot)
{
    return match_slots[slot].from_vm ? r->in : r->out;
}

/* Counts the ports of the VM, and of the network, in 'slot'. */
static void
count_ports(struct matcher *mr, enum match_slot slot, uint32_t *vm,
            uint32_t *nic)
{
    const struct slot *s = &mr->slots[slot];

    for (size_t i = 0; i < s->n; i++) {
        const struct vmlat_record *r = entry_record(mr, slot,
                                                    &s->entries[i]);

        vm[record_vm_port(r, slot)]++;
        if (nic) {
            nic[match_slots[slot].from_vm ? r->out : r->in]++;
        }
    }
}

static uint16_t
most_frequent(const uint32_t *n)
{
    uint16_t best = 0;

    for (size_t i = 1; i <= UINT16_MAX; i++) {
        if (n[i] > n[best] || !best) {
            best = n[i] ? i : best;
        }
    }
    return best;
}

/* Takes out of 'slot' what does not go to one of the VM's ports.  A switch
 * that floods sends the packet itself to one port and copies to the others,
 * in any order, so the packet itself may well have gone elsewhere. */
static void
leave_out_other_ports(struct matcher *mr, enum match_slot slot,
                      const uint32_t *is_vm)
{
    struct slot *s = &mr->slots[slot];
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++) {
        const struct vmlat_record *r = entry_record(mr, slot,
                                                    &s->entries[i]);
        uint16_t port = record_vm_port(r, slot);

        if (!port || is_vm[port]) {
            s->entries[n++] = s->entries[i];
        } else {
            mr->m->fates[match_slots[slot].part][RECORD_PORT]++;
        }
    }
    s->n = n;
}

/* Finds the VM's ports: those that it sends from, or if it sends nothing the
 * one that most goes to. */
static void
find_ports(struct matcher *mr, bool sender)
{
    enum match_slot out = sender ? SLOT_B : SLOT_I;
    enum match_slot in = sender ? SLOT_K : SLOT_D;
    enum match_slot tx = sender ? SLOT_B1 : SLOT_I1;
    enum match_slot rx = sender ? SLOT_L : SLOT_E;
    size_t n = (size_t) UINT16_MAX + 1;
    uint32_t *vm = xcalloc(n, sizeof *vm);
    uint32_t *nic = xcalloc(n, sizeof *nic);
    struct matching *m = mr->m;

    count_ports(mr, out, vm, nic);
    if (!mr->slots[out].n) {
        count_ports(mr, tx, vm, NULL);
    }
    if (!mr->slots[out].n && !mr->slots[tx].n) {
        enum match_slot slot = mr->slots[in].n ? in : rx;
        uint16_t port;

        count_ports(mr, slot, vm, slot == in ? nic : NULL);
        port = most_frequent(vm);
        memset(vm, 0, n * sizeof *vm);
        vm[port] = 1;
    }
    m->vm_port[!sender] = most_frequent(vm);
    m->nic_port[!sender] = most_frequent(nic);
    leave_out_other_ports(mr, in, vm);
    leave_out_other_ports(mr, rx, vm);
    free(vm);
    free(nic);
}

static void
count_userspace(struct matcher *mr)
{
    static const enum match_slot slots[2][2] = {
        { SLOT_B, SLOT_K }, { SLOT_D, SLOT_I }
    };

    for (int host = 0; host < 2; host++) {
        for (int i = 0; i < 2; i++) {
            const struct slot *s = &mr->slots[slots[host][i]];

            /* A host's datapath is of one kind: the first one tells. */
            if (s->n && entry_record(mr, slots[host][i], s->entries)->flags
                        & VMLAT_REC_USERSPACE) {
                mr->m->n_userspace[host] += s->n;
            }
        }
    }
}

void
read_records(struct matcher *mr)
{
    for (int part = 0; part < JOIN_N_PARTS; part++) {
        if (mr->m->files[part]) {
            read_part(mr, part);
        }
    }
    find_ports(mr, true);
    find_ports(mr, false);
    count_userspace(mr);
}
