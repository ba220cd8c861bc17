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

#ifndef OVS_VMLAT_PAGE_H
#define OVS_VMLAT_PAGE_H 1

/* What the parts of the page of "ovs-vmlat join --html" share: text made safe,
 * times for people, figures, and files that appear when they are whole. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ovs-vmlat-report.h"

struct ds;

/* Text in a page: at most this many characters of a name, and of a line. */
#define PAGE_NAME 64
#define PAGE_LINE 512

void page_text(struct ds *, const char *, size_t max);

/* A time of 'ns' for people: "42.0 us", three digits (the "us" with the sign
 * for micro). */
void page_time(struct ds *, double ns);
void page_percent(struct ds *, double share);

/* The same, as an element that has the exact value in its title. */
void page_exact_time(struct ds *, int64_t ns);

/* Writes the 'n' bytes at 'data' to 'name'.  Returns NULL, or an error of one
 * line that the caller must free. */
char *page_write_file(const char *name, const char *data, size_t n);

/* The mean of 'segment' as a part of the mean round trip, 0 to 1; NAN if one
 * of them is not known, or if it is no part of that. */
double page_share(const struct report *, int segment);

/* Where segments are: "VM-A", "Host-A", ... */
const char *page_where(enum report_where);

/* The class of CSS of a layer: "vm", "host", ... */
const char *page_layer_class(enum report_layer);

/* Figures, each an svg element or a number of figure elements. */
void page_draw_path(struct ds *, const struct report *, bool narrow);
void page_draw_packet(struct ds *, const struct report *, size_t packet);
void page_draw_histograms(struct ds *, const struct report *);

#endif /* ovs-vmlat-page.h */
