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
#include "vmlat-bypass-load.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "hash.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/hmap.h"
#include "openvswitch/util.h"
#include "openvswitch/vlog.h"
#include "util.h"
#include "vmlat-bpf.h"
#include "vmlat-bypass.skel.h"
#include "vmlat-bypass-old.skel.h"
#include "vmlat-kernel.h"

VLOG_DEFINE_THIS_MODULE(vmlat_bypass_load);

#define NETNS_FILE "/proc/thread-self/ns/net"

/* Packets of which nothing is heard any more for so long have ended, in ns.
 * Those that are delivered here, or for others, come to that without waiting
 * for anything.  Others may wait for ARP, 3 s, or in a queue. */
#define LIKELY_END_NS (50 * 1000 * 1000LL)
#define UNLIKELY_END_NS (5 * 1000 * 1000 * 1000LL)

/* Entries of a hash table that one system call reads. */
#define BATCH 2048

enum point {
#define VMLAT_BYPASS_POINT(ID, NAME, LOST) POINT_##ID,
    VMLAT_BYPASS_POINTS
#undef VMLAT_BYPASS_POINT
    N_POINTS
};

static const struct {
    const char *name;           /* Of tracepoint and program. */
    const char *lost;           /* Without it. */
} points[N_POINTS] = {
#define VMLAT_BYPASS_POINT(ID, NAME, LOST) [POINT_##ID] = { NAME, LOST },
    VMLAT_BYPASS_POINTS
#undef VMLAT_BYPASS_POINT
};

/* What a hash table that the daemon writes is to contain. */
struct entry {
    uint8_t key[16];            /* Padded with zeros. */
    uint8_t value[8];
};

/* Such a table. */
struct table {
    int fd;
    size_t max;                 /* Entries that it has room for. */
    struct entry *entries;      /* What it contains, by key. */
    size_t n, allocated;
};

struct vmlat_bypass_program {
    struct bpf_object *object;
    struct bpf_link *links[N_POINTS];
    struct vmlat_bypass_control *control;       /* Shared with the program. */
    struct table devices, macs, addresses;

    int followed, n_ways, counters;
    int ways[VMLAT_BYPASS_EPOCHS];
    int flows[VMLAT_BYPASS_EPOCHS];
    int n_cpus;
    uint64_t counted[VMLAT_BYPASS_EPOCHS][VMLAT_BYPASS_N_COUNTERS];

    /* A map of maps, and the map in it, that serve to wait. */
    int outer, inner;

    char *without;              /* What could not be attached, or NULL. */
};

/* Hash tables that the daemon writes. */

static int
compare_entries(const void *a_, const void *b_)
{
    const struct entry *a = a_;
    const struct entry *b = b_;

    return memcmp(a->key, b->key, sizeof a->key);
}

/* Returns room for one more entry, which is all zeros. */
static struct entry *
table_add(struct table *table)
{
    struct entry *entry;

    if (table->n >= table->allocated) {
        table->entries = x2nrealloc(table->entries, &table->allocated,
                                    sizeof *table->entries);
    }
    entry = &table->entries[table->n++];
    memset(entry, 0, sizeof *entry);
    return entry;
}

/* Makes what is in the kernel, and in 'table', that of 'new', which has been
 * filled by table_add(), the most important first, and takes its memory.
 * Returns the number of entries that there is no room for. */
static size_t
table_replace(struct table *table, struct table *new)
{
    size_t left_out = 0;
    size_t i, j, n;

    if (new->n > table->max) {
        left_out = new->n - table->max;
        new->n = table->max;
    }
    if (new->n) {
        qsort(new->entries, new->n, sizeof *new->entries, compare_entries);
    }

    /* Remove first, to make room. */
    for (i = j = 0; i < table->n; i++) {
        const struct entry *old = &table->entries[i];

        while (j < new->n && compare_entries(&new->entries[j], old) < 0) {
            j++;
        }
        if (j >= new->n || compare_entries(&new->entries[j], old)) {
            bpf_map_delete_elem(table->fd, old->key);
        }
    }
    for (i = j = n = 0; i < new->n; i++) {
        const struct entry *entry = &new->entries[i];

        if (n && !compare_entries(entry, &new->entries[n - 1])) {
            continue;
        }
        while (j < table->n
               && compare_entries(&table->entries[j], entry) < 0) {
            j++;
        }
        if (j >= table->n
            || memcmp(&table->entries[j], entry, sizeof *entry)) {
            if (bpf_map_update_elem(table->fd, entry->key, entry->value,
                                    BPF_ANY)) {
                left_out++;
                continue;
            }
        }
        new->entries[n++] = *entry;
    }

    free(table->entries);
    table->entries = new->entries;
    table->n = n;
    table->allocated = new->allocated;
    return left_out;
}

/* Loading. */

static struct bpf_object *
object_open(void)
{
    LIBBPF_OPTS(bpf_object_open_opts, options,
                .object_name = "vmlat_bypass");
    size_t size;
    const void *elf;

    /* Atomic instructions that return something are new in 5.12. */
    elf = (vmlat_bpf_kernel_version() >= 5012
           ? vmlat_bypass_bpf__elf_bytes(&size)
           : vmlat_bypass_old_bpf__elf_bytes(&size));
    return bpf_object__open_mem(elf, size, &options);
}

/* Stores the file descriptor of the map called 'name' in '*fd', which the
 * object owns. */
static bool
find_map(const struct bpf_object *object, const char *name, int *fd)
{
    *fd = bpf_object__find_map_fd_by_name(object, name);
    return *fd >= 0;
}

static bool
find_maps(struct vmlat_bypass_program *p)
{
    p->devices.max = p->macs.max = VMLAT_BYPASS_DEVICES;
    p->addresses.max = VMLAT_BYPASS_ADDRESSES;
    return (find_map(p->object, "devices", &p->devices.fd)
            && find_map(p->object, "macs", &p->macs.fd)
            && find_map(p->object, "addresses", &p->addresses.fd)
            && find_map(p->object, "followed", &p->followed)
            && find_map(p->object, "ways_0", &p->ways[0])
            && find_map(p->object, "ways_1", &p->ways[1])
            && find_map(p->object, "flows_0", &p->flows[0])
            && find_map(p->object, "flows_1", &p->flows[1])
            && find_map(p->object, "n_ways", &p->n_ways)
            && find_map(p->object, "counters", &p->counters));
}

/* Makes the entries that ways for which there is no room at all are counted
 * in. */
static bool
make_last_ways(const struct vmlat_bypass_program *p, uint32_t epoch)
{
    static const struct vmlat_bypass_way zero;
    struct vmlat_bypass_way_key key;
    uint64_t none = 0;

    memset(&key, 0, sizeof key);
    for (int i = 0; i < VMLAT_BYPASS_N_DIRECTIONS; i++) {
        for (int j = 0; j < VMLAT_BYPASS_N_ENDS; j++) {
            key.direction = i;
            key.end = j;
            if (bpf_map_update_elem(p->ways[epoch], &key, &zero, BPF_ANY)) {
                return false;
            }
        }
    }
    return !bpf_map_update_elem(p->n_ways, &epoch, &none, BPF_ANY);
}

/* Returns when no BPF program runs any more that ran when this was called.
 *
 * The kernel waits for that after it has replaced a map in a map, so that who
 * replaced it knows what programs use.  membarrier() would be simpler, but
 * does not work on hosts that keep CPUs free of ticks (nohz_full), as those
 * with PMD threads do. */
static bool
wait_for_programs(const struct vmlat_bypass_program *p)
{
    uint32_t zero = 0;

    return !bpf_map_update_elem(p->outer, &zero, &p->inner, BPF_ANY);
}

static bool
prepare(struct vmlat_bypass_program *p, const char **step)
{
    struct bpf_map *bss = bpf_object__find_map_by_name(p->object, ".bss");
    struct stat s;
    void *memory;

    *step = "finding the maps of";
    if (!find_maps(p) || !bss
        || bpf_map__value_size(bss) < sizeof *p->control) {
        return false;
    }
    *step = "preparing the maps of";
    p->n_cpus = libbpf_num_possible_cpus();
    if (p->n_cpus <= 0 || !make_last_ways(p, 0) || !make_last_ways(p, 1)) {
        return false;
    }
    p->inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "vmlat_inner",
                              sizeof(uint32_t), sizeof(uint32_t), 1, NULL);
    if (p->inner < 0) {
        return false;
    }

    LIBBPF_OPTS(bpf_map_create_opts, options, .inner_map_fd = p->inner);
    p->outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "vmlat_outer",
                              sizeof(uint32_t), sizeof(uint32_t), 1,
                              &options);
    if (p->outer < 0 || !wait_for_programs(p)) {
        return false;
    }

    memory = mmap(NULL, sizeof *p->control, PROT_READ | PROT_WRITE, MAP_SHARED,
                  bpf_map__fd(bss), 0);
    if (memory == MAP_FAILED) {
        return false;
    }
    p->control = memory;
    *step = "finding the network namespace for";
    if (stat(NETNS_FILE, &s)) {
        return false;
    }
    p->control->netns = s.st_ino;
    return true;
}

static bool
attach(struct vmlat_bypass_program *p)
{
    struct ds without = DS_EMPTY_INITIALIZER;

    for (size_t i = 0; i < N_POINTS; i++) {
        struct bpf_program *program
            = bpf_object__find_program_by_name(p->object, points[i].name);

        p->links[i] = program ? bpf_program__attach(program) : NULL;
        if (!p->links[i]) {
            int error = program ? errno : ENOENT;

            if (i == POINT_RX || i == POINT_TX) {
                ds_destroy(&without);
                errno = error;
                return false;
            }
            ds_put_format(&without, "%s%s: %s (%s)",
                          without.length ? "; " : "", points[i].name,
                          points[i].lost, ovs_strerror(error));
        }
    }
    p->without = without.length ? ds_steal_cstr(&without) : NULL;
    return true;
}

char *
vmlat_bypass_program_load(struct vmlat_bypass_program **pp)
{
    struct vmlat_bypass_program *p;
    const char *step = NULL;
    char *why_not;

    *pp = NULL;
    why_not = vmlat_bpf_why_not();
    if (why_not) {
        return why_not;
    }

    vmlat_kernel_libbpf_init();
    p = xzalloc(sizeof *p);
    p->inner = p->outer = -1;
    p->object = object_open();
    if (!p->object) {
        step = "reading";
    } else if (bpf_object__load(p->object)) {
        step = "loading";
    } else if (prepare(p, &step)) {
        step = attach(p) ? NULL : "attaching";
    }
    if (step) {
        why_not = xasprintf("%s the BPF programs: %s", step,
                            ovs_strerror(errno));
        vmlat_bypass_program_unload(p);
        return why_not;
    }
    *pp = p;
    return NULL;
}

void
vmlat_bypass_program_unload(struct vmlat_bypass_program *p)
{
    if (!p) {
        return;
    }
    for (size_t i = 0; i < N_POINTS; i++) {
        bpf_link__destroy(p->links[i]);
    }
    if (p->control) {
        munmap(p->control, sizeof *p->control);
    }
    if (p->outer >= 0) {
        close(p->outer);
    }
    if (p->inner >= 0) {
        close(p->inner);
    }
    bpf_object__close(p->object);
    free(p->devices.entries);
    free(p->macs.entries);
    free(p->addresses.entries);
    free(p->without);
    free(p);
}

/* What to look at. */

/* A device of the host. */
struct link {
    struct hmap_node node;
    const struct vmlat_bypass_link *link;
    bool is_internal;
    uint32_t internal;          /* Internal port below, or 0. */
};

static struct link *
find_link(const struct hmap *by_ifindex, uint32_t ifindex)
{
    struct link *link;

    HMAP_FOR_EACH_WITH_HASH (link, node, hash_int(ifindex, 0), by_ifindex) {
        if (link->link->ifindex == ifindex) {
            return link;
        }
    }
    return NULL;
}

/* Sets 'internal' of 'upper', which may be NULL, if 'lower' is an internal
 * port or above one.  Returns true if that was news. */
static bool
is_above(struct link *upper, const struct link *lower)
{
    uint32_t internal;

    if (!upper || !lower || upper->internal || upper->is_internal
        || !upper->link->stacked) {
        return false;
    }
    internal = lower->is_internal ? lower->link->ifindex : lower->internal;
    upper->internal = internal;
    return internal != 0;
}

/* Finds the devices that are above internal ports. */
static void
find_upper(struct link *links, size_t n, const struct hmap *by_ifindex)
{
    bool again = true;

    /* As deep as devices can be stacked; the kernel allows 8. */
    for (int depth = 0; again && depth < 16; depth++) {
        again = false;
        for (size_t i = 0; i < n; i++) {
            const struct vmlat_bypass_link *link = links[i].link;

            if (link->lower) {
                again |= is_above(&links[i],
                                  find_link(by_ifindex, link->lower));
            }
            if (link->master) {
                again |= is_above(find_link(by_ifindex, link->master),
                                  &links[i]);
            }
        }
    }
}

static void
add_device(struct table *devices, uint32_t ifindex,
           enum vmlat_bypass_kind kind, uint32_t internal)
{
    struct vmlat_bypass_device device = { .kind = kind, .internal = internal };
    struct entry *entry = table_add(devices);

    memcpy(entry->key, &ifindex, sizeof ifindex);
    memcpy(entry->value, &device, sizeof device);
}

static void
add_mac(struct table *macs, const struct link *link)
{
    struct vmlat_bypass_mac mac = { .internal = link->internal };
    struct entry *entry = table_add(macs);

    memcpy(mac.mac, link->link->mac.ea, sizeof mac.mac);
    memcpy(entry->key, &mac, sizeof mac);
}

static void
set_filter(uint64_t *filter, uint32_t ifindex)
{
    uint32_t bit = ifindex % VMLAT_BYPASS_FILTER_BITS;

    filter[bit / 64] |= UINT64_C(1) << bit % 64;
}

size_t
vmlat_bypass_program_configure(struct vmlat_bypass_program *p,
                               const struct vmlat_bypass_host *host,
                               const uint32_t internal[], size_t n)
{
    uint64_t filter[ARRAY_SIZE(p->control->filter)];
    struct hmap by_ifindex = HMAP_INITIALIZER(&by_ifindex);
    struct link *links = xcalloc(host->n_links, sizeof *links);
    struct table devices = { .n = 0 };
    struct table macs = { .n = 0 };
    struct table addresses = { .n = 0 };
    size_t left_out;

    for (size_t i = 0; i < host->n_links; i++) {
        links[i].link = &host->links[i];
        hmap_insert(&by_ifindex, &links[i].node,
                    hash_int(host->links[i].ifindex, 0));
    }
    memset(filter, 0, sizeof filter);
    for (size_t i = 0; i < n; i++) {
        struct link *link = find_link(&by_ifindex, internal[i]);

        if (link) {
            link->is_internal = true;
        }
        add_device(&devices, internal[i], VMLAT_BYPASS_INTERNAL, 0);
        set_filter(filter, internal[i]);
    }
    find_upper(links, host->n_links, &by_ifindex);
    for (size_t i = 0; i < host->n_links; i++) {
        if (links[i].internal) {
            add_device(&devices, links[i].link->ifindex, VMLAT_BYPASS_UPPER,
                       links[i].internal);
            add_mac(&macs, &links[i]);
            set_filter(filter, links[i].link->ifindex);
        }
    }
    for (size_t i = 0; i < host->n_links; i++) {
        if (links[i].link->stacked && !links[i].internal
            && !links[i].is_internal) {
            add_device(&devices, links[i].link->ifindex, VMLAT_BYPASS_UPPER,
                       0);
        }
    }
    for (size_t i = 0; i < host->n_ips; i++) {
        memcpy(table_add(&addresses)->key, &host->ips[i].ip,
               sizeof host->ips[i].ip);
    }
    hmap_destroy(&by_ifindex);
    free(links);

    left_out = table_replace(&p->macs, &macs);
    left_out += table_replace(&p->addresses, &addresses);
    left_out += table_replace(&p->devices, &devices);
    for (size_t i = 0; i < ARRAY_SIZE(filter); i++) {
        p->control->filter[i] = filter[i];
    }
    return left_out;
}

/* Reading. */

/* Ways while they are put together. */
struct way {
    struct hmap_node node;
    struct vmlat_bypass_kernel_way way;
};

static struct vmlat_bypass_way *
find_way(struct hmap *ways, const struct vmlat_bypass_way_key *key)
{
    uint32_t hash = hash_bytes(key, sizeof *key, 0);
    struct way *way;

    HMAP_FOR_EACH_WITH_HASH (way, node, hash, ways) {
        if (!memcmp(&way->way.key, key, sizeof *key)) {
            return &way->way.count;
        }
    }
    way = xzalloc(sizeof *way);
    way->way.key = *key;
    hmap_insert(ways, &way->node, hash);
    return &way->way.count;
}

/* Calls 'cb' for each entry of the hash table 'fd', and removes these if
 * 'remove' is true. */
static void
for_each_entry(int fd, size_t key_size, size_t value_size, bool remove,
               void (*cb)(const void *key, const void *value, void *aux),
               void *aux)
{
    static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 5);
    uint8_t *keys = xmalloc(BATCH * key_size);
    uint8_t *values = xmalloc(BATCH * value_size);
    uint32_t position, *from = NULL;
    int error;

    do {
        uint32_t n = BATCH;

        error = (remove
                 ? bpf_map_lookup_and_delete_batch(fd, from, &position, keys,
                                                   values, &n, NULL)
                 : bpf_map_lookup_batch(fd, from, &position, keys, values, &n,
                                        NULL));
        if (error && error != -ENOENT) {
            VLOG_WARN_RL(&rl, "reading what BPF programs counted: %s",
                         ovs_strerror(-error));
            break;
        }
        for (uint32_t i = 0; i < n; i++) {
            cb(keys + i * key_size, values + i * value_size, aux);
        }
        from = &position;
    } while (!error);
    free(keys);
    free(values);
}

static void
read_way(const void *key, const void *value_, void *ways)
{
    const struct vmlat_bypass_way *value = value_;

    if (value->packets) {
        *find_way(ways, key) = *value;
    }
}

struct flows {
    struct vmlat_bypass_kernel_flow *flows;
    size_t n, allocated;
};

static void
read_flow(const void *key, const void *value, void *flows_)
{
    struct vmlat_bypass_kernel_flow *flow;
    struct flows *flows = flows_;

    if (flows->n >= flows->allocated) {
        flows->flows = x2nrealloc(flows->flows, &flows->allocated,
                                  sizeof *flows->flows);
    }
    flow = &flows->flows[flows->n++];
    memcpy(&flow->key, key, sizeof flow->key);
    memcpy(&flow->count, value, sizeof flow->count);
}

static int
compare_flow_keys(const void *a_, const void *b_)
{
    const struct vmlat_bypass_kernel_flow *a = a_;
    const struct vmlat_bypass_kernel_flow *b = b_;

    return memcmp(&a->key, &b->key, sizeof a->key);
}

/* Makes one of flows that are there more than once. */
static void
merge_flows(struct flows *flows)
{
    size_t n = 0;

    if (flows->n) {
        qsort(flows->flows, flows->n, sizeof *flows->flows,
              compare_flow_keys);
    }
    for (size_t i = 0; i < flows->n; i++) {
        const struct vmlat_bypass_kernel_flow *flow = &flows->flows[i];
        struct vmlat_bypass_kernel_flow *last = &flows->flows[n - 1];

        if (n && !compare_flow_keys(last, flow)) {
            last->count.packets += flow->count.packets;
            last->count.bytes += flow->count.bytes;
        } else {
            flows->flows[n++] = *flow;
        }
    }
    flows->n = n;
}

/* The most packets first. */
static int
compare_flows(const void *a_, const void *b_)
{
    const struct vmlat_bypass_kernel_flow *a = a_;
    const struct vmlat_bypass_kernel_flow *b = b_;

    return (a->count.packets != b->count.packets
            ? (a->count.packets < b->count.packets ? 1 : -1)
            : memcmp(&a->key, &b->key, sizeof a->key));
}

/* Packets that ended unseen. */
struct sweep {
    const struct vmlat_bypass_program *p;
    uint64_t now_ns;
    struct hmap *ways;
    struct flows *flows;
    uint64_t n_ended, n_underway;
};

/* Takes the packet with 'key' out of the table and stores it in '*f'.  Returns
 * false if its end has been seen in the meantime. */
static bool
take_followed(int fd, const void *key, struct vmlat_bypass_followed *f)
{
    int error = bpf_map_lookup_and_delete_elem(fd, key, f);

    if (!error || error == -ENOENT) {
        return !error;
    }

    /* Before 5.14, hash tables do not have that. */
    return !bpf_map_lookup_elem(fd, key, f) && !bpf_map_delete_elem(fd, key);
}

static void
sweep(const void *key, const void *followed, void *sweep_)
{
    struct vmlat_bypass_followed f;
    struct sweep *s = sweep_;
    struct vmlat_bypass_way *way;
    int64_t age;

    memcpy(&f, followed, sizeof f);
    age = s->now_ns - f.time_ns;
    if (age < (f.upper || f.end != VMLAT_BYPASS_END_UNSEEN
               ? LIKELY_END_NS : UNLIKELY_END_NS)) {
        s->n_underway++;
        return;
    }

    /* If this gets another packet, at the same address, that is not followed
     * any more.  The one that was there has been counted then. */
    if (!take_followed(s->p->followed, key, &f)) {
        return;
    }
    f.flow.way.end = f.upper ? VMLAT_BYPASS_END_ROUTED : f.end;
    f.flow.way.other = f.upper;
    way = find_way(s->ways, &f.flow.way);
    way->packets++;
    way->bytes += f.bytes;
    if (f.flow.way.end == VMLAT_BYPASS_END_ROUTED) {
        struct vmlat_bypass_flow flow = {
            .packets = 1, .bytes = f.bytes, .last_ns = f.time_ns
        };

        read_flow(&f.flow, &flow, s->flows);
    }
    s->n_ended++;
}

static void
read_counters(struct vmlat_bypass_program *p, uint32_t epoch,
              uint64_t counters[VMLAT_BYPASS_N_COUNTERS])
{
    uint64_t *values = xmalloc(p->n_cpus * sizeof *values);

    for (uint32_t i = 0; i < VMLAT_BYPASS_N_COUNTERS; i++) {
        uint32_t index = epoch * VMLAT_BYPASS_N_COUNTERS + i;
        uint64_t n = 0;

        if (bpf_map_lookup_elem(p->counters, &index, values)) {
            continue;
        }
        for (int cpu = 0; cpu < p->n_cpus; cpu++) {
            n += values[cpu];
        }
        counters[i] = n - p->counted[epoch][i];
        p->counted[epoch][i] = n;
    }
    free(values);
}

void
vmlat_bypass_program_read(struct vmlat_bypass_program *p,
                          struct vmlat_bypass_kernel *kernel)
{
    static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 5);
    uint32_t epoch = p->control->epoch;
    struct hmap ways = HMAP_INITIALIZER(&ways);
    struct flows flows = { .n = 0 };
    struct sweep s = { .p = p, .ways = &ways, .flows = &flows };
    struct timespec now;
    struct way *way;

    memset(kernel, 0, sizeof *kernel);
    kernel->without = nullable_xstrdup(p->without);

    /* From here on the programs count in the other maps, and nothing changes
     * in these. */
    *(volatile uint32_t *) &p->control->epoch = !epoch;
    if (!wait_for_programs(p)) {
        VLOG_WARN_RL(&rl, "waiting for BPF programs: %s",
                     ovs_strerror(errno));
    }
    for_each_entry(p->ways[epoch], sizeof(struct vmlat_bypass_way_key),
                   sizeof(struct vmlat_bypass_way), true, read_way, &ways);
    for_each_entry(p->flows[epoch], sizeof(struct vmlat_bypass_flow_key),
                   sizeof(struct vmlat_bypass_flow), true, read_flow, &flows);
    read_counters(p, epoch, kernel->counters);
    if (!make_last_ways(p, epoch)) {
        VLOG_WARN_RL(&rl, "preparing maps: %s", ovs_strerror(errno));
    }

    clock_gettime(CLOCK_MONOTONIC, &now);
    s.now_ns = now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
    for_each_entry(p->followed, sizeof(uint64_t),
                   sizeof(struct vmlat_bypass_followed), false, sweep, &s);
    kernel->counters[VMLAT_BYPASS_CNT_ENTERED] += s.n_ended;
    kernel->counters[VMLAT_BYPASS_CNT_UNDERWAY] = s.n_underway;

    kernel->ways = xmalloc(hmap_count(&ways) * sizeof *kernel->ways);
    HMAP_FOR_EACH_POP (way, node, &ways) {
        kernel->ways[kernel->n_ways++] = way->way;
        free(way);
    }
    hmap_destroy(&ways);
    merge_flows(&flows);
    if (flows.n) {
        qsort(flows.flows, flows.n, sizeof *flows.flows, compare_flows);
    }
    kernel->flows = flows.flows;
    kernel->n_flows = flows.n;
}
