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

/* Finds out what way the packets of each VM went.
 *
 * The datapath says from which port to which packets went, the kernel what
 * became of those that entered or left it by an internal port, by the VM's MAC
 * address.  Both are put together by that address.  Where an address is not
 * the VM's alone, because the datapath's flows do not match on it or because
 * another VM uses it too, a VM is only said to have sent what must be its own:
 * what is more than all others together can have sent.  The rest is unknown.
 */

#include <config.h>
#include "vmlat-bypass-judge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/hmap.h"
#include "openvswitch/shash.h"
#include "packets.h"
#include "util.h"

/* Guests can cause any number of notes. */
#define MAX_NOTES 32

/* Who sends to or takes from an internal port: a port of the datapath. */
struct party {
    const char *name;
    const struct vmlat_bypass_port *port;       /* NULL if OVS has none. */
    enum vmlat_bypass_port_kind kind;
    struct vm *vm;              /* NULL if it is no VM's. */
    uint64_t packets;           /* In and out. */

    /* Of an internal port. */
    uint32_t ifindex;           /* 0 if it is not in this namespace. */
    const struct vmlat_bypass_link **links;     /* See find_stack(). */
    size_t n_links;
};

/* What the datapath counted of a party with an internal port. */
struct claim {
    struct hmap_node node;      /* In 'claims' of struct judge. */
    struct party *party;
    enum vmlat_bypass_direction direction;
    struct party *internal;     /* NULL if flooded: any of them. */
    bool has_mac;
    struct eth_addr mac;
    uint64_t packets, bytes;
    uint64_t left;              /* Packets whose end is not known. */
};

/* What the kernel counted under one MAC address. */
struct group {
    struct vmlat_bypass_way_key key;    /* 'other' and 'end' are 0. */
    const struct vmlat_bypass_kernel_way **ways;
    size_t n;
    uint64_t packets;
    struct party *owner;        /* The only one, or NULL. */
};

/* A VM port. */
struct vm {
    struct vmlat_bypass_case c;
    struct shash ways;          /* Contains "struct way"s. */
    size_t allocated_detours, allocated_outsides, allocated_rows;
    uint64_t flooded;           /* Packets to one address, or maybe so, that
                                 * went to several ports. */
    uint64_t unclear;           /* Routed, but whether for this VM or another
                                 * is not known. */
};

struct way {
    struct vmlat_bypass_result_way result;
    uint64_t buckets[VMLAT_BYPASS_BUCKETS];
};

struct judge {
    const struct vmlat_bypass_facts *facts;
    struct vmlat_bypass_results *results;
    struct shash parties;       /* Contains "struct party"s. */
    struct hmap claims;         /* By direction, internal port and MAC. */
    struct hmap owners;         /* Contains "struct owner"s. */
    struct group *groups;       /* In order of their keys. */
    size_t n_groups;
    const struct vmlat_bypass_kernel_way **ways;
    struct vm **vms;
    size_t n_vms;
    size_t allocated_notes;
    size_t n_more_notes;        /* Beyond MAX_NOTES. */
};

/* Who has a MAC address. */
struct owner {
    struct hmap_node node;
    struct eth_addr mac;
    struct party *party;        /* NULL if several have. */
};

static const char *const verdict_names[] = {
#define VMLAT_BYPASS_VERDICT(ID, MEANING) #ID,
    VMLAT_BYPASS_VERDICTS
#undef VMLAT_BYPASS_VERDICT
};

static const char *const verdict_meanings[] = {
#define VMLAT_BYPASS_VERDICT(ID, MEANING) MEANING,
    VMLAT_BYPASS_VERDICTS
#undef VMLAT_BYPASS_VERDICT
};

static const char *const way_names[] = {
#define VMLAT_BYPASS_WAY(ID, NAME, MEANING) NAME,
    VMLAT_BYPASS_WAYS
#undef VMLAT_BYPASS_WAY
};

const char *
vmlat_bypass_verdict_name(enum vmlat_bypass_verdict verdict)
{
    return verdict_names[verdict];
}

const char *
vmlat_bypass_verdict_meaning(enum vmlat_bypass_verdict verdict)
{
    return verdict_meanings[verdict];
}

const char *
vmlat_bypass_way_name(enum vmlat_bypass_way_id way)
{
    return way_names[way];
}

const char *
vmlat_bypass_device_name(const struct vmlat_bypass_results *results,
                         uint32_t ifindex)
{
    for (size_t i = 0; i < results->n_names; i++) {
        if (results->names[i].ifindex == ifindex) {
            return results->names[i].name;
        }
    }
    return NULL;
}

/* Keeps the name of device 'ifindex'. */
static void
add_name(struct vmlat_bypass_results *results,
         const struct vmlat_bypass_host *host, uint32_t ifindex)
{
    const struct vmlat_bypass_link *link;

    if (vmlat_bypass_device_name(results, ifindex)) {
        return;
    }
    link = vmlat_bypass_link_find(host, ifindex);
    if (link) {
        struct vmlat_bypass_name *name;

        results->names = xrealloc(results->names, (results->n_names + 1)
                                                  * sizeof *results->names);
        name = &results->names[results->n_names++];
        name->ifindex = ifindex;
        ovs_strlcpy(name->name, link->name, sizeof name->name);
    }
}

static void OVS_PRINTF_FORMAT(2, 3)
add_note(struct judge *j, const char *format, ...)
{
    struct vmlat_bypass_results *results = j->results;
    va_list args;

    if (results->n_notes >= MAX_NOTES) {
        j->n_more_notes++;
        return;
    }
    if (results->n_notes >= j->allocated_notes) {
        results->notes = x2nrealloc(results->notes, &j->allocated_notes,
                                    sizeof *results->notes);
    }
    va_start(args, format);
    results->notes[results->n_notes++] = xvasprintf(format, args);
    va_end(args);
}

/* The host. */

/* Returns the ifindex of internal port 'port', 0 if it is not in this
 * namespace. */
static uint32_t
port_ifindex(const struct vmlat_bypass_facts *facts,
             const struct vmlat_bypass_port *port)
{
    const struct vmlat_bypass_link *link
        = vmlat_bypass_link_find_name(&facts->host, port->name);

    return link ? link->ifindex : facts->host.n_links ? 0 : port->ifindex;
}

/* Returns an array, which the caller frees, of the device 'ifindex' and those
 * that are stacked upon it: VLANs, a bridge that it is a port of, and so on.
 * Stores to '*n_links' how many. */
static const struct vmlat_bypass_link **
find_stack(const struct vmlat_bypass_host *host, uint32_t ifindex,
           size_t *n_links)
{
    const struct vmlat_bypass_link *bottom
        = vmlat_bypass_link_find(host, ifindex);
    const struct vmlat_bypass_link **links;
    size_t n = 0;

    *n_links = 0;
    if (!bottom) {
        return NULL;
    }
    links = xmalloc(host->n_links * sizeof *links);
    links[n++] = bottom;
    for (size_t done = 0; done < n; done++) {
        const struct vmlat_bypass_link *below = links[done];

        for (size_t i = 0; i < host->n_links; i++) {
            const struct vmlat_bypass_link *link = &host->links[i];
            size_t k;

            if (!(link->stacked && link->lower == below->ifindex)
                && link->ifindex != below->master) {
                continue;
            }
            for (k = 0; k < n && links[k] != link; k++) {
                continue;
            }
            if (k == n) {
                links[n++] = link;
            }
        }
    }
    *n_links = n;
    return links;
}

/* Parties. */

static struct party *
get_party(struct judge *j, const char *name)
{
    struct party *party = shash_find_data(&j->parties, name);

    if (!party) {
        /* Not a port of OVS: a device that tunnels share, or the datapath's
         * own tap. */
        const struct vmlat_bypass_link *link
            = vmlat_bypass_link_find_name(&j->facts->host, name);

        party = xzalloc(sizeof *party);
        party->kind = VMLAT_BYPASS_PORT_NIC;
        if (link && !strcmp(link->kind, "tun")) {
            party->kind = VMLAT_BYPASS_PORT_INTERNAL;
            party->ifindex = link->ifindex;
            party->links = find_stack(&j->facts->host, party->ifindex,
                                      &party->n_links);
        }
        party->name = shash_add(&j->parties, name, party)->name;
    }
    return party;
}

static void
add_parties(struct judge *j)
{
    for (size_t i = 0; i < j->facts->ovs.n_ports; i++) {
        const struct vmlat_bypass_port *port = &j->facts->ovs.ports[i];
        struct party *party;

        if (shash_find(&j->parties, port->name)) {
            continue;
        }
        party = xzalloc(sizeof *party);
        party->name = shash_add(&j->parties, port->name, party)->name;
        party->port = port;
        party->kind = port->kind;
        if (port->kind == VMLAT_BYPASS_PORT_INTERNAL) {
            party->ifindex = port_ifindex(j->facts, port);
            party->links = find_stack(&j->facts->host, party->ifindex,
                                      &party->n_links);
        } else if (port->kind == VMLAT_BYPASS_PORT_VM
                   && (port->userspace || port->vhost)) {
            struct vm *vm = xzalloc(sizeof *vm);

            vm->c.facts = j->facts;
            vm->c.port = port;
            shash_init(&vm->ways);
            party->vm = vm;
            j->vms = xrealloc(j->vms, (j->n_vms + 1) * sizeof *j->vms);
            j->vms[j->n_vms++] = vm;
        }
    }
}

/* Returns true if 'ifindex' is an internal port, or stacked upon one. */
static bool
is_internal(const struct judge *j, uint32_t ifindex)
{
    struct shash_node *node;

    SHASH_FOR_EACH (node, &j->parties) {
        const struct party *party = node->data;

        for (size_t i = 0; i < party->n_links; i++) {
            if (party->links[i]->ifindex == ifindex) {
                return true;
            }
        }
    }
    return false;
}

static struct party *
find_internal(const struct judge *j, uint32_t ifindex)
{
    struct shash_node *node;

    SHASH_FOR_EACH (node, &j->parties) {
        struct party *party = node->data;

        if (party->kind == VMLAT_BYPASS_PORT_INTERNAL
            && ifindex && party->ifindex == ifindex) {
            return party;
        }
    }
    return NULL;
}

/* Ways of a VM. */

static struct vmlat_bypass_detour *
get_detour(struct vm *vm, const struct party *internal)
{
    struct vmlat_bypass_detour *detour;

    for (size_t i = 0; i < vm->c.n_detours; i++) {
        if (vm->c.detours[i].name == internal->name) {
            return &vm->c.detours[i];
        }
    }
    if (vm->c.n_detours >= vm->allocated_detours) {
        vm->c.detours = x2nrealloc(vm->c.detours, &vm->allocated_detours,
                                   sizeof *vm->c.detours);
    }
    detour = &vm->c.detours[vm->c.n_detours++];
    memset(detour, 0, sizeof *detour);
    detour->name = internal->name;
    detour->ifindex = internal->ifindex;
    detour->links = internal->links;
    detour->n_links = internal->n_links;
    return detour;
}

static struct vmlat_bypass_outside *
get_outside(struct judge *j, struct vm *vm, uint32_t ifindex)
{
    struct vmlat_bypass_outside *outside;

    for (size_t i = 0; i < vm->c.n_outsides; i++) {
        if (vm->c.outsides[i].ifindex == ifindex) {
            return &vm->c.outsides[i];
        }
    }
    if (vm->c.n_outsides >= vm->allocated_outsides) {
        vm->c.outsides = x2nrealloc(vm->c.outsides, &vm->allocated_outsides,
                                    sizeof *vm->c.outsides);
    }
    outside = &vm->c.outsides[vm->c.n_outsides++];
    memset(outside, 0, sizeof *outside);
    outside->ifindex = ifindex;
    outside->link = vmlat_bypass_link_find(&j->facts->host, ifindex);
    outside->name = outside->link ? outside->link->name : "?";
    outside->internal = is_internal(j, ifindex);
    return outside;
}

static struct way *
add_way(struct judge *j, struct vm *vm, enum vmlat_bypass_direction direction,
        enum vmlat_bypass_way_id id, const char *through, uint32_t device,
        uint64_t packets, uint64_t bytes)
{
    char *key = xasprintf("%d %d %"PRIu32" %s", direction, id, device,
                          through);
    struct way *way = shash_find_data(&vm->ways, key);

    if (!way) {
        const struct vmlat_bypass_link *link
            = vmlat_bypass_link_find(&j->facts->host, device);

        way = xzalloc(sizeof *way);
        way->result.direction = direction;
        way->result.way = id;
        way->result.through = xstrdup(through);
        way->result.device = (link ? xstrdup(link->name)
                              : device ? xasprintf("ifindex %"PRIu32, device)
                              : xstrdup(""));
        shash_add_nocopy(&vm->ways, key, way);
    } else {
        free(key);
    }
    way->result.packets += packets;
    way->result.bytes += bytes;
    vm->c.packets[direction][id] += packets;
    return way;
}

/* Notes that 'packets' of 'way', as the kernel counted, are those of 'vm'.
 * 'whole' if all of 'way' is.  Returns how many of them are accounted for. */
static uint64_t
give(struct judge *j, struct vm *vm, const struct party *internal,
     const struct vmlat_bypass_kernel_way *kernel, uint64_t packets,
     bool whole)
{
    enum vmlat_bypass_direction direction = kernel->key.direction;
    const struct vmlat_bypass_way *count = &kernel->count;
    enum vmlat_bypass_way_id id;
    uint32_t device = 0;
    uint64_t bytes;
    struct way *way;

    switch ((enum vmlat_bypass_end) kernel->key.end) {
    case VMLAT_BYPASS_END_ROUTED:
        id = VMLAT_BYPASS_WAY_KERNEL;
        device = kernel->key.other;
        break;
    case VMLAT_BYPASS_END_LOCAL:
    case VMLAT_BYPASS_END_NOT_IP:
        id = VMLAT_BYPASS_WAY_HOST;
        break;
    case VMLAT_BYPASS_END_DROPPED:
        id = VMLAT_BYPASS_WAY_KERNEL_DROPPED;
        break;
    case VMLAT_BYPASS_END_NOT_OURS:
        id = VMLAT_BYPASS_WAY_FLOODED;
        break;
    case VMLAT_BYPASS_END_CONSUMED:
    case VMLAT_BYPASS_END_UNSEEN:
    case VMLAT_BYPASS_N_ENDS:
    default:
        return 0;
    }
    if (!packets) {
        return 0;
    }
    bytes = (packets == count->packets ? count->bytes
             : (double) count->bytes * packets / count->packets);
    way = add_way(j, vm, direction, id,
                  id == VMLAT_BYPASS_WAY_FLOODED ? "" : internal->name,
                  device, packets, bytes);
    if (id == VMLAT_BYPASS_WAY_KERNEL) {
        get_detour(vm, internal)->routed[direction] += packets;
        if (device) {
            get_outside(j, vm, device)->packets[direction] += packets;
        }
        if (whole) {
            way->result.timed += count->timed;
            way->result.max_ns = MAX(way->result.max_ns, count->max_ns);
            for (size_t i = 0; i < VMLAT_BYPASS_BUCKETS; i++) {
                way->buckets[i] += count->buckets[i];
            }
        }
    } else if (id == VMLAT_BYPASS_WAY_HOST) {
        get_detour(vm, internal)->host[direction] += packets;
    }
    return packets;
}

/* What the datapath says. */

static uint32_t
hash_claim(enum vmlat_bypass_direction direction, const struct eth_addr *mac)
{
    return hash_mac(*mac, direction, 0);
}

static void
add_claim(struct judge *j, struct party *party,
          enum vmlat_bypass_direction direction, struct party *internal,
          bool has_mac, const struct eth_addr *mac, uint64_t packets,
          uint64_t bytes)
{
    static const struct eth_addr zero;
    struct claim *claim;
    uint32_t hash;

    mac = has_mac ? mac : &zero;
    hash = hash_claim(direction, mac);
    HMAP_FOR_EACH_WITH_HASH (claim, node, hash, &j->claims) {
        if (claim->party == party && claim->direction == direction
            && claim->internal == internal && claim->has_mac == has_mac
            && eth_addr_equals(claim->mac, *mac)) {
            goto found;
        }
    }
    claim = xzalloc(sizeof *claim);
    claim->party = party;
    claim->direction = direction;
    claim->internal = internal;
    claim->has_mac = has_mac;
    claim->mac = *mac;
    hmap_insert(&j->claims, &claim->node, hash);

found:
    claim->packets += packets;
    claim->bytes += bytes;
    claim->left += packets;
}

static struct owner *
find_owner(const struct judge *j, const struct eth_addr *mac)
{
    struct owner *owner;

    HMAP_FOR_EACH_WITH_HASH (owner, node, hash_mac(*mac, 0, 0), &j->owners) {
        if (eth_addr_equals(owner->mac, *mac)) {
            return owner;
        }
    }
    return NULL;
}

/* Notes that 'party' sent from 'mac'. */
static void
add_owner(struct judge *j, struct party *party, const struct eth_addr *mac)
{
    struct owner *owner = find_owner(j, mac);

    if (!owner) {
        owner = xzalloc(sizeof *owner);
        owner->mac = *mac;
        owner->party = party;
        hmap_insert(&j->owners, &owner->node, hash_mac(*mac, 0, 0));
    } else if (owner->party != party) {
        owner->party = NULL;
    }
}

static void
note_row(struct vm *vm, const struct vmlat_bypass_dp_row *row)
{
    if (vm->c.n_rows >= vm->allocated_rows) {
        vm->c.rows = x2nrealloc(vm->c.rows, &vm->allocated_rows,
                                sizeof *vm->c.rows);
    }
    vm->c.rows[vm->c.n_rows++] = row;
}

/* Notes the packets of 'row' that party 'self' sent to 'peer', or took from
 * it. */
static void
add_row_side(struct judge *j, struct party *self, struct party *peer,
             enum vmlat_bypass_direction direction,
             const struct vmlat_bypass_dp_row *row)
{
    bool from = direction == VMLAT_BYPASS_FROM_VM;

    self->packets += row->packets;
    if (peer->kind == VMLAT_BYPASS_PORT_INTERNAL) {
        add_claim(j, self, direction, peer, from ? row->has_src : row->has_dst,
                  from ? &row->src : &row->dst, row->packets, row->bytes);
    } else if (self->vm) {
        add_way(j, self->vm, direction,
                peer->kind == VMLAT_BYPASS_PORT_VM
                ? VMLAT_BYPASS_WAY_VM : VMLAT_BYPASS_WAY_NIC,
                peer->name, 0, row->packets, row->bytes);
    }
    if (self->vm) {
        note_row(self->vm, row);
    }
}

static void
add_row(struct judge *j, const struct vmlat_bypass_dp_row *row)
{
    struct party *in = get_party(j, row->in);

    if (row->has_src && in->kind != VMLAT_BYPASS_PORT_INTERNAL) {
        add_owner(j, in, &row->src);
    }
    if (row->flooded) {
        in->packets += row->packets;
        if (in->vm) {
            note_row(in->vm, row);
        }
        if (in->kind == VMLAT_BYPASS_PORT_INTERNAL) {
            return;
        } else if (row->has_dst && eth_addr_is_multicast(row->dst)) {
            if (in->vm) {
                add_way(j, in->vm, VMLAT_BYPASS_FROM_VM,
                        VMLAT_BYPASS_WAY_FLOODED, "", 0, row->packets,
                        row->bytes);
            }
        } else {
            /* The kernel may have taken it: its MAC address was forgotten. */
            add_claim(j, in, VMLAT_BYPASS_FROM_VM, NULL, row->has_src,
                      &row->src, row->packets, row->bytes);
            if (in->vm) {
                in->vm->flooded += row->packets;
            }
        }
    } else if (!row->out) {
        in->packets += row->packets;
        if (in->vm) {
            note_row(in->vm, row);
            add_way(j, in->vm, VMLAT_BYPASS_FROM_VM, VMLAT_BYPASS_WAY_DROPPED,
                    "", 0, row->packets, row->bytes);
        }
    } else {
        struct party *out = get_party(j, row->out);

        if (in->kind != VMLAT_BYPASS_PORT_INTERNAL) {
            add_row_side(j, in, out, VMLAT_BYPASS_FROM_VM, row);
        }
        if (out->kind != VMLAT_BYPASS_PORT_INTERNAL) {
            add_row_side(j, out, in, VMLAT_BYPASS_TO_VM, row);
        }
    }
}

/* What the kernel says. */

static int
compare_group_keys(const struct vmlat_bypass_way_key *a,
                   const struct vmlat_bypass_way_key *b)
{
    int cmp = memcmp(a->mac, b->mac, sizeof a->mac);

    return (a->internal != b->internal
            ? (a->internal < b->internal ? -1 : 1)
            : a->direction != b->direction
            ? (a->direction < b->direction ? -1 : 1)
            : cmp);
}

static int
compare_ways(const void *a_, const void *b_)
{
    const struct vmlat_bypass_kernel_way *const *a = a_;
    const struct vmlat_bypass_kernel_way *const *b = b_;
    int cmp = compare_group_keys(&(*a)->key, &(*b)->key);

    return cmp ? cmp : *a < *b ? -1 : *a > *b;
}

static int
compare_groups(const void *key, const void *group_)
{
    const struct group *group = group_;

    return compare_group_keys(key, &group->key);
}

static void
make_groups(struct judge *j)
{
    const struct vmlat_bypass_kernel *kernel = &j->facts->kernel;

    if (kernel->why_not || !kernel->n_ways) {
        return;
    }
    j->ways = xmalloc(kernel->n_ways * sizeof *j->ways);
    for (size_t i = 0; i < kernel->n_ways; i++) {
        j->ways[i] = &kernel->ways[i];
    }
    qsort(j->ways, kernel->n_ways, sizeof *j->ways, compare_ways);

    j->groups = xcalloc(kernel->n_ways, sizeof *j->groups);
    for (size_t i = 0; i < kernel->n_ways; i++) {
        const struct vmlat_bypass_way_key *key = &j->ways[i]->key;
        struct group *group = (j->n_groups ? &j->groups[j->n_groups - 1]
                               : NULL);

        if (!group || compare_group_keys(key, &group->key)) {
            group = &j->groups[j->n_groups++];
            group->key = *key;
            group->ways = &j->ways[i];
        }
        group->n++;
        group->packets += j->ways[i]->count.packets;
    }
}

/* Packets that others may have sent, of 'n' 'claims', if not 'party'. */
static uint64_t
sum_others(struct claim *const claims[], size_t n, const struct party *party)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += claims[i]->party != party ? claims[i]->left : 0;
    }
    return sum;
}

/* Takes 'packets' off what 'party' has left in 'claims', off those to an
 * internal port first. */
static void
take(struct claim *const claims[], size_t n, const struct party *party,
     uint64_t packets)
{
    for (int flooded = 0; flooded < 2; flooded++) {
        for (size_t i = 0; i < n; i++) {
            struct claim *claim = claims[i];

            if (claim->party == party
                && (claim->internal == NULL) == flooded) {
                uint64_t part = MIN(packets, claim->left);

                claim->left -= part;
                packets -= part;
            }
        }
    }
}

static uint64_t
left_of(struct claim *const claims[], size_t n, const struct party *party,
        bool flooded)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        if (claims[i]->party == party
            && (claims[i]->internal == NULL) == flooded) {
            sum += claims[i]->left;
        }
    }
    return sum;
}

static uint64_t
sum_groups(struct group *const groups[], size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += groups[i]->packets;
    }
    return sum;
}

/* Returns how many packets of 'groups' were routed. */
static uint64_t
sum_routed(struct group *const groups[], size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        for (size_t w = 0; w < groups[i]->n; w++) {
            const struct vmlat_bypass_kernel_way *way = groups[i]->ways[w];

            sum += (way->key.end == VMLAT_BYPASS_END_ROUTED
                    ? way->count.packets : 0);
        }
    }
    return sum;
}

/* Gives the parties behind 'claims' their packets of 'groups', one or several
 * with the same internal port and direction.  'extra' more may be from
 * somebody else.  A party gets at most what it has claimed if 'limit', or if
 * there are others. */
static void
settle(struct judge *j, struct group *const groups[], size_t n_groups,
       struct claim *const claims[], size_t n, uint64_t extra, bool limit)
{
    const struct party *internal = find_internal(j,
                                                 groups[0]->key.internal);
    uint64_t routed = sum_routed(groups, n_groups), given = 0;
    size_t n_parties = 0;
    uint64_t *taken = xcalloc(n, sizeof *taken);
    struct party **parties = xcalloc(n, sizeof *parties);
    uint64_t *others = xcalloc(n, sizeof *others);

    for (size_t i = 0; i < n; i++) {
        size_t k;

        for (k = 0; k < n_parties && parties[k] != claims[i]->party; k++) {
            continue;
        }
        if (k == n_parties) {
            parties[n_parties] = claims[i]->party;
            others[n_parties++] = sum_others(claims, n, claims[i]->party)
                                  + extra;
        }
    }

    for (size_t k = 0; k < n_parties; k++) {
        struct party *party = parties[k];
        uint64_t may = (limit || n_parties > 1
                        ? left_of(claims, n, party, false)
                          + left_of(claims, n, party, true)
                        : UINT64_MAX);
        uint64_t direct = left_of(claims, n, party, false);
        uint64_t sums[VMLAT_BYPASS_N_ENDS] = { 0 };

        /* The bound is one for all ways of a kind, then for each. */
        for (size_t g = 0; g < n_groups; g++) {
            for (size_t w = 0; w < groups[g]->n; w++) {
                const struct vmlat_bypass_kernel_way *way = groups[g]->ways[w];

                sums[way->key.end] += way->count.packets;
            }
        }
        for (size_t end = 0; end < VMLAT_BYPASS_N_ENDS; end++) {
            bool flood = end == VMLAT_BYPASS_END_NOT_OURS;
            uint64_t sure = (sums[end] > others[k] ? sums[end] - others[k]
                             : 0);
            uint64_t so_far = 0, done = 0;

            if (flood) {
                /* What the datapath flooded is counted already. */
                sure = MIN(sure, direct > taken[k] ? direct - taken[k] : 0);
            }
            sure = MIN(sure, may > taken[k] ? may - taken[k] : 0);
            for (size_t g = 0; sure && g < n_groups; g++) {
                for (size_t w = 0; w < groups[g]->n; w++) {
                    const struct vmlat_bypass_kernel_way *way
                        = groups[g]->ways[w];
                    uint64_t part;

                    if (way->key.end != end) {
                        continue;
                    }
                    /* In proportion, so that the sum is 'sure'. */
                    so_far += way->count.packets;
                    part = (sure == sums[end] ? so_far
                            : (uint64_t) ((double) sure * so_far / sums[end]))
                           - done;
                    done += part;
                    if (party->vm) {
                        give(j, party->vm, internal, way, part,
                             part == way->count.packets);
                    }
                    taken[k] += (end != VMLAT_BYPASS_END_CONSUMED
                                 && end != VMLAT_BYPASS_END_UNSEEN
                                 ? part : 0);
                    given += end == VMLAT_BYPASS_END_ROUTED ? part : 0;
                }
            }
        }
    }
    for (size_t k = 0; k < n_parties; k++) {
        take(claims, n, parties[k], taken[k]);
    }

    if (n_parties == 1 && extra * 20 <= sum_groups(groups, n_groups)) {
        for (size_t g = 0; g < n_groups; g++) {
            groups[g]->owner = parties[0];
        }
    } else if (n_parties > 1 && routed > given) {
        const struct vmlat_bypass_way_key *key = &groups[0]->key;

        for (size_t k = 0; k < n_parties; k++) {
            if (parties[k]->vm) {
                parties[k]->vm->unclear += routed - given;
            }
        }
        if (n_groups == 1 && !limit) {
            add_note(j, "%"PRIu64" packets routed by way of %s have the MAC "
                     "address "ETH_ADDR_FMT", which %"PRIuSIZE" ports use: "
                     "whose they are cannot be told, they are \"unknown\"",
                     routed - given, internal->name,
                     key->mac[0], key->mac[1], key->mac[2], key->mac[3],
                     key->mac[4], key->mac[5], n_parties);
        } else {
            add_note(j, "%"PRIu64" packets routed by way of %s are of %"
                     PRIuSIZE" ports: whose they are cannot be told, since "
                     "the datapath's flows do not match on MAC addresses, or "
                     "there were too many; they are \"unknown\"",
                     routed - given, internal->name, n_parties);
        }
    }
    free(taken);
    free(parties);
    free(others);
}

static bool
key_mac(const struct vmlat_bypass_way_key *key, struct eth_addr *mac)
{
    memcpy(mac, key->mac, sizeof *mac);
    return !eth_addr_is_zero(*mac);
}

/* Returns an array, which the caller frees, of the claims to packets that may
 * be in 'key': with its MAC address, or, if 'wild', with none known.  Stores
 * to '*n_claims' how many. */
static struct claim **
find_claims(const struct judge *j, const struct vmlat_bypass_way_key *key,
            bool wild, size_t *n_claims)
{
    struct eth_addr mac = eth_addr_zero;
    struct claim *claim;
    struct claim **claims = NULL;
    size_t n = 0, allocated = 0;

    if (!wild) {
        key_mac(key, &mac);
    }
    HMAP_FOR_EACH_WITH_HASH (claim, node, hash_claim(key->direction, &mac),
                             &j->claims) {
        if (claim->direction == key->direction && claim->has_mac == !wild
            && eth_addr_equals(claim->mac, mac)
            && (!claim->internal
                || claim->internal->ifindex == key->internal)) {
            if (n >= allocated) {
                claims = x2nrealloc(claims, &allocated, sizeof *claims);
            }
            claims[n++] = claim;
        }
    }
    *n_claims = n;
    return claims;
}

/* Returns the port that has 'mac', if no flow says who sends from it to an
 * internal port. */
static struct party *
guess_owner(struct judge *j, const struct eth_addr *mac)
{
    const struct owner *owner = find_owner(j, mac);
    struct party *found = NULL;

    if (owner) {
        return owner->party;
    }
    for (size_t i = 0; i < j->n_vms; i++) {
        const struct vmlat_bypass_port *port = j->vms[i]->c.port;

        if (port->has_vm_mac && eth_addr_equals(port->vm_mac, *mac)) {
            if (found) {
                return NULL;
            }
            found = get_party(j, port->name);
        }
    }
    return found;
}

/* Gives 'group' to those who are known to have its MAC address.  Returns false
 * if nobody is. */
static bool
settle_exact(struct judge *j, struct group *group)
{
    struct claim **claims, **wild;
    struct eth_addr mac;
    struct party *party;
    uint64_t sum = 0, extra = 0;
    size_t n, n_wild;

    if (!key_mac(&group->key, &mac)
        || !find_internal(j, group->key.internal)) {
        return false;
    } else if (eth_addr_is_multicast(mac)) {
        return true;
    }
    claims = find_claims(j, &group->key, false, &n);
    if (n) {
        /* If there are more packets than flows with this address have, they
         * may be of flows that do not tell. */
        wild = find_claims(j, &group->key, true, &n_wild);
        for (size_t i = 0; i < n; i++) {
            sum += claims[i]->left;
        }
        for (size_t i = 0; i < n_wild; i++) {
            extra += wild[i]->left;
        }
        extra = MIN(extra, group->packets > sum ? group->packets - sum : 0);
        settle(j, &group, 1, claims, n, extra, false);
        free(claims);
        free(wild);
        return true;
    }

    party = guess_owner(j, &mac);
    if (party) {
        struct claim claim = {
            .party = party,
            .direction = group->key.direction,
            .has_mac = true,
            .mac = mac,
        };
        struct claim *one = &claim;

        /* If it does have claims, without the address, these are them. */
        claims = find_claims(j, &group->key, true, &n);
        settle(j, &group, 1, &one, 1, 0, false);
        for (size_t i = 0; group->owner && i < n; i++) {
            if (claims[i]->party == party) {
                uint64_t known = 0;

                for (size_t w = 0; w < group->n; w++) {
                    unsigned int end = group->ways[w]->key.end;

                    known += (end != VMLAT_BYPASS_END_CONSUMED
                              && end != VMLAT_BYPASS_END_UNSEEN
                              && end != VMLAT_BYPASS_END_NOT_OURS
                              ? group->ways[w]->count.packets : 0);
                }
                take(claims, n, party, known);
                break;
            }
        }
        free(claims);
        return true;
    }
    return false;
}

/* Gives what several ports share, 'groups' of one internal port and direction,
 * to those with packets left. */
static void
settle_pool(struct judge *j, struct group *const groups[], size_t n_groups)
{
    const struct vmlat_bypass_dp *dp = &j->facts->dp;
    const struct vmlat_bypass_way_key *key = &groups[0]->key;
    struct claim **claims;
    struct eth_addr mac;
    uint64_t routed;
    size_t n, n_left = 0;

    routed = sum_routed(groups, n_groups);
    if (!find_internal(j, key->internal)) {
        if (routed) {
            add_note(j, "%"PRIu64" packets routed by way of internal ports "
                     "are not told apart by port: there were too many MAC "
                     "addresses, or the port has gone", routed);
        }
        return;
    }
    claims = find_claims(j, key, true, &n);
    for (size_t g = 0; g < n_groups; g++) {
        if (!key_mac(&groups[g]->key, &mac)) {
            /* These were too many for the kernel's table: any may be. */
            struct claim *claim;

            HMAP_FOR_EACH (claim, node, &j->claims) {
                if (claim->has_mac && claim->direction == key->direction
                    && claim->internal
                    && claim->internal->ifindex == key->internal) {
                    claims = xrealloc(claims, (n + 1) * sizeof *claims);
                    claims[n++] = claim;
                }
            }
            break;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (claims[i]->left) {
            claims[n_left++] = claims[i];
        }
    }
    if (n_left) {
        settle(j, groups, n_groups, claims, n_left, dp->left_out, true);
        free(claims);
        return;
    }
    free(claims);

    if (!dp->n && j->n_vms == 1) {
        struct claim claim = {
            .party = get_party(j, j->vms[0]->c.port->name),
            .direction = key->direction,
        };
        struct claim *one = &claim;

        settle(j, groups, n_groups, &one, 1, 0, false);
        return;
    }
    if (routed) {
        add_note(j, "%"PRIu64" packets routed by way of %s have MAC addresses "
                 "that no flow of the datapath tells the port of", routed,
                 find_internal(j, key->internal)->name);
    }
}

static void
settle_all(struct judge *j)
{
    struct group **pool = xcalloc(j->n_groups, sizeof *pool);
    size_t n = 0;

    for (size_t g = 0; g < j->n_groups; g++) {
        if (!settle_exact(j, &j->groups[g])) {
            pool[n++] = &j->groups[g];
        }
    }
    for (size_t g = 0, next; g < n; g = next) {
        for (next = g; next < n; next++) {
            if (pool[next]->key.internal != pool[g]->key.internal
                || pool[next]->key.direction != pool[g]->key.direction) {
                break;
            }
        }
        settle_pool(j, &pool[g], next - g);
    }
    free(pool);
}

/* What is left of claims has no end that is known. */
static void
settle_rest(struct judge *j)
{
    struct claim *claim;

    HMAP_FOR_EACH (claim, node, &j->claims) {
        struct vm *vm = claim->party->vm;
        uint64_t bytes;

        if (!vm || !claim->left) {
            continue;
        }
        bytes = (double) claim->bytes * claim->left / claim->packets;
        if (claim->internal) {
            add_way(j, vm, claim->direction, VMLAT_BYPASS_WAY_UNKNOWN,
                    claim->internal->name, 0, claim->left, bytes);
            get_detour(vm, claim->internal)->unknown[claim->direction]
                += claim->left;
        } else {
            add_way(j, vm, claim->direction, VMLAT_BYPASS_WAY_FLOODED, "", 0,
                    claim->left, bytes);
        }
    }
}

/* Results. */

static int
compare_result_ways(const void *a_, const void *b_)
{
    const struct vmlat_bypass_result_way *a = a_, *b = b_;
    int cmp;

    if (a->direction != b->direction) {
        return a->direction < b->direction ? -1 : 1;
    } else if (a->way != b->way) {
        return a->way < b->way ? -1 : 1;
    } else if (a->packets != b->packets) {
        return a->packets > b->packets ? -1 : 1;
    }
    cmp = strcmp(a->through, b->through);
    return cmp ? cmp : strcmp(a->device, b->device);
}

/* Returns the middle of the bucket with the median. */
static uint64_t
median(const struct way *way)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < VMLAT_BYPASS_BUCKETS; i++) {
        sum += way->buckets[i];
        if (sum && sum * 2 >= way->result.timed) {
            uint64_t middle = (UINT64_C(1) << i) + (UINT64_C(1) << i) / 2;

            return MIN(middle, way->result.max_ns);
        }
    }
    return 0;
}

static void
store_ways(struct vm *vm, struct vmlat_bypass_result *result)
{
    uint64_t totals[VMLAT_BYPASS_N_DIRECTIONS] = { 0 };
    struct shash_node *node;

    for (size_t d = 0; d < VMLAT_BYPASS_N_DIRECTIONS; d++) {
        for (size_t i = 0; i < VMLAT_BYPASS_N_WAYS; i++) {
            totals[d] += vm->c.packets[d][i];
        }
    }
    result->ways = xcalloc(shash_count(&vm->ways), sizeof *result->ways);
    SHASH_FOR_EACH (node, &vm->ways) {
        struct way *way = node->data;

        way->result.p50_ns = way->result.timed ? median(way) : 0;
        way->result.share = (totals[way->result.direction]
                             ? (double) way->result.packets
                               / totals[way->result.direction]
                             : 0);
        result->ways[result->n_ways++] = way->result;
    }
    shash_destroy_free_data(&vm->ways);
    shash_init(&vm->ways);
    qsort(result->ways, result->n_ways, sizeof *result->ways,
          compare_result_ways);
}

static void
store_flows(struct judge *j)
{
    const struct vmlat_bypass_kernel *kernel = &j->facts->kernel;

    for (size_t i = 0; i < kernel->n_flows; i++) {
        const struct vmlat_bypass_kernel_flow *flow = &kernel->flows[i];
        const struct group *group = bsearch(&flow->key.way, j->groups,
                                            j->n_groups, sizeof *j->groups,
                                            compare_groups);
        struct vm *vm = group && group->owner ? group->owner->vm : NULL;
        struct vmlat_bypass_result *result;

        if (vm && flow->count.packets) {
            result = CONST_CAST(struct vmlat_bypass_result *, vm->c.result);
            if (result->n_flows >= VMLAT_BYPASS_MAX_RESULT_FLOWS) {
                j->results->flows_left_out += flow->count.packets;
                continue;
            }

            /* Grows by doubling: a power of 2 is full. */
            if (!(result->n_flows & (result->n_flows - 1))) {
                result->flows = xrealloc(result->flows,
                                         MAX(1, 2 * result->n_flows)
                                         * sizeof *result->flows);
            }
            result->flows[result->n_flows++] = *flow;
            add_name(j->results, &j->facts->host, flow->key.way.internal);
            add_name(j->results, &j->facts->host, flow->key.way.other);
        }
    }
}

static uint64_t
both(const struct vmlat_bypass_case *c, enum vmlat_bypass_way_id way)
{
    return (c->packets[VMLAT_BYPASS_FROM_VM][way]
            + c->packets[VMLAT_BYPASS_TO_VM][way]);
}

/* Returns true if the kernel may well route what the VM gives to an internal
 * port, though no packet was seen to be routed: most of that was not seen in
 * the kernel at all, which has a way out for it. */
static bool
may_bypass(struct judge *j, struct vm *vm)
{
    bool may = false;

    for (size_t i = 0; i < vm->c.n_detours; i++) {
        struct vmlat_bypass_detour *detour = &vm->c.detours[i];
        uint64_t unknown = (detour->unknown[VMLAT_BYPASS_FROM_VM]
                            + detour->unknown[VMLAT_BYPASS_TO_VM]);
        uint64_t host = (detour->host[VMLAT_BYPASS_FROM_VM]
                         + detour->host[VMLAT_BYPASS_TO_VM]);

        if (unknown > host
            && vmlat_bypass_has_way_out(j->facts, detour)) {
            detour->suspected = true;
            may = true;
        }
    }
    return may;
}

static void
judge_vm(struct judge *j, struct vm *vm, struct vmlat_bypass_result *result)
{
    uint64_t kernel = both(&vm->c, VMLAT_BYPASS_WAY_KERNEL);
    uint64_t nic = both(&vm->c, VMLAT_BYPASS_WAY_NIC);
    uint64_t any = vm->flooded;

    for (size_t i = 0; i < VMLAT_BYPASS_N_WAYS; i++) {
        any += i != VMLAT_BYPASS_WAY_FLOODED ? both(&vm->c, i) : 0;
    }
    result->share_of = kernel + nic;
    result->share = (result->share_of
                     ? (double) kernel / result->share_of : -1);
    result->verdict = any ? VMLAT_BYPASS_CLEAN : VMLAT_BYPASS_IDLE;
    if (kernel) {
        if (kernel >= result->share_of * .95) {
            result->verdict = VMLAT_BYPASS_BYPASSED;
        } else if (kernel >= result->share_of * .01) {
            result->verdict = VMLAT_BYPASS_PARTLY;
        }
        for (size_t i = 0; i < vm->c.n_detours; i++) {
            struct vmlat_bypass_detour *detour = &vm->c.detours[i];

            detour->suspected = (detour->routed[VMLAT_BYPASS_FROM_VM]
                                 || detour->routed[VMLAT_BYPASS_TO_VM]);
        }
    }
    if (result->verdict < VMLAT_BYPASS_SUSPECT && vm->unclear) {
        result->verdict = VMLAT_BYPASS_SUSPECT;
        result->why = xstrdup("packets are routed that may be its own or "
                              "another VM's");
        for (size_t i = 0; i < vm->c.n_detours; i++) {
            vm->c.detours[i].suspected = true;
        }
    }
    if (result->verdict < VMLAT_BYPASS_SUSPECT && may_bypass(j, vm)) {
        result->verdict = VMLAT_BYPASS_SUSPECT;
        result->why = xstrdup(j->facts->kernel.why_not
                              ? "without BPF, what the kernel does with the "
                                "packets is not seen"
                              : "what the kernel does with most of the "
                                "packets was not seen");
    }
    if (result->verdict < VMLAT_BYPASS_SUSPECT
        && vmlat_bypass_rules_suspect(&vm->c)) {
        result->verdict = VMLAT_BYPASS_SUSPECT;
    }
    if (result->verdict >= VMLAT_BYPASS_SUSPECT) {
        vmlat_bypass_rules_run(&vm->c, result);
    }
    if (!result->why && j->facts->dp.why_not) {
        result->why = xstrdup("what the datapath did is not known");
    }
}

/* Stores to 'bridges' those that 'bridge' reaches by patch ports, and
 * itself. */
static void
find_bridges(const struct vmlat_bypass_facts *facts, const char *bridge,
             struct shash *bridges)
{
    const struct vmlat_bypass_ovs *ovs = &facts->ovs;

    if (!shash_add_once(bridges, bridge, NULL)) {
        return;
    }
    for (size_t i = 0; i < ovs->n_ports; i++) {
        const struct vmlat_bypass_port *port = &ovs->ports[i];
        const struct vmlat_bypass_port *peer;

        if (port->kind == VMLAT_BYPASS_PORT_PATCH && port->peer
            && !strcmp(port->bridge, bridge)) {
            peer = vmlat_bypass_port_find(ovs, port->peer);
            if (peer && !shash_find(bridges, peer->bridge)) {
                find_bridges(facts, peer->bridge, bridges);
            }
        }
    }
}

static void
find_uplinks(struct judge *j, struct vm *vm)
{
    const struct vmlat_bypass_ovs *ovs = &j->facts->ovs;
    struct shash bridges = SHASH_INITIALIZER(&bridges);
    size_t allocated = 0;

    find_bridges(j->facts, vm->c.port->bridge, &bridges);
    for (size_t i = 0; i < ovs->n_ports; i++) {
        const struct vmlat_bypass_port *port = &ovs->ports[i];
        struct vmlat_bypass_uplink *uplink;

        if (port->kind != VMLAT_BYPASS_PORT_NIC
            || !shash_find(&bridges, port->bridge)) {
            continue;
        }
        if (vm->c.n_uplinks >= allocated) {
            vm->c.uplinks = x2nrealloc(vm->c.uplinks, &allocated,
                                       sizeof *vm->c.uplinks);
        }
        uplink = &vm->c.uplinks[vm->c.n_uplinks++];
        memset(uplink, 0, sizeof *uplink);
        uplink->port = port;
        uplink->packets = get_party(j, port->name)->packets;
        for (size_t r = 0; r < vm->c.n_rows; r++) {
            const struct vmlat_bypass_dp_row *row = vm->c.rows[r];

            if (row->out && !strcmp(row->out, port->name)) {
                uplink->vm[VMLAT_BYPASS_FROM_VM] += row->packets;
            } else if (!strcmp(row->in, port->name)) {
                uplink->vm[VMLAT_BYPASS_TO_VM] += row->packets;
            }
        }
    }
    shash_destroy(&bridges);
}

static int
compare_vms(const void *a_, const void *b_)
{
    const struct vm *const *a = a_, *const *b = b_;
    int cmp = strcmp((*a)->c.port->bridge, (*b)->c.port->bridge);

    return cmp ? cmp : strcmp((*a)->c.port->name, (*b)->c.port->name);
}

/* Says what could not be seen. */
static void
add_notes(struct judge *j)
{
    const struct vmlat_bypass_facts *f = j->facts;
    const uint64_t *counters = f->kernel.counters;

    if (f->kernel.why_not) {
        add_note(j, "packets are not followed through the kernel, so nothing "
                 "is proven and no verdict is worse than SUSPECT: %s",
                 f->kernel.why_not);
    }
    if (f->kernel.without) {
        add_note(j, "%s", f->kernel.without);
    }
    if (counters[VMLAT_BYPASS_CNT_WAYS_LEFT_OUT]) {
        add_note(j, "%"PRIu64" packets in the kernel are counted without "
                 "their MAC address: there were too many",
                 counters[VMLAT_BYPASS_CNT_WAYS_LEFT_OUT]);
    }
    if (f->dp.why_not) {
        add_note(j, "the datapath's flows are not known: %s", f->dp.why_not);
    }
    if (f->dp.left_out) {
        add_note(j, "%"PRIu64" packets in the datapath are of flows beyond "
                 "what is kept", f->dp.left_out);
    }
    if (f->host.why_not) {
        add_note(j, "the host's configuration is not all known: %s",
                 f->host.why_not);
    }
    if (f->host.overrun) {
        add_note(j, "the host's configuration changed faster than the kernel "
                 "could tell");
    }
    if (f->host.left_out) {
        add_note(j, "%"PRIu64" devices, addresses, routes or neighbors of "
                 "the host are beyond what is kept", f->host.left_out);
    }
    for (size_t i = 0; f->host.n_links && i < f->ovs.n_ports; i++) {
        const struct vmlat_bypass_port *port = &f->ovs.ports[i];

        if (port->kind == VMLAT_BYPASS_PORT_INTERNAL && port->userspace
            && !port->error && !port_ifindex(f, port)) {
            add_note(j, "internal port %s of bridge %s is in another network "
                     "namespace, where nothing is seen", port->name,
                     port->bridge);
        }
    }
}

static void
judge_destroy(struct judge *j)
{
    struct shash_node *node;
    struct claim *claim;
    struct owner *owner;

    HMAP_FOR_EACH_POP (claim, node, &j->claims) {
        free(claim);
    }
    hmap_destroy(&j->claims);
    HMAP_FOR_EACH_POP (owner, node, &j->owners) {
        free(owner);
    }
    hmap_destroy(&j->owners);
    for (size_t i = 0; i < j->n_vms; i++) {
        struct vm *vm = j->vms[i];

        shash_destroy(&vm->ways);
        free(vm->c.detours);
        free(vm->c.outsides);
        free(vm->c.uplinks);
        free(vm->c.rows);
        free(vm);
    }
    free(j->vms);
    SHASH_FOR_EACH (node, &j->parties) {
        struct party *party = node->data;

        free(party->links);
    }
    shash_destroy_free_data(&j->parties);
    free(j->groups);
    free(j->ways);
}

void
vmlat_bypass_judge(const struct vmlat_bypass_facts *facts,
                   struct vmlat_bypass_results *results)
{
    struct judge j = { .facts = facts, .results = results };

    memset(results, 0, sizeof *results);
    results->window_ns = facts->window_ns;
    results->flows_left_out
        = facts->kernel.counters[VMLAT_BYPASS_CNT_FLOWS_LEFT_OUT];
    results->direct_known = facts->ovs.direct_known;
    results->direct_p50_ns = facts->ovs.direct_p50_ns;
    results->direct_packets = facts->ovs.direct_packets;

    shash_init(&j.parties);
    hmap_init(&j.claims);
    hmap_init(&j.owners);
    add_parties(&j);
    for (size_t i = 0; i < facts->dp.n; i++) {
        add_row(&j, &facts->dp.rows[i]);
    }
    make_groups(&j);
    add_notes(&j);
    settle_all(&j);
    settle_rest(&j);

    if (j.n_vms) {
        qsort(j.vms, j.n_vms, sizeof *j.vms, compare_vms);
    }
    results->n = j.n_vms;
    results->results = xcalloc(j.n_vms, sizeof *results->results);
    for (size_t i = 0; i < j.n_vms; i++) {
        struct vmlat_bypass_result *result = &results->results[i];
        const struct vmlat_bypass_port *port = j.vms[i]->c.port;

        result->bridge = xstrdup(port->bridge);
        result->port = xstrdup(port->name);
        result->vm = nullable_xstrdup(port->vm);
        j.vms[i]->c.result = result;
        store_ways(j.vms[i], result);
    }
    store_flows(&j);
    for (size_t i = 0; i < j.n_vms; i++) {
        find_uplinks(&j, j.vms[i]);
        judge_vm(&j, j.vms[i], &results->results[i]);
    }
    if (results->flows_left_out) {
        add_note(&j, "%"PRIu64" routed packets are of flows that are not "
                 "listed: there were too many", results->flows_left_out);
    }
    if (j.n_more_notes) {
        char **last = &results->notes[MAX_NOTES - 1];

        free(*last);
        *last = xasprintf("%"PRIuSIZE" more things of this kind",
                          j.n_more_notes + 1);
    }
    judge_destroy(&j);
}

void
vmlat_bypass_results_destroy(struct vmlat_bypass_results *results)
{
    for (size_t i = 0; i < results->n; i++) {
        struct vmlat_bypass_result *result = &results->results[i];

        for (size_t k = 0; k < result->n_ways; k++) {
            free(result->ways[k].through);
            free(result->ways[k].device);
        }
        free(result->ways);
        free(result->flows);
        for (size_t k = 0; k < result->n_causes; k++) {
            free(result->causes[k].evidence);
        }
        free(result->causes);
        for (size_t k = 0; k < result->n_cures; k++) {
            free(result->cures[k].command);
            free(result->cures[k].interrupts);
        }
        free(result->cures);
        free(result->why);
        free(result->bridge);
        free(result->port);
        free(result->vm);
    }
    free(results->results);
    free(results->names);
    for (size_t i = 0; i < results->n_notes; i++) {
        free(results->notes[i]);
    }
    free(results->notes);
}
