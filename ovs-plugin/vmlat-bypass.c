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
#include "vmlat-bypass.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coverage.h"
#include "latch.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/list.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/shash.h"
#include "openvswitch/vlog.h"
#include "seq.h"
#include "sset.h"
#include "timeval.h"
#include "util.h"
#include "vmlat-bypass-db.h"
#include "vmlat-bypass-flows.h"
#include "vmlat-bypass-host.h"
#include "vmlat-bypass-load.h"
#include "vmlat-bypass-window.h"
#include "vmlat-pmd-load.h"
#include "vmlat-port.h"
#include "vmlat-settings.h"
#include "vmlat-shard.h"

VLOG_DEFINE_THIS_MODULE(vmlat_bypass);

COVERAGE_DEFINE(vmlat_bypass_verdict_changed);

/* How often what the database says is read again while windows are open, in
 * ms: not all that changes there wakes the main loop. */
#define DB_INTERVAL 2000

/* The watch tries again to load the program after so many ms. */
#define RETRY_INTERVAL 60000

/* A window of the watch takes at most so many ms, whatever gathering costs,
 * and at least as many times the CPU time that gathering takes. */
#define WATCH_WINDOW_MAX 60000
#define WATCH_COST_FACTOR 100

struct window {
    struct ovs_list node;       /* In 'windows'. */
    uint32_t number;            /* 0 for that of the watch. */
    unsigned int ms;
    bool open;                  /* Begun; the thread's alone. */
    bool done;                  /* 'results' are there; under the mutex. */
    bool dropped;               /* Nobody wants them; under the mutex. */

    /* The thread's alone, while open. */
    long long int end;          /* time_msec(). */
    uint64_t begin_ns;
    struct vmlat_pmd_load begin_load;
    struct vmlat_bypass_dp dp;
    struct vmlat_bypass_kernel kernel;

    struct vmlat_bypass_results results;
};

static struct ovs_mutex mutex = OVS_MUTEX_INITIALIZER;

/* Windows asked for and not taken.  The main thread adds and removes; the
 * thread removes those that are dropped, and the watch's. */
static struct ovs_list windows OVS_GUARDED_BY(mutex)
    = OVS_LIST_INITIALIZER(&windows);
static struct vmlat_bypass_ovs ovs_facts OVS_GUARDED_BY(mutex);
static bool watch_wanted OVS_GUARDED_BY(mutex);
static bool exiting OVS_GUARDED_BY(mutex);

/* Of the watch: the results of a window that the main thread has not fetched
 * yet, and verdicts. */
static struct vmlat_bypass_results *watch_new OVS_GUARDED_BY(mutex);
static struct vmlat_bypass_watch watch OVS_GUARDED_BY(mutex);

static struct latch wake;       /* Wakes the thread. */
static struct seq *done_seq;    /* Wakes the main thread. */

/* For the main thread. */
static bool have_thread;
static pthread_t thread;
static uint32_t last_number;
static uint64_t done_seen;
static long long int next_db;
static struct vmlat_bypass_results *watch_last;

/* For the thread alone.  All are there while there are windows. */
static struct vmlat_bypass_flows *flows;
static struct vmlat_bypass_program *program;
static char *load_error;        /* Why 'program' is NULL. */
static long long int next_load;
static struct vmlat_bypass_host host; /* As of the last gather(). */
static uint64_t host_left_out;  /* Devices and addresses beyond the maps. */

/* What the watch says of a port. */
struct watched {
    enum vmlat_bypass_verdict verdict;
    enum vmlat_bypass_verdict candidate;
    unsigned int n_windows;     /* In a row that said 'candidate'. */
    long long int since;
    unsigned int changes;
    bool seen;                  /* In the present window. */
};
static struct shash watched_ports = SHASH_INITIALIZER(&watched_ports);
static uint64_t watch_cpu_before;

static uint64_t
clock_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Gathering. */

static void
load_program(void)
{
    free(load_error);
    load_error = vmlat_bypass_program_load(&program);
    if (load_error) {
        program = NULL;
        VLOG_INFO("packets cannot be followed through the kernel: %s",
                  load_error);
        next_load = time_msec() + RETRY_INTERVAL;
    }

    /* Once, and so much that the watch's window would be as long as 100 times
     * that. */
    watch_cpu_before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* Reads how the host is configured, and has the program look at its internal
 * ports. */
static void
read_host(void)
{
    uint32_t *internal;
    size_t n = 0;

    vmlat_bypass_host_destroy(&host);
    vmlat_bypass_host_read(&host);
    if (!program) {
        return;
    }

    ovs_mutex_lock(&mutex);
    internal = xmalloc((ovs_facts.n_ports + 1) * sizeof *internal);
    for (size_t i = 0; i < ovs_facts.n_ports; i++) {
        const struct vmlat_bypass_port *port = &ovs_facts.ports[i];

        if (port->kind == VMLAT_BYPASS_PORT_INTERNAL && port->userspace) {
            const struct vmlat_bypass_link *link
                = vmlat_bypass_link_find_name(&host, port->name);

            if (link) {
                internal[n++] = link->ifindex;
            }
        }
    }
    ovs_mutex_unlock(&mutex);
    host_left_out = vmlat_bypass_program_configure(program, &host, internal,
                                                   n);
    free(internal);
}

/* Reads what has been counted since the last call, and adds it to all windows
 * that are open. */
static void
read_counters(void)
{
    struct sset mirrors = SSET_INITIALIZER(&mirrors);
    struct vmlat_bypass_kernel kernel;
    struct vmlat_bypass_dp dp;
    struct window *window;

    ovs_mutex_lock(&mutex);
    for (size_t i = 0; i < ovs_facts.n_ports; i++) {
        if (ovs_facts.ports[i].mirror) {
            sset_add(&mirrors, ovs_facts.ports[i].name);
        }
    }
    ovs_mutex_unlock(&mutex);
    vmlat_bypass_flows_read(flows, &mirrors, &dp);
    sset_destroy(&mirrors);
    if (program) {
        vmlat_bypass_program_read(program, &kernel);
    } else {
        memset(&kernel, 0, sizeof kernel);
        kernel.why_not = nullable_xstrdup(load_error);
    }
    ovs_mutex_lock(&mutex);
    LIST_FOR_EACH (window, node, &windows) {
        if (window->open) {
            vmlat_bypass_dp_add(&window->dp, &dp);
            vmlat_bypass_kernel_add(&window->kernel, &kernel);
        }
    }
    ovs_mutex_unlock(&mutex);
    vmlat_bypass_dp_destroy(&dp);
    vmlat_bypass_kernel_destroy(&kernel);
}

static void
begin_gathering(void)
{
    flows = vmlat_bypass_flows_create();
    vmlat_pmd_load_ref();
    load_program();
}

static void
end_gathering(void)
{
    if (flows) {
        vmlat_bypass_program_unload(program);
        program = NULL;
        vmlat_bypass_flows_destroy(flows);
        flows = NULL;
        vmlat_pmd_load_unref();
        vmlat_bypass_host_destroy(&host);
        memset(&host, 0, sizeof host);
        free(load_error);
        load_error = NULL;
    }
}

/* Windows. */

static void
free_window(struct window *window)
{
    vmlat_bypass_dp_destroy(&window->dp);
    vmlat_bypass_kernel_destroy(&window->kernel);
    vmlat_bypass_results_destroy(&window->results);
    free(window);
}

static void
begin_window(struct window *window)
{
    window->open = true;
    window->end = time_msec() + window->ms;
    window->begin_ns = clock_ns(CLOCK_MONOTONIC);
    vmlat_pmd_load_read(&window->begin_load);
}

/* Judges what was counted in 'window'. */
static void
judge_window(struct window *window)
{
    struct vmlat_bypass_facts facts;
    struct vmlat_pmd_load load;

    window->open = false;
    memset(&facts, 0, sizeof facts);
    facts.window_ns = clock_ns(CLOCK_MONOTONIC) - window->begin_ns;
    facts.dp = window->dp;
    facts.kernel = window->kernel;
    facts.host = host;
    facts.host.left_out += host_left_out;
    ovs_mutex_lock(&mutex);
    vmlat_bypass_ovs_clone(&facts.ovs, &ovs_facts);
    ovs_mutex_unlock(&mutex);
    vmlat_pmd_load_read(&load);
    load.busy -= window->begin_load.busy;
    load.idle -= window->begin_load.idle;
    if (load.busy || load.idle) {
        facts.ovs.pmd_known = true;
        facts.ovs.pmd_idle = 1.0 * load.idle / (load.busy + load.idle);
    }
    vmlat_bypass_judge(&facts, &window->results);
    vmlat_bypass_ovs_destroy(&facts.ovs);

    vmlat_bypass_dp_destroy(&window->dp);
    vmlat_bypass_kernel_destroy(&window->kernel);
    memset(&window->dp, 0, sizeof window->dp);
    memset(&window->kernel, 0, sizeof window->kernel);
}

/* The watch. */

static void
log_verdict(const struct vmlat_bypass_result *result,
            enum vmlat_bypass_verdict before)
{
    enum vlog_level level = (result->verdict >= VMLAT_BYPASS_SUSPECT
                             ? VLL_WARN : VLL_INFO);
    struct ds ds = DS_EMPTY_INITIALIZER;

    for (size_t i = 0; i < result->n_causes; i++) {
        ds_put_format(&ds, "%s%s", i ? ", " : "; ", result->causes[i].code);
    }
    if (result->share >= 0) {
        VLOG(level, "%s: %s, was %s: %.1f %% of %"PRIu64" packets to and from "
             "beyond this host were routed by the kernel%s", result->port,
             vmlat_bypass_verdict_name(result->verdict),
             vmlat_bypass_verdict_name(before), result->share * 100,
             result->share_of, ds_cstr(&ds));
    } else {
        VLOG(level, "%s: %s, was %s%s", result->port,
             vmlat_bypass_verdict_name(result->verdict),
             vmlat_bypass_verdict_name(before), ds_cstr(&ds));
    }
    ds_destroy(&ds);
}

/* Takes note of what a window of the watch says of a port. */
static void
watch_port(const struct vmlat_bypass_result *result)
{
    struct watched *w = shash_find_data(&watched_ports, result->port);

    if (!w) {
        w = xzalloc(sizeof *w);
        w->verdict = w->candidate = VMLAT_BYPASS_IDLE;
        w->since = time_wall_msec();
        shash_add(&watched_ports, result->port, w);
    }
    w->seen = true;
    if (result->verdict == w->verdict) {
        w->candidate = w->verdict;
        w->n_windows = 0;
        return;
    }
    if (result->verdict != w->candidate) {
        w->candidate = result->verdict;
        w->n_windows = 0;
    }
    if (++w->n_windows >= VMLAT_BYPASS_HYSTERESIS) {
        log_verdict(result, w->verdict);
        COVERAGE_INC(vmlat_bypass_verdict_changed);
        w->verdict = w->candidate;
        w->since = time_wall_msec();
        w->changes++;
        w->n_windows = 0;
    }
}

static void
free_watched(void)
    OVS_REQUIRES(mutex)
{
    for (size_t i = 0; i < watch.n; i++) {
        free(watch.ports[i].port);
    }
    free(watch.ports);
    watch.ports = NULL;
    watch.n = 0;
}

static void
forget_watch(void)
{
    shash_clear_free_data(&watched_ports);
    ovs_mutex_lock(&mutex);
    free_watched();
    free(watch.why_not);
    memset(&watch, 0, sizeof watch);
    if (watch_new) {
        vmlat_bypass_results_destroy(watch_new);
        free(watch_new);
        watch_new = NULL;
    }
    ovs_mutex_unlock(&mutex);
}

/* A window of the watch is judged: takes note of the verdicts, and publishes
 * all. */
static void
watch_judged(struct window *window)
{
    uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    uint64_t taken_ns = cpu_ns - watch_cpu_before;
    const struct vmlat_bypass_results *results = &window->results;
    struct shash_node *node;
    size_t n = 0;

    watch_cpu_before = cpu_ns;
    SHASH_FOR_EACH (node, &watched_ports) {
        struct watched *w = node->data;

        w->seen = false;
    }
    for (size_t i = 0; i < results->n; i++) {
        watch_port(&results->results[i]);
    }
    SHASH_FOR_EACH_SAFE (node, &watched_ports) {
        struct watched *w = node->data;

        if (!w->seen) {
            shash_delete(&watched_ports, node);
            free(w);
        }
    }

    window->ms = MIN(WATCH_WINDOW_MAX,
                     MAX(VMLAT_BYPASS_WATCH_WINDOW,
                         taken_ns * WATCH_COST_FACTOR / 1000000));

    ovs_mutex_lock(&mutex);
    free_watched();
    watch.ports = xcalloc(shash_count(&watched_ports) + 1,
                          sizeof *watch.ports);
    SHASH_FOR_EACH (node, &watched_ports) {
        const struct watched *w = node->data;

        watch.ports[n].port = xstrdup(node->name);
        watch.ports[n].verdict = w->verdict;
        watch.ports[n].since = w->since;
        watch.ports[n].changes = w->changes;
        n++;
    }
    watch.n = n;
    watch.windows++;
    watch.cpu_ns += taken_ns;
    watch.window_ms = window->ms;
    free(watch.why_not);
    watch.why_not = nullable_xstrdup(load_error);
    if (!watch_new) {
        watch_new = xmalloc(sizeof *watch_new);
    } else {
        vmlat_bypass_results_destroy(watch_new);
    }
    *watch_new = window->results;
    memset(&window->results, 0, sizeof window->results);
    ovs_mutex_unlock(&mutex);
}

/* The thread. */

/* Begins windows that were asked for, ends those that are due.  Returns when
 * to do so again, LLONG_MAX if not before somebody asks. */
static long long int
run_windows(void)
{
    long long int now = time_msec(), next = LLONG_MAX;
    struct window *window;
    bool any = false, ask = false, due = false;

    ovs_mutex_lock(&mutex);
    LIST_FOR_EACH_SAFE (window, node, &windows) {
        if (window->dropped
            || (!window->number && !watch_wanted)) {
            ovs_list_remove(&window->node);
            free_window(window);
        } else if (!window->done) {
            any = true;
            ask |= !window->open;
            due |= window->open && window->end <= now;
        }
    }
    ovs_mutex_unlock(&mutex);

    if (!any) {
        end_gathering();
        return LLONG_MAX;
    }
    if (!flows) {
        begin_gathering();
    } else if (!program && time_msec() >= next_load) {
        load_program();
    }
    if (ask || due) {
        read_host();
        read_counters();
        now = time_msec();
    }

    /* Only this thread takes windows that are not done out of the list. */
    ovs_mutex_lock(&mutex);
    LIST_FOR_EACH (window, node, &windows) {
        bool judge = window->open && window->end <= now;

        if (window->done) {
            continue;
        }
        if (judge) {
            ovs_mutex_unlock(&mutex);
            judge_window(window);
            if (!window->number) {
                watch_judged(window);
            }
            ovs_mutex_lock(&mutex);
            window->done = window->number != 0;
            seq_change(done_seq);
        }
        if (!window->open && !window->done && (ask || due)) {
            begin_window(window);
        }
        if (window->open) {
            next = MIN(next, window->end);
        }
    }
    ovs_mutex_unlock(&mutex);
    return next;
}

static void *
bypass_main(void *aux OVS_UNUSED)
{
    bool watching = false;

    for (;;) {
        long long int next;
        bool quit, want;

        latch_poll(&wake);
        ovs_mutex_lock(&mutex);
        quit = exiting;
        want = watch_wanted;
        if (want && !watching && !quit) {
            struct window *window = xzalloc(sizeof *window);

            window->ms = VMLAT_BYPASS_WATCH_WINDOW;
            ovs_list_push_back(&windows, &window->node);
            watch.on = true;
            watch.window_ms = window->ms;
            watch_cpu_before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        }
        ovs_mutex_unlock(&mutex);
        if (quit) {
            end_gathering();
            forget_watch();
            return NULL;
        }
        next = run_windows();
        if (watching && !want) {
            forget_watch();
        }
        watching = want;

        latch_wait(&wake);
        if (next != LLONG_MAX) {
            poll_timer_wait_until(next);
        }
        poll_block();
    }
}

/* For the main thread. */

/* Hands what the database says to the thread. */
static void
read_db(void)
{
    struct vmlat_bypass_ovs new, old;

    vmlat_bypass_db_read(&new);
    ovs_mutex_lock(&mutex);
    old = ovs_facts;
    ovs_facts = new;
    ovs_mutex_unlock(&mutex);
    vmlat_bypass_ovs_destroy(&old);
    next_db = time_msec() + DB_INTERVAL;
}

static void
start_thread(void)
{
    if (!have_thread) {
        latch_init(&wake);
        done_seq = seq_create();
        done_seen = seq_read(done_seq);
        thread = ovs_thread_create("vmlat_bypass", bypass_main, NULL);
        have_thread = true;
    }
}

uint32_t
vmlat_bypass_ask(unsigned int ms)
{
    struct window *window = xzalloc(sizeof *window);

    start_thread();
    read_db();
    if (!++last_number) {
        last_number = 1;
    }
    window->number = last_number;
    window->ms = ms;
    ovs_mutex_lock(&mutex);
    ovs_list_push_back(&windows, &window->node);
    ovs_mutex_unlock(&mutex);
    latch_set(&wake);
    return last_number;
}

static struct window *
find_window(uint32_t number)
    OVS_REQUIRES(mutex)
{
    struct window *window;

    LIST_FOR_EACH (window, node, &windows) {
        if (window->number == number) {
            return window;
        }
    }
    return NULL;
}

bool
vmlat_bypass_is_done(uint32_t number)
{
    const struct window *window;
    bool done;

    ovs_mutex_lock(&mutex);
    window = find_window(number);
    done = window && window->done;
    ovs_mutex_unlock(&mutex);
    return done;
}

/* Adds packets from VMs to NICs in userspace datapaths. */
static void
add_direct(const struct vmlat_port *in, const struct vmlat_port *out,
           enum vmlat_segment segment, const struct vmlat_snapshot *snapshot,
           void *sum)
{
    if (segment == VMLAT_SEG_OVS && out && !in->is_kernel && !out->is_kernel
        && in->role == VMLAT_ROLE_VM && out->role == VMLAT_ROLE_WIRE) {
        vmlat_snapshot_merge(sum, snapshot);
    }
}

/* Adds what vmlat has measured of the way that does not bypass. */
static void
complete_results(struct vmlat_bypass_results *results)
{
    struct vmlat_snapshot *sum = xmalloc_cacheline(sizeof *sum);

    vmlat_snapshot_init(sum);
    ovs_mutex_lock(&vmlat_ports_mutex);
    vmlat_pairs_read(add_direct, sum);
    ovs_mutex_unlock(&vmlat_ports_mutex);
    results->direct_known = sum->count > 0;
    results->direct_packets = sum->count;
    results->direct_p50_ns = (sum->count
                              ? vmlat_snapshot_percentile(sum, 50) : 0);
    free_cacheline(sum);
}

bool
vmlat_bypass_take(uint32_t number, struct vmlat_bypass_results *results)
{
    struct window *window;
    bool done;

    ovs_mutex_lock(&mutex);
    window = find_window(number);
    done = window && window->done;
    if (done) {
        ovs_list_remove(&window->node);
        *results = window->results;
        memset(&window->results, 0, sizeof window->results);
    } else if (window) {
        window->dropped = true;
    }
    ovs_mutex_unlock(&mutex);
    if (done) {
        free_window(window);
        complete_results(results);
    } else if (window) {
        latch_set(&wake);
    }
    return done;
}

const struct vmlat_bypass_results *
vmlat_bypass_watch_last(void)
{
    return watch_last;
}

void
vmlat_bypass_watch_get(struct vmlat_bypass_watch *copy)
{
    ovs_mutex_lock(&mutex);
    *copy = watch;
    copy->on = watch_wanted;
    copy->why_not = nullable_xstrdup(watch.why_not);
    copy->ports = (watch.n
                   ? xmemdup(watch.ports, watch.n * sizeof *watch.ports)
                   : NULL);
    for (size_t i = 0; i < watch.n; i++) {
        copy->ports[i].port = xstrdup(watch.ports[i].port);
    }
    ovs_mutex_unlock(&mutex);
}

void
vmlat_bypass_watch_destroy(struct vmlat_bypass_watch *w)
{
    for (size_t i = 0; i < w->n; i++) {
        free(w->ports[i].port);
    }
    free(w->ports);
    free(w->why_not);
}

static void
free_watch_last(void)
{
    if (watch_last) {
        vmlat_bypass_results_destroy(watch_last);
        free(watch_last);
        watch_last = NULL;
    }
}

void
vmlat_bypass_run(bool changed)
{
    bool want = vmlat_setting_get(VMLAT_SET_BYPASS_WATCH);
    bool wake_thread, any, fetched = false;

    if (want) {
        start_thread();
    }
    if (!have_thread) {
        return;
    }

    ovs_mutex_lock(&mutex);
    any = want || !ovs_list_is_empty(&windows);
    ovs_mutex_unlock(&mutex);
    if (any && (changed || time_msec() >= next_db)) {
        read_db();
    }

    done_seen = seq_read(done_seq);
    ovs_mutex_lock(&mutex);
    wake_thread = watch_wanted != want;
    watch_wanted = want;
    if (watch_new || !want) {
        free_watch_last();
        if (want) {
            watch_last = watch_new;
            watch_new = NULL;
            fetched = true;
        }
    }
    ovs_mutex_unlock(&mutex);
    if (wake_thread) {
        latch_set(&wake);
    }
    if (fetched) {
        complete_results(watch_last);
    }
}

void
vmlat_bypass_wait(void)
{
    if (have_thread) {
        bool any;

        ovs_mutex_lock(&mutex);
        any = watch_wanted || !ovs_list_is_empty(&windows);
        ovs_mutex_unlock(&mutex);
        seq_wait(done_seq, done_seen);
        if (any) {
            poll_timer_wait_until(next_db);
        }
    }
}

void
vmlat_bypass_exit(void)
{
    if (have_thread) {
        struct window *window;

        ovs_mutex_lock(&mutex);
        exiting = true;
        ovs_mutex_unlock(&mutex);
        latch_set(&wake);
        xpthread_join(thread, NULL);
        latch_destroy(&wake);
        seq_destroy(done_seq);
        have_thread = false;

        ovs_mutex_lock(&mutex);
        LIST_FOR_EACH_SAFE (window, node, &windows) {
            ovs_list_remove(&window->node);
            free_window(window);
        }
        vmlat_bypass_ovs_destroy(&ovs_facts);
        memset(&ovs_facts, 0, sizeof ovs_facts);
        watch_wanted = exiting = false;
        ovs_mutex_unlock(&mutex);
        free_watch_last();
    }
}
