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

/* Names of what a report has. */

#include <config.h>
#include "ovs-vmlat-report.h"

#include <stdlib.h>

#include "openvswitch/dynamic-string.h"
#include "util.h"

const struct report_segment_class report_segment_classes[] = {
#define REPORT_SEGMENT(ID, LETTER, LAYER, WHERE, NAME)                        \
    { LETTER, NAME, REPORT_##LAYER, REPORT_##WHERE },
    REPORT_SEGMENTS
#undef REPORT_SEGMENT
};

const char *
report_layer_name(enum report_layer layer)
{
    static const char *names[] = {
        [REPORT_VM] = "vm",
        [REPORT_HOST] = "host",
        [REPORT_WIRE] = "wire",
        [REPORT_VIRT] = "virtualization",
        [REPORT_REST] = "unmeasured",
    };

    return names[layer];
}

const char *
report_level_name(enum report_level level)
{
    static const char *names[] = {
        [REPORT_OK] = "ok",
        [REPORT_NOTE] = "note",
        [REPORT_WARNING] = "warning",
        [REPORT_ERROR] = "error",
    };

    return names[level];
}

const char *
report_how_name(enum report_how how)
{
    static const char *names[] = {
        [REPORT_MEASURED] = "measured",
        [REPORT_DERIVED] = "derived",
        [REPORT_HALVED] = "halved",
        [REPORT_UNKNOWN] = "unknown",
    };

    return names[how];
}

bool
report_is_within_rtt(const struct report *r, int id)
{
    return (r->rtt_is_of_guest
            || (id > REPORT_SEG_B1 && id < REPORT_SEG_L));
}

void
report_put_not_considered(struct ds *ds, const struct report *r, bool outside,
                          const char *separator)
{
    bool any = false;

    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        bool is_known = r->segments[i].stats.n;

        if (outside
            ? is_known && r->rtt.n && !report_is_within_rtt(r, i)
            : !is_known) {
            ds_put_format(ds, "%s%s", any ? separator : "",
                          report_segment_classes[i].letter);
            any = true;
        }
    }
}

bool
report_is_wire_more(const struct report *r)
{
    const struct report_segment *c = &r->segments[REPORT_SEG_C];

    return (c->how == REPORT_HALVED && r->primary >= 0
            && 2 * c->stats.mean > r->segments[r->primary].stats.mean
            && r->primary != REPORT_SEG_C && r->primary != REPORT_SEG_J);
}

/* Frees what '*report' has, not 'report' itself. */
void
report_uninit(struct report *report)
{
    free(report->title);
    for (size_t i = 0; i < ARRAY_SIZE(report->inputs); i++) {
        free(report->inputs[i].file);
        free(report->inputs[i].host);
        free(report->inputs[i].software);
        free(report->inputs[i].filter);
    }
    for (size_t i = 0; i < 2; i++) {
        free(report->vm_port[i]);
        free(report->nic_port[i]);
        free(report->vm[i]);
    }
    for (size_t i = 0; i < REPORT_N_SEGMENTS; i++) {
        free(report->segments[i].why);
        free(report->segments[i].stats.buckets);
    }
    for (size_t i = 0; i < report->n_rows; i++) {
        free(report->rows[i].name);
        free(report->rows[i].why);
        free(report->rows[i].stats.buckets);
    }
    free(report->rows);
    for (size_t i = 0; i < REPORT_N_LAYERS; i++) {
        free(report->layers[i].stats.buckets);
    }
    free(report->rtt.buckets);
    for (size_t i = 0; i < report->n_findings; i++) {
        free(report->findings[i].code);
        free(report->findings[i].text);
        free(report->findings[i].advice);
    }
    free(report->findings);
    for (size_t i = 0; i < report->n_packets; i++) {
        free(report->packets[i].name);
    }
    free(report->packets);
    for (size_t i = 0; i < report->n_counts; i++) {
        free(report->counts[i].name);
    }
    free(report->counts);
}
