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
#include "vmlat-pmd-load.h"

#include <stdlib.h>

#include "dpif-netdev-perf.h"
#include "openvswitch/list.h"
#include "openvswitch/thread.h"
#include "ovs-thread.h"
#include "util.h"

/* A PMD thread publishes its counters once in so many iterations. */
#define NOTE_INTERVAL 64

atomic_bool vmlat_pmd_load_wanted = false;

struct thread_load {
    struct ovs_list node;       /* In 'threads'. */
    unsigned int n;             /* Iterations; the owner's alone. */
    uint64_t base_busy, base_idle;
    atomic_uint64_t busy;       /* Written by the owner, read by any. */
    atomic_uint64_t idle;
};

static struct ovs_mutex mutex = OVS_MUTEX_INITIALIZER;
static struct ovs_list threads OVS_GUARDED_BY(mutex)
    = OVS_LIST_INITIALIZER(&threads);
static unsigned int n_refs OVS_GUARDED_BY(mutex);
static struct vmlat_pmd_load gone OVS_GUARDED_BY(mutex); /* Of dead threads. */

static ovsthread_key_t key;

static void
thread_exits(void *load_)
{
    struct thread_load *load = load_;
    uint64_t busy, idle;

    atomic_read_relaxed(&load->busy, &busy);
    atomic_read_relaxed(&load->idle, &idle);
    ovs_mutex_lock(&mutex);
    gone.busy += busy;
    gone.idle += idle;
    ovs_list_remove(&load->node);
    ovs_mutex_unlock(&mutex);
    free_cacheline(load);
}

static void
create_key(void)
{
    static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;

    if (ovsthread_once_start(&once)) {
        ovsthread_key_create(&key, thread_exits);
        ovsthread_once_done(&once);
    }
}

void
vmlat_pmd_load_ref(void)
{
    create_key();
    ovs_mutex_lock(&mutex);
    if (!n_refs++) {
        atomic_store(&vmlat_pmd_load_wanted, true);
    }
    ovs_mutex_unlock(&mutex);
}

void
vmlat_pmd_load_unref(void)
{
    ovs_mutex_lock(&mutex);
    if (!--n_refs) {
        atomic_store(&vmlat_pmd_load_wanted, false);
    }
    ovs_mutex_unlock(&mutex);
}

void
vmlat_pmd_load_read(struct vmlat_pmd_load *sum)
{
    struct thread_load *load;

    ovs_mutex_lock(&mutex);
    *sum = gone;
    LIST_FOR_EACH (load, node, &threads) {
        uint64_t busy, idle;

        atomic_read_relaxed(&load->busy, &busy);
        atomic_read_relaxed(&load->idle, &idle);
        sum->busy += busy;
        sum->idle += idle;
    }
    ovs_mutex_unlock(&mutex);
}

void
vmlat_pmd_load_note__(struct pmd_perf_stats *s)
{
    struct thread_load *load = ovsthread_getspecific(key);
    uint64_t busy, idle;

    if (load && ++load->n % NOTE_INTERVAL) {
        return;
    }

    /* Not pmd_perf_read_counters(), which starts again from 0 when somebody
     * clears them. */
    atomic_read_relaxed(&s->counters.n[PMD_CYCLES_ITER_BUSY], &busy);
    atomic_read_relaxed(&s->counters.n[PMD_CYCLES_ITER_IDLE], &idle);
    if (!load) {
        load = xzalloc_cacheline(sizeof *load);
        load->base_busy = busy;
        load->base_idle = idle;
        ovsthread_setspecific(key, load);
        ovs_mutex_lock(&mutex);
        ovs_list_push_back(&threads, &load->node);
        ovs_mutex_unlock(&mutex);
    }
    atomic_store_relaxed(&load->busy, busy - load->base_busy);
    atomic_store_relaxed(&load->idle, idle - load->base_idle);
}
