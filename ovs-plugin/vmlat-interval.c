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
#include "vmlat-interval.h"

#include <stdlib.h>
#include <string.h>

#include "openvswitch/list.h"
#include "openvswitch/poll-loop.h"
#include "timeval.h"
#include "unixctl.h"
#include "util.h"
#include "vmlat.h"
#include "vmlat-bypass.h"
#include "vmlat-command.h"
#include "vmlat-datapath.h"
#include "vmlat-kernel.h"
#include "vmlat-port.h"
#include "vmlat-virt.h"

/* Most commands that may wait.  What is kept for an interval may be large. */
#define MAX_PENDING 64

/* How long vmlat/start waits for the kernel, and how often it looks, ms. */
#define START_TIMEOUT 30000
#define START_POLL 20

/* How long after its end a window of vmlat/bypass may take to be judged, ms:
 * loading the program into the kernel takes a second or so. */
#define BYPASS_TIMEOUT 60000

/* A command that waits. */
struct pending {
    struct ovs_list node;           /* In 'pending'. */
    struct unixctl_conn *conn;
    struct vmlat_args args;         /* With copies of its strings. */
    char *words[VMLAT_MAX_WORDS];
    struct ds reply;                /* Of vmlat/start. */
    uint32_t bypass;                /* Window of vmlat/bypass, else 0. */
    long long int deadline;         /* time_msec(). */
};

static struct ovs_list pending = OVS_LIST_INITIALIZER(&pending);
static size_t n_pending;

static char *
pending_add(struct unixctl_conn *conn, const struct vmlat_args *args,
            long long int wait, struct pending **pp)
{
    struct pending *p;

    *pp = NULL;
    if (n_pending >= MAX_PENDING) {
        return xasprintf("%d commands are waiting already, which is as many "
                         "as there may be", MAX_PENDING);
    }
    p = *pp = xzalloc(sizeof *p);
    p->conn = conn;
    p->args = *args;
    p->args.check_only = false;
    for (size_t i = 0; i < args->n_words; i++) {
        p->args.words[i] = p->words[i] = xstrdup(args->words[i]);
    }
    vmlat_filter_clone(&p->args.filter, &args->filter);
    ds_init(&p->reply);
    p->deadline = time_msec() + wait;
    ovs_list_push_back(&pending, &p->node);
    n_pending++;
    return NULL;
}

/* Answers, with 'error' if it is not NULL, and forgets 'p'. */
static void
pending_finish(struct pending *p, const char *error)
{
    struct vmlat_bypass_results dropped;

    vmlat_command_reply(p->conn, p->args.command, error, ds_cstr(&p->reply));
    if (p->bypass && vmlat_bypass_take(p->bypass, &dropped)) {
        vmlat_bypass_results_destroy(&dropped);
    }
    ovs_list_remove(&p->node);
    n_pending--;
    vmlat_base_destroy(p->args.base);
    for (size_t i = 0; i < p->args.n_words; i++) {
        free(p->words[i]);
    }
    vmlat_filter_destroy(&p->args.filter);
    ds_destroy(&p->reply);
    free(p);
}

char *
vmlat_interval_begin(struct unixctl_conn *conn, const struct vmlat_args *args)
{
    struct pending *p;
    char *error = pending_add(conn, args, args->interval_ms, &p);

    if (!error) {
        ovs_mutex_lock(&vmlat_ports_mutex);
        p->args.base = vmlat_base_create(args->command->takes);
        ovs_mutex_unlock(&vmlat_ports_mutex);
    }
    return error;
}

char *
vmlat_interval_await_start(struct unixctl_conn *conn,
                           const struct vmlat_args *args,
                           const struct ds *reply)
{
    struct pending *p;
    char *error = pending_add(conn, args, START_TIMEOUT, &p);

    if (!error) {
        ds_put_buffer(&p->reply, reply->string, reply->length);
    }
    return error;
}

char *
vmlat_interval_await_bypass(struct unixctl_conn *conn,
                            const struct vmlat_args *args)
{
    unsigned int ms = (args->interval_ms ? args->interval_ms
                       : VMLAT_BYPASS_WINDOW_DEFAULT);
    struct pending *p;
    char *error = pending_add(conn, args, ms + BYPASS_TIMEOUT, &p);

    if (!error) {
        p->bypass = vmlat_bypass_ask(ms);
    }
    return error;
}

/* Answers vmlat/bypass, or that there is no answer. */
static void
bypass_over(struct pending *p)
{
    struct vmlat_bypass_results results;
    char *error;

    if (vmlat_bypass_take(p->bypass, &results)) {
        p->args.bypass = &results;
        error = p->args.command->run(&p->args, &p->reply);
        vmlat_bypass_results_destroy(&results);
    } else {
        error = xasprintf("the window was not judged within %d s after its "
                          "end", BYPASS_TIMEOUT / 1000);
    }
    p->bypass = 0;
    pending_finish(p, error);
    free(error);
}

static void
interval_over(struct pending *p)
{
    struct vmlat_base *base = p->args.base;
    char *error = vmlat_base_end(base);

    if (!error) {
        error = p->args.command->run(&p->args, &p->reply);
    }
    if (!error) {
        error = vmlat_base_end(base);
    }
    pending_finish(p, error);
    free(error);
}

static void
count_userspace_port(struct vmlat_port *port, void *n_)
{
    size_t *n = n_;

    *n += !port->is_kernel;
}

/* Returns true if ports of a userspace datapath are measured. */
static bool
is_userspace_measured(void)
{
    size_t n = 0;

    ovs_mutex_lock(&vmlat_ports_mutex);
    vmlat_port_for_each(count_userspace_port, &n);
    ovs_mutex_unlock(&vmlat_ports_mutex);
    return n && !vmlat_datapath_why_not();
}

/* Appends to 'reply' what of the ways between ports and VMs is not measured,
 * or not yet. */
static void
put_virt_result(struct ds *reply)
{
    enum vmlat_virt_state state = vmlat_virt_state();
    const char *why_not = vmlat_virt_why_not();

    if (why_not && vmlat_virt_has_taps()) {
        ds_put_format(reply, "warning: between ports and VMs: %s: %s\n",
                      (state == VMLAT_VIRT_ON
                       ? "measured in part" : "not measured"), why_not);
    } else if (state == VMLAT_VIRT_LOADING) {
        ds_put_cstr(reply, "warning: between ports and VMs: not measured yet; "
                    "vmlat/status tells when it is\n");
    }
}

char *
vmlat_interval_start_result(struct ds *reply)
{
    /* Without support for the kernel datapath nobody knows whether there is
     * one, and vmlat_start() has said what there is to say. */
    const char *why_not = (vmlat_kernel_is_supported()
                           ? vmlat_kernel_why_not() : NULL);

    if (vmlat_state() != VMLAT_STARTED) {
        return xstrdup("stopped again before the kernel datapath was "
                       "measured");
    } else if (why_not && !is_userspace_measured()) {
        return xasprintf("cannot measure: %s", why_not);
    } else if (why_not) {
        ds_put_format(reply, "warning: the kernel datapath is not measured: "
                      "%s\n", why_not);
    } else if (vmlat_kernel_state() == VMLAT_KERNEL_LOADING) {
        ds_put_cstr(reply, "warning: the kernel datapath is not measured "
                    "yet; vmlat/status tells when it is\n");
    } else if (vmlat_datapath_why_not()
               && vmlat_kernel_state() == VMLAT_KERNEL_OFF) {
        ds_put_format(reply, "warning: nothing is measured before a datapath "
                      "of the kernel has ports; the userspace datapath "
                      "cannot be: %s\n", vmlat_datapath_why_not());
    }
    put_virt_result(reply);
    return NULL;
}

void
vmlat_interval_run(void)
{
    struct pending *p;

    LIST_FOR_EACH_SAFE (p, node, &pending) {
        if (p->bypass) {
            if (vmlat_bypass_is_done(p->bypass)
                || time_msec() >= p->deadline) {
                bypass_over(p);
            }
        } else if (!p->args.base) {
            if (!vmlat_start_pending() || time_msec() >= p->deadline) {
                char *error = vmlat_interval_start_result(&p->reply);

                pending_finish(p, error);
                free(error);
            }
        } else if (time_msec() >= p->deadline) {
            interval_over(p);
        }
    }
}

void
vmlat_interval_wait(void)
{
    const struct pending *p;

    LIST_FOR_EACH (p, node, &pending) {
        if (p->args.base || p->bypass) {
            poll_timer_wait_until(p->deadline);
        } else {
            poll_timer_wait(START_POLL);
        }
    }
}

void
vmlat_interval_exit(void)
{
    struct pending *p;

    LIST_FOR_EACH_SAFE (p, node, &pending) {
        pending_finish(p, "ovs-vswitchd ends");
    }
}
