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
#include "vmlat-rtt.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "hash.h"
#include "latch.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/shash.h"
#include "openvswitch/vlog.h"
#include "seq.h"
#include "timeval.h"
#include "util.h"
#include "vmlat-db.h"
#include "vmlat-filter.h"
#include "vmlat-port.h"

VLOG_DEFINE_THIS_MODULE(vmlat_rtt);

#define NETNS_FILE "/proc/self/ns/net"
#define TUN_FLAGS_FILE "/sys/class/net/%s/tun_flags"

/* As many echoes are under way at once. */
#define MAX_ECHOES 8192

/* An echo that looks complete is taken for that when nothing more was heard of
 * it for so long: in an upcall, a packet ends and goes on as another one. */
#define SETTLE_NS (100 * 1000000ULL)

/* How often the echoes under way are looked at, in ms; the counters if there
 * are none; and the events are read while they come. */
#define JUDGE_INTERVAL 50
#define IDLE_INTERVAL 250
#define READ_INTERVAL 10

struct ovs_mutex vmlat_rtt_mutex = OVS_MUTEX_INITIALIZER;

static struct vmlat_rtt_results results OVS_GUARDED_BY(vmlat_rtt_mutex);

/* What the main thread asks for. */
static bool wanted OVS_GUARDED_BY(vmlat_rtt_mutex);
static bool reconfigured OVS_GUARDED_BY(vmlat_rtt_mutex);
static bool exiting OVS_GUARDED_BY(vmlat_rtt_mutex);
static struct latch wake;

/* Devices that echoes passed, by name, each with a struct device: the main
 * thread alone can ask the database what they are.  'devices_seq' changes when
 * there is a new one. */
#define MAX_DEVICES 1024
#define DEVICES_INTERVAL 1000   /* How often they are looked up, in ms. */
struct device {
    bool is_vm;
};
static struct shash devices OVS_GUARDED_BY(vmlat_rtt_mutex)
    = SHASH_INITIALIZER(&devices);
static struct seq *devices_seq;

/* For the main thread. */
static uint64_t devices_seen;
static long long int next_devices;
static bool have_thread;
static pthread_t thread;

/* For the thread alone. */
static struct vmlat_rtt_program *program;
static struct hmap echoes = HMAP_INITIALIZER(&echoes);
static struct vmlat_rtt_context context;
static uint64_t min_ns;         /* Copies of the results'. */
static uint64_t timeout_ns;
static uint64_t points_lost;    /* Of all kinds. */

static void *rtt_main(void *);

/* Time. */

static uint64_t
now_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Results. */

static void
free_record(struct vmlat_rtt_record *record)
{
    if (record) {
        vmlat_rtt_echo_destroy(&record->echo);
        free(record->reason);
        free(record->function);
        free(record);
    }
}

static void
free_attachments(void)
    OVS_REQUIRES(vmlat_rtt_mutex)
{
    for (size_t i = 0; i < results.n_attachments; i++) {
        free(results.attachments[i].target);
        free(results.attachments[i].how);
        free(results.attachments[i].why_not);
        free(results.attachments[i].why_once);
    }
    free(results.attachments);
    results.attachments = NULL;
    results.n_attachments = 0;
}

/* Forgets what was measured, not what was asked for. */
static void
clear_results(void)
    OVS_REQUIRES(vmlat_rtt_mutex)
{
    for (size_t way = 0; way < VMLAT_RTT_N_WAYS; way++) {
        for (size_t i = 0; i < VMLAT_RTT_N_PARTS; i++) {
            free_cacheline(results.parts[way][i]);
            results.parts[way][i] = NULL;
        }
        for (size_t i = 0; i < VMLAT_RTT_N_POINTS; i++) {
            for (int path = 0; path < 2; path++) {
                free_cacheline(results.stages[way][path][i]);
                results.stages[way][path][i] = NULL;
            }
        }
    }
    for (size_t i = 0; i < results.n_losses; i++) {
        free(results.losses[i].reason);
        free(results.losses[i].function);
    }
    results.n_losses = 0;
    results.other_losses = 0;
    for (size_t i = 0; i < VMLAT_RTT_MAX_RECORDS; i++) {
        free_record(results.records[i]);
        results.records[i] = NULL;
    }
    results.n_records = 0;
    memset(results.counters, 0, sizeof results.counters);
    memset(results.verdicts, 0, sizeof results.verdicts);
    results.waiting = results.table_full = results.uncertain = 0;
    results.unfinished = results.request_copies = results.reply_copies = 0;
    results.late = results.points_missed = 0;
    free_attachments();
    free(results.why_not);
    results.why_not = NULL;
    shash_clear_free_data(&devices);
}

const struct vmlat_rtt_results *
vmlat_rtt_results(void)
{
    return &results;
}

static void
add_sample(struct vmlat_histogram **h, uint64_t ns)
{
    if (!*h) {
        *h = xzalloc_cacheline(sizeof **h);
        vmlat_histogram_init(*h, 0);
    }
    vmlat_histogram_add(*h, ns, 1);
}

static void
count_samples(const struct vmlat_rtt_echo *echo,
              const struct vmlat_rtt_judgement *j)
    OVS_REQUIRES(vmlat_rtt_mutex)
{
    for (size_t i = 0; i < VMLAT_RTT_N_PARTS; i++) {
        if (j->known[i]) {
            add_sample(&results.parts[j->way][i], j->ns[i]);
        }
    }
    for (int path = 0; path < 2; path++) {
        for (size_t i = 1; i < j->n_path[path]; i++) {
            const struct vmlat_rtt_step *from
                = &echo->steps[j->path[path][i - 1]];
            const struct vmlat_rtt_step *to = &echo->steps[j->path[path][i]];

            add_sample(&results.stages[j->way][path][vmlat_rtt_stage(to)],
                       to->time_ns - from->time_ns);
        }
    }
}

static void
count_loss(const struct vmlat_rtt_record *record)
    OVS_REQUIRES(vmlat_rtt_mutex)
{
    const struct vmlat_rtt_judgement *j = &record->judgement;
    size_t at = j->last != SIZE_MAX ? j->last : j->drop;
    uint32_t point = (j->last != SIZE_MAX
                      ? record->echo.steps[j->last].point
                      : VMLAT_RTT_N_POINTS);
    const char *device = (at != SIZE_MAX ? record->echo.steps[at].device : "");
    struct vmlat_rtt_loss *loss;

    for (size_t i = 0; i < results.n_losses; i++) {
        loss = &results.losses[i];
        if (loss->way == j->way && loss->verdict == j->verdict
            && loss->point == point && !strcmp(loss->device, device)
            && !strcmp(loss->reason, record->reason)
            && !strcmp(loss->function, record->function)) {
            loss->n++;
            return;
        }
    }
    if (results.n_losses >= VMLAT_RTT_MAX_LOSSES) {
        results.other_losses++;
        return;
    }
    loss = &results.losses[results.n_losses++];
    loss->way = j->way;
    loss->verdict = j->verdict;
    loss->point = point;
    ovs_strlcpy(loss->device, device, sizeof loss->device);
    loss->reason = xstrdup(record->reason);
    loss->function = xstrdup(record->function);
    loss->n = 1;
}

/* Makes a record of 'echo', taking its steps from it. */
static struct vmlat_rtt_record *
make_record(struct vmlat_rtt_echo *echo, const struct vmlat_rtt_judgement *j)
{
    struct vmlat_rtt_record *record = xzalloc(sizeof *record);

    record->judgement = *j;
    record->wall_us = (now_ns(CLOCK_REALTIME)
                       - (now_ns(CLOCK_MONOTONIC) - echo->first_ns)) / 1000;
    if (j->drop != SIZE_MAX) {
        const struct vmlat_rtt_step *drop = &echo->steps[j->drop];
        const char *reason = vmlat_rtt_program_reason(program, drop->reason);
        const char *function
            = (drop->location
               ? vmlat_rtt_program_function(program, drop->location) : NULL);

        record->reason = (reason ? xstrdup(reason)
                          : drop->reason ? xasprintf("%#x", drop->reason)
                          : xstrdup(vmlat_rtt_point_names[drop->point]));
        record->function = xstrdup(function ? function : "");
    } else {
        record->reason = xstrdup("");
        record->function = xstrdup("");
    }
    record->echo = *echo;
    echo->steps = NULL;
    return record;
}

/* Echoes. */

static struct vmlat_rtt_echo *
find_echo(const struct vmlat_rtt_key *key, uint32_t hash)
{
    struct vmlat_rtt_echo *echo;

    HMAP_FOR_EACH_WITH_HASH (echo, node, hash, &echoes) {
        if (!memcmp(&echo->key, key, sizeof *key)) {
            return echo;
        }
    }
    return NULL;
}

static void
free_echo(struct vmlat_rtt_echo *echo)
{
    hmap_remove(&echoes, &echo->node);
    vmlat_rtt_echo_destroy(echo);
    free(echo);
}

/* Makes the main thread find out what the device of 'event' is. */
static void
note_device(const struct vmlat_rtt_event *event)
{
    bool is_new = false;

    ovs_mutex_lock(&vmlat_rtt_mutex);
    if (!shash_find(&devices, event->device)
        && shash_count(&devices) < MAX_DEVICES) {
        shash_add(&devices, event->device, xzalloc(sizeof(struct device)));
        is_new = true;
    }
    ovs_mutex_unlock(&vmlat_rtt_mutex);
    if (is_new) {
        seq_change(devices_seq);
    }
}

static void
handle_event(const struct vmlat_rtt_event *event, void *aux OVS_UNUSED)
{
    uint32_t hash = hash_bytes(&event->key, sizeof event->key, 0);
    struct vmlat_rtt_echo *echo = find_echo(&event->key, hash);
    uint64_t *counter;

    if (event->key.netns == context.netns
        && (event->point == VMLAT_RTT_RX || event->point == VMLAT_RTT_TX)) {
        note_device(event);
    }
    if (!echo) {
        bool first = event->flags & VMLAT_RTT_FIRST;

        if (!first) {
            /* The rest of one that has been judged. */
            return;
        }
        if (event->flags & VMLAT_RTT_REPLY) {
            counter = &results.late;
        } else if (hmap_count(&echoes) >= MAX_ECHOES) {
            counter = &results.table_full;
        } else {
            echo = xmalloc(sizeof *echo);
            vmlat_rtt_echo_init(echo, event);
            hmap_insert(&echoes, &echo->node, hash);
            vmlat_rtt_echo_add(echo, event);
            counter = &results.waiting;
        }
    } else {
        switch (vmlat_rtt_echo_add(echo, event)) {
        case VMLAT_RTT_COPY_OF_REQUEST:
            counter = &results.request_copies;
            break;
        case VMLAT_RTT_COPY_OF_REPLY:
            counter = &results.reply_copies;
            break;
        case VMLAT_RTT_ADDED:
        case VMLAT_RTT_IGNORED:
        default:
            return;
        }
    }
    ovs_mutex_lock(&vmlat_rtt_mutex);
    (*counter)++;
    ovs_mutex_unlock(&vmlat_rtt_mutex);
}

/* Counts 'echo' as what it was judged to be, and frees it. */
static void
finish_echo(struct vmlat_rtt_echo *echo, const struct vmlat_rtt_judgement *j)
{
    bool complete = j->verdict == VMLAT_RTT_COMPLETE;
    struct vmlat_rtt_record *record = NULL;

    if (complete
        ? j->known[VMLAT_RTT_PART_TOTAL]
          && j->ns[VMLAT_RTT_PART_TOTAL] >= min_ns
        : !echo->uncertain) {
        struct vmlat_rtt_echo copy = *echo;

        copy.steps = xmemdup(echo->steps, echo->n_steps * sizeof *echo->steps);
        record = make_record(&copy, j);
    }

    ovs_mutex_lock(&vmlat_rtt_mutex);
    results.waiting--;
    if (complete) {
        results.verdicts[j->way][j->verdict]++;
        count_samples(echo, j);
    } else if (echo->uncertain) {
        results.uncertain++;
    } else {
        results.verdicts[j->way][j->verdict]++;
        count_loss(record);
    }
    if (record) {
        struct vmlat_rtt_record **slot
            = &results.records[results.n_records++ % VMLAT_RTT_MAX_RECORDS];

        free_record(*slot);
        *slot = record;
    }
    ovs_mutex_unlock(&vmlat_rtt_mutex);
    free_echo(echo);
}

/* Judges the echoes that have settled or are due at 'now', up to which all
 * events have been read; with 'all', also those that look complete. */
static void
judge_echoes(uint64_t now, bool all)
{
    struct vmlat_rtt_judgement *j = xmalloc(sizeof *j);
    struct vmlat_rtt_echo *echo;

    HMAP_FOR_EACH_SAFE (echo, node, &echoes) {
        bool due = now >= echo->first_ns + timeout_ns;

        /* One that was judged waits until something happens. */
        if (!due && !all && (now < echo->last_ns + SETTLE_NS
                             || echo->n_judged == echo->n_steps)) {
            continue;
        }
        vmlat_rtt_judge(echo, &context, j);
        echo->n_judged = echo->n_steps;
        if (due || j->verdict == VMLAT_RTT_COMPLETE) {
            finish_echo(echo, j);
        }
    }
    free(j);
}

static void
read_counters(void)
{
    uint64_t counters[VMLAT_RTT_N_COUNTERS];
    uint64_t missed = 0, lost;

    vmlat_rtt_program_count(program, counters);
    ovs_mutex_lock(&vmlat_rtt_mutex);
    memcpy(results.counters, counters, sizeof results.counters);
    for (size_t i = 0; i < results.n_attachments; i++) {
        vmlat_rtt_program_update_missed(program, &results.attachments[i]);
        missed += results.attachments[i].missed;
    }
    results.points_missed = missed;
    ovs_mutex_unlock(&vmlat_rtt_mutex);

    lost = counters[VMLAT_RTT_CNT_POINTS_LOST] + missed;
    if (lost != points_lost) {
        struct vmlat_rtt_echo *echo;

        points_lost = lost;
        HMAP_FOR_EACH (echo, node, &echoes) {
            echo->uncertain = true;
        }
    }
}

/* Context of judgements. */

static const char *
function_name(uint64_t address)
{
    return vmlat_rtt_program_function(program, address);
}

static bool
is_vm(const char *name)
{
    const struct device *device;
    bool vm;

    ovs_mutex_lock(&vmlat_rtt_mutex);
    device = shash_find_data(&devices, name);
    vm = device && device->is_vm;
    ovs_mutex_unlock(&vmlat_rtt_mutex);
    return vm;
}

/* The thread. */

static void
load(void)
    OVS_REQUIRES(vmlat_rtt_mutex)
{
    struct vmlat_rtt_config config = results.config;
    struct vmlat_rtt_attachment *attachments = NULL;
    size_t n_attachments = 0;
    char *error;

    clear_results();
    results.state = VMLAT_RTT_LOADING;
    ovs_mutex_unlock(&vmlat_rtt_mutex);

    error = vmlat_rtt_program_load(&config, handle_event, NULL, &program);
    if (program) {
        n_attachments = vmlat_rtt_program_attachments(program, &attachments);
    }

    ovs_mutex_lock(&vmlat_rtt_mutex);
    results.why_not = error;
    results.attachments = attachments;
    results.n_attachments = n_attachments;
    results.state = error ? VMLAT_RTT_FAILED : VMLAT_RTT_ON;
    context.has_icmp[0] = context.has_icmp[1] = false;
    for (size_t i = 0; i < n_attachments; i++) {
        if (attachments[i].point == VMLAT_RTT_ICMP && attachments[i].how) {
            context.has_icmp[!strncmp(attachments[i].target, "icmpv6", 6)]
                = true;
        }
    }
    context.netns = results.netns;
    context.function = function_name;
    context.is_vm = is_vm;
    points_lost = 0;
    if (error) {
        wanted = false;
        VLOG_WARN("%s", error);
    } else {
        VLOG_INFO("following echoes");
    }
}

static void
unload(void)
    OVS_REQUIRES(vmlat_rtt_mutex)
{
    struct vmlat_rtt_echo *echo;

    results.state = VMLAT_RTT_STOPPING;
    ovs_mutex_unlock(&vmlat_rtt_mutex);

    vmlat_rtt_program_read(program);
    read_counters();
    judge_echoes(now_ns(CLOCK_MONOTONIC), true);

    ovs_mutex_lock(&vmlat_rtt_mutex);
    results.unfinished += hmap_count(&echoes);
    results.waiting = 0;
    HMAP_FOR_EACH_SAFE (echo, node, &echoes) {
        free_echo(echo);
    }
    ovs_mutex_unlock(&vmlat_rtt_mutex);

    vmlat_rtt_program_unload(program);
    program = NULL;

    ovs_mutex_lock(&vmlat_rtt_mutex);
    results.state = VMLAT_RTT_OFF;
    VLOG_INFO("following echoes no more");
}

/* Does what the main thread asks for.  Returns false if that is to end. */
static bool
obey(void)
{
    bool go_on;

    ovs_mutex_lock(&vmlat_rtt_mutex);
    if (wanted && !program && !exiting) {
        load();
    } else if (program && (!wanted || exiting)) {
        unload();
    }
    if (program && wanted && results.state == VMLAT_RTT_LOADING) {
        /* It was stopped and started again before this thread ran. */
        results.state = VMLAT_RTT_ON;
    }
    if (program && reconfigured) {
        vmlat_rtt_program_configure(program, &results.config);
    } else if (!program && results.state == VMLAT_RTT_STOPPING) {
        results.state = VMLAT_RTT_OFF;
    }
    reconfigured = false;
    min_ns = results.min_ns;
    timeout_ns = results.config.timeout_ns;
    go_on = !exiting;
    ovs_mutex_unlock(&vmlat_rtt_mutex);
    return go_on;
}

static void *
rtt_main(void *aux OVS_UNUSED)
{
    long long int next_judge = 0;

    for (;;) {
        size_t n = 0;

        latch_poll(&wake);
        if (!obey()) {
            return NULL;
        }
        if (program) {
            uint64_t now = now_ns(CLOCK_MONOTONIC);

            n = vmlat_rtt_program_read(program);
            if (time_msec() >= next_judge) {
                read_counters();
                judge_echoes(now, false);
                next_judge = time_msec() + JUDGE_INTERVAL;
            }
        }

        latch_wait(&wake);
        if (program) {
            if (n) {
                /* More will come: rather many at once than a wakeup each. */
                poll_timer_wait(READ_INTERVAL);
            } else {
                poll_fd_wait(vmlat_rtt_program_fd(program), POLLIN);
                poll_timer_wait_until(hmap_is_empty(&echoes)
                                      ? time_msec() + IDLE_INTERVAL
                                      : next_judge);
            }
        }
        poll_block();
    }
}

/* For the main thread. */

static void
set_address(uint32_t address[4], uint32_t mask[4], bool given,
            const struct in6_addr *from, const struct in6_addr *from_mask)
{
    memset(address, 0, 16);
    memset(mask, 0, 16);
    if (given) {
        memcpy(address, from, 16);
        memcpy(mask, from_mask, 16);
    }
}

void
vmlat_rtt_start(const struct vmlat_filter *filter, unsigned int timeout_ms)
{
    struct ds ds = DS_EMPTY_INITIALIZER;
    struct stat netns;

    if (!have_thread) {
        latch_init(&wake);
        devices_seq = seq_create();
        devices_seen = seq_read(devices_seq);
        thread = ovs_thread_create("vmlat_rtt", rtt_main, NULL);
        have_thread = true;
    }
    vmlat_filter_format(filter, &ds);

    ovs_mutex_lock(&vmlat_rtt_mutex);
    set_address(results.config.src, results.config.src_mask,
                filter->keys & VMLAT_FILTER_SRC, &filter->src,
                &filter->src_mask);
    set_address(results.config.dst, results.config.dst_mask,
                filter->keys & VMLAT_FILTER_DST, &filter->dst,
                &filter->dst_mask);
    results.config.timeout_ns = timeout_ms * 1000000ULL;
    results.min_ns = filter->min_ns;
    results.netns = stat(NETNS_FILE, &netns) ? 0 : netns.st_ino;
    free(results.filter);
    results.filter = ds_steal_cstr(&ds);
    if (results.state != VMLAT_RTT_ON) {
        results.state = VMLAT_RTT_LOADING;
    }
    wanted = reconfigured = true;
    ovs_mutex_unlock(&vmlat_rtt_mutex);
    latch_set(&wake);
}

void
vmlat_rtt_stop(void)
{
    ovs_mutex_lock(&vmlat_rtt_mutex);
    wanted = false;
    if (results.state == VMLAT_RTT_ON || results.state == VMLAT_RTT_LOADING) {
        results.state = VMLAT_RTT_STOPPING;
    }
    ovs_mutex_unlock(&vmlat_rtt_mutex);
    if (have_thread) {
        latch_set(&wake);
    }
}

/* Returns whether the device 'name' of the daemon's namespace is the port of a
 * VM, by its role, its VM or its being a tap device. */
static bool
look_up_vm(const char *name)
{
    struct vmlat_db_port db;
    enum vmlat_role role;
    bool is_tap;
    char *path;

    vmlat_db_port_lookup(name, &db);
    if (!db.bridge) {
        return false;
    } else if (db.role && vmlat_role_from_name(db.role, &role)) {
        return role == VMLAT_ROLE_VM;
    } else if (db.vm) {
        return true;
    }
    path = xasprintf(TUN_FLAGS_FILE, name);
    is_tap = !access(path, F_OK);
    free(path);
    return is_tap;
}

void
vmlat_rtt_run(void)
{
    if (have_thread && (seq_read(devices_seq) != devices_seen
                        || time_msec() >= next_devices)) {
        struct shash_node *node;

        devices_seen = seq_read(devices_seq);
        next_devices = time_msec() + DEVICES_INTERVAL;
        ovs_mutex_lock(&vmlat_rtt_mutex);
        SHASH_FOR_EACH (node, &devices) {
            struct device *device = node->data;

            device->is_vm = look_up_vm(node->name);
        }
        ovs_mutex_unlock(&vmlat_rtt_mutex);
    }
}

void
vmlat_rtt_wait(void)
{
    if (have_thread) {
        bool any;

        ovs_mutex_lock(&vmlat_rtt_mutex);
        any = results.state == VMLAT_RTT_ON && !shash_is_empty(&devices);
        ovs_mutex_unlock(&vmlat_rtt_mutex);
        seq_wait(devices_seq, devices_seen);
        if (any) {
            poll_timer_wait_until(next_devices);
        }
    }
}

void
vmlat_rtt_exit(void)
{
    if (have_thread) {
        ovs_mutex_lock(&vmlat_rtt_mutex);
        exiting = true;
        ovs_mutex_unlock(&vmlat_rtt_mutex);
        latch_set(&wake);
        xpthread_join(thread, NULL);
        latch_destroy(&wake);
        seq_destroy(devices_seq);
        have_thread = false;

        ovs_mutex_lock(&vmlat_rtt_mutex);
        exiting = false;
        clear_results();
        free(results.filter);
        results.filter = NULL;
        ovs_mutex_unlock(&vmlat_rtt_mutex);
    }
}
