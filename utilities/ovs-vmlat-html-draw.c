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

/* The figures of the page.  They are of text, lines and rectangles; colors and
 * fonts are the style sheet's, so that they follow it into the dark and onto
 * paper. */

#include <config.h>

#include "ovs-vmlat-page.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "util.h"

/* Characters of a name in a figure. */
#define DRAW_NAME 16

static bool
is_known(const struct report_segment *s)
{
    return s->how != REPORT_UNKNOWN && s->stats.n;
}

static void
put_text(struct ds *ds, int x, int y, const char *classes, const char *text)
{
    ds_put_format(ds, "<text x='%d' y='%d' class='%s'>%s</text>\n",
                  x, y, classes, text);
}

static void
put_name(struct ds *ds, int x, int y, const char *classes, const char *name)
{
    if (name && name[0]) {
        ds_put_format(ds, "<text x='%d' y='%d' class='%s'><title>", x, y,
                      classes);
        page_text(ds, name, PAGE_NAME);
        ds_put_cstr(ds, "</title>");
        page_text(ds, name, DRAW_NAME);
        ds_put_cstr(ds, "</text>\n");
    }
}

static void
put_time(struct ds *ds, int x, int y, const char *classes, double ns)
{
    ds_put_format(ds, "<text x='%d' y='%d' class='%s'>", x, y, classes);
    page_time(ds, ns);
    ds_put_cstr(ds, "</text>\n");
}

/* Begins an image of 'w' by 'h' that says what it is to those who do not see
 * it.  'id' is unique in the page. */
static void
begin_svg(struct ds *ds, const char *classes, const char *id, int w, int h,
          const char *title)
{
    ds_put_format(ds, "<svg class='%s' viewBox='0 0 %d %d' role='img' "
                  "aria-labelledby='%s-t %s-d'>\n"
                  "<title id='%s-t'>%s</title>\n<desc id='%s-d'>",
                  classes, w, h, id, id, id, title, id);
}

static void
end_description(struct ds *ds)
{
    ds_put_cstr(ds, "</desc>\n");
}

/* The way.  A "chip" is the rectangle of one segment, a "place" that of a
 * machine. */

enum { WIDE_CHIP = 62, NARROW_CHIP = 42 };      /* Heights. */

static void
put_chip(struct ds *ds, const struct report *r, int id, int x, int y, int w,
         bool narrow)
{
    const struct report_segment_class *class = &report_segment_classes[id];
    const struct report_segment *s = &r->segments[id];
    double share = page_share(r, id);
    bool primary = r->primary == id;
    int h = narrow ? NARROW_CHIP : WIDE_CHIP;
    int right = x + w - 8;
    int time_x = narrow ? right : x + 11;
    int time_y = y + (narrow ? 18 : 37);
    int share_y = y + (narrow ? 33 : 52);

    ds_put_format(ds, "<g class='chip %s%s%s'><title>%s, %s: ",
                  page_layer_class(class->layer),
                  is_known(s) ? "" : " unknown", primary ? " primary" : "",
                  class->letter, class->name);
    if (is_known(s)) {
        ds_put_format(ds, "median %"PRId64" ns%s", s->stats.p50,
                      s->how == REPORT_HALVED ? ", half of C + J" : "");
    } else {
        ds_put_cstr(ds, "unknown");
    }
    if (s->why) {
        ds_put_cstr(ds, "; ");
        page_text(ds, s->why, PAGE_LINE);
    }
    ds_put_format(ds, "</title>\n"
                  "<rect class='box' x='%d' y='%d' width='%d' height='%d' "
                  "rx='5'/>\n"
                  "<rect class='band' x='%d' y='%d' width='4' height='%d' "
                  "rx='2'/>\n",
                  x, y, w, h, x + 3, y + 4, h - 8);

    put_text(ds, x + 12, y + 19, "letter", class->letter);
    if (narrow) {
        put_text(ds, x + 12, y + 33, "small",
                 page_layer_class(class->layer));
    } else {
        put_text(ds, right, y + 17, "small end",
                 page_layer_class(class->layer));
    }

    if (is_known(s)) {
        ds_put_format(ds, "<text x='%d' y='%d' class='time%s'>%s", time_x,
                      time_y, narrow ? " end" : "",
                      s->how == REPORT_HALVED ? "&#8776;" : "");
        page_time(ds, s->stats.p50);
        ds_put_cstr(ds, "</text>\n");
    } else {
        put_text(ds, time_x, time_y, narrow ? "time end" : "time", "?");
        put_text(ds, time_x, share_y, narrow ? "small end" : "small",
                 "unknown");
    }
    if (isfinite(share)) {
        ds_put_format(ds, "<text x='%d' y='%d' class='small%s'>", time_x,
                      share_y, narrow ? " end" : "");
        page_percent(ds, share);
        ds_put_format(ds, "</text>\n<rect class='bar' x='%d' y='%d' "
                      "width='%.1f' height='3'/>\n", x + 11, y + h - 5,
                      (w - 19) * MIN(1, MAX(0, share)));
    }
    if (primary) {
        put_text(ds, narrow ? x + 44 : x + w / 2, narrow ? y + 33 : y - 5,
                 narrow ? "flag" : "flag middle",
                 narrow ? "&#9664; largest" : "&#9660; largest");
    }
    ds_put_cstr(ds, "</g>\n");
}

/* The way of packets from one place to the next, straight. */
static void
put_arrow(struct ds *ds, int x1, int y1, int x2, int y2)
{
    int dx = (x2 > x1) - (x2 < x1), dy = (y2 > y1) - (y2 < y1);

    ds_put_format(ds, "<path class='way' d='M%d %dL%d %d'/>"
                  "<path class='head' d='M%d %dL%d %dL%d %dZ'/>\n",
                  x1, y1, x2 - 6 * dx, y2 - 6 * dy,
                  x2, y2,
                  x2 - 8 * dx + 5 * dy, y2 - 8 * dy + 5 * dx,
                  x2 - 8 * dx - 5 * dy, y2 - 8 * dy - 5 * dx);
}

static void
put_place(struct ds *ds, int x, int y, int w, int h, enum report_where where)
{
    ds_put_format(ds, "<rect class='place' x='%d' y='%d' width='%d' "
                  "height='%d' rx='9'/>\n", x, y, w, h);
    put_text(ds, x + 10, y + 20, "place-title", page_where(where));
}

/* The name of the machine at 'where', or NULL. */
static const char *
place_name(const struct report *r, enum report_where where)
{
    switch (where) {
    case REPORT_SENDER_VM: return r->vm[0] ? r->vm[0] : r->inputs[2].host;
    case REPORT_SENDER_HOST: return r->inputs[0].host;
    case REPORT_NETWORK: return NULL;
    case REPORT_RECEIVER_HOST: return r->inputs[1].host;
    case REPORT_RECEIVER_VM: return r->vm[1] ? r->vm[1] : r->inputs[3].host;
    default: OVS_NOT_REACHED();
    }
}

/* A port at 'x', on the edge of its host's box. */
static void
put_port(struct ds *ds, int x, int y, const char *name, bool left)
{
    ds_put_format(ds, "<circle class='port' cx='%d' cy='%d' r='4'/>\n", x, y);
    put_name(ds, left ? x + 9 : x - 9, y + 4, left ? "small" : "small end",
             name);
}

/* 'C + J', where both are halves of it. */
static void
put_wire(struct ds *ds, const struct report *r, int x, int y, bool narrow)
{
    const struct report_segment *c = &r->segments[REPORT_SEG_C];

    if (is_known(c) && c->how == REPORT_HALVED) {
        put_text(ds, narrow ? x - 62 : x, y,
                 narrow ? "small end" : "small middle", "C + J");
        put_time(ds, x, narrow ? y : y + 19, narrow ? "time end"
                 : "time middle", 2.0 * c->stats.p50);
    }
}

static void
put_rtt(struct ds *ds, const struct report *r, int x, int y, bool narrow)
{
    if (r->rtt.n) {
        put_text(ds, narrow ? x - 68 : x, y,
                 narrow ? "small end" : "small middle",
                 r->rtt_is_of_guest ? "round trip"
                 : narrow ? "round trip at its port" : "RTT at port");
        put_time(ds, x, narrow ? y : y + 20, narrow ? "total end"
                 : "total middle", r->rtt.p50);
    }
}

static void
draw_wide(struct ds *ds, const struct report *r)
{
    enum { OUT = 74, MIDDLE = 153, BACK = 232, CHIP = 80, HEIGHT = 310 };
    static const struct {
        int id, x, y;
    } chips[] = {               /* In the order of the way. */
        { REPORT_SEG_A, 18, OUT },
        { REPORT_SEG_B1, 154, OUT },
        { REPORT_SEG_B, 326, OUT },
        { REPORT_SEG_C, 462, OUT },
        { REPORT_SEG_D, 598, OUT },
        { REPORT_SEG_E, 684, OUT },
        { REPORT_SEG_EV, 770, OUT },
        { REPORT_SEG_F, 906, OUT },
        { REPORT_SEG_G, 906, MIDDLE },
        { REPORT_SEG_H, 906, BACK },
        { REPORT_SEG_I1, 770, BACK },
        { REPORT_SEG_I, 598, BACK },
        { REPORT_SEG_J, 462, BACK },
        { REPORT_SEG_K, 326, BACK },
        { REPORT_SEG_L, 240, BACK },
        { REPORT_SEG_LV, 154, BACK },
        { REPORT_SEG_M, 18, BACK },
    };
    static const struct {
        enum report_where where;
        int x, w;
    } places[] = {
        { REPORT_SENDER_VM, 8, 100 },
        { REPORT_SENDER_HOST, 144, 272 },
        { REPORT_NETWORK, 452, 100 },
        { REPORT_RECEIVER_HOST, 588, 272 },
        { REPORT_RECEIVER_VM, 896, 100 },
    };
    enum { PORT_Y = MIDDLE + WIDE_CHIP / 2 };

    BUILD_ASSERT(ARRAY_SIZE(chips) == REPORT_N_SEGMENTS);
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        put_place(ds, places[i].x, 6, places[i].w, HEIGHT - 12,
                  places[i].where);
        put_name(ds, places[i].x + 10, 42, "small",
                 place_name(r, places[i].where));
    }
    for (size_t i = 0; i + 1 < ARRAY_SIZE(chips); i++) {
        int x1 = chips[i].x, y1 = chips[i].y;
        int x2 = chips[i + 1].x, y2 = chips[i + 1].y;
        int half = WIDE_CHIP / 2;

        if (y1 != y2) {
            put_arrow(ds, x1 + CHIP / 2, y1 + WIDE_CHIP, x2 + CHIP / 2, y2);
        } else if (x2 - x1 > CHIP + 10) {
            put_arrow(ds, x1 + CHIP, y1 + half, x2, y2 + half);
        } else if (x1 - x2 > CHIP + 10) {
            put_arrow(ds, x1, y1 + half, x2 + CHIP, y2 + half);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(chips); i++) {
        put_chip(ds, r, chips[i].id, chips[i].x, chips[i].y, CHIP, false);
    }
    put_port(ds, 144, PORT_Y, r->vm_port[0], true);
    put_port(ds, 416, PORT_Y, r->nic_port[0], false);
    put_port(ds, 588, PORT_Y, r->nic_port[1], true);
    put_port(ds, 860, PORT_Y, r->vm_port[1], false);
    put_rtt(ds, r, 58, PORT_Y - 8, false);
    put_wire(ds, r, 502, PORT_Y - 6, false);
}

static void
draw_narrow(struct ds *ds, const struct report *r)
{
    /* On the left down, on the right up. */
    enum { LEFT = 14, RIGHT = 176, CHIP = 150, ROW = 48, GAP = 22 };
    static const struct {
        enum report_where where;
        int head, rows;
        int left[3], right[3];          /* By row; -1: none. */
    } places[] = {
        { REPORT_SENDER_VM, 30, 1,
          { REPORT_SEG_A }, { REPORT_SEG_M } },
        { REPORT_SENDER_HOST, 46, 3,
          { REPORT_SEG_B1, -1, REPORT_SEG_B },
          { REPORT_SEG_LV, REPORT_SEG_L, REPORT_SEG_K } },
        { REPORT_NETWORK, 30, 1,
          { REPORT_SEG_C }, { REPORT_SEG_J } },
        { REPORT_RECEIVER_HOST, 46, 3,
          { REPORT_SEG_D, REPORT_SEG_E, REPORT_SEG_EV },
          { REPORT_SEG_I, -1, REPORT_SEG_I1 } },
        { REPORT_RECEIVER_VM, 30, 1,
          { REPORT_SEG_F }, { REPORT_SEG_H } },
    };
    int y = 4;

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        enum report_where where = places[i].where;
        int chips_y = y + places[i].head;
        int end = chips_y + places[i].rows * ROW + 2;
        bool last = i + 1 == ARRAY_SIZE(places);
        int host = where == REPORT_RECEIVER_HOST;

        put_place(ds, 4, y, 332, end - y + (last ? 58 : 0), where);
        put_name(ds, 72, y + 20, "small", place_name(r, where));
        if (where == REPORT_SENDER_VM) {
            put_rtt(ds, r, 326, y + 20, true);
        } else if (where == REPORT_NETWORK) {
            put_wire(ds, r, 326, y + 20, true);
        } else if (places[i].rows > 1) {
            put_name(ds, LEFT, y + 38, "small",
                     host ? r->nic_port[1] : r->vm_port[0]);
            put_name(ds, 326, y + 38, "small end",
                     host ? r->vm_port[1] : r->nic_port[0]);
        }
        for (int row = 0; row < places[i].rows; row++) {
            int row_y = chips_y + row * ROW;

            if (places[i].left[row] >= 0) {
                put_chip(ds, r, places[i].left[row], LEFT, row_y, CHIP, true);
            } else {
                put_arrow(ds, LEFT + CHIP / 2, row_y - 6, LEFT + CHIP / 2,
                          row_y + ROW);
            }
            if (places[i].right[row] >= 0) {
                put_chip(ds, r, places[i].right[row], RIGHT, row_y, CHIP,
                         true);
            } else {
                put_arrow(ds, RIGHT + CHIP / 2, row_y + ROW,
                          RIGHT + CHIP / 2, row_y - 6);
            }
        }
        if (last) {
            int turn = end + 8;

            put_chip(ds, r, REPORT_SEG_G, 80, turn, 180, true);
            put_arrow(ds, 110, chips_y + NARROW_CHIP, 110, turn);
            put_arrow(ds, 230, turn, 230, chips_y + NARROW_CHIP);
        } else {
            put_arrow(ds, LEFT + CHIP / 2, end, LEFT + CHIP / 2, end + GAP);
            put_arrow(ds, RIGHT + CHIP / 2, end + GAP, RIGHT + CHIP / 2, end);
        }
        y = end + GAP;
    }
}

/* Two forms of one figure: the page shows the one that fits. */
void
page_draw_path(struct ds *ds, const struct report *r, bool narrow)
{
    if (narrow) {
        begin_svg(ds, "path narrow", "path-narrow", 340, 780,
                  "The way of the packets");
    } else {
        begin_svg(ds, "path wide", "path-wide", 1004, 310,
                  "The way of the packets");
    }
    ds_put_cstr(ds, "From VM-A through Host-A, the network and Host-B to VM-B "
                "and back. ");
    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        ds_put_format(ds, "%s: ", report_segment_classes[i].letter);
        if (is_known(&r->segments[i])) {
            page_time(ds, r->segments[i].stats.p50);
        } else {
            ds_put_cstr(ds, "unknown");
        }
        ds_put_cstr(ds, i + 1 < REPORT_N_SEGMENTS ? ", " : ".");
    }
    end_description(ds);
    if (narrow) {
        draw_narrow(ds, r);
    } else {
        draw_wide(ds, r);
    }
    ds_put_cstr(ds, "</svg>\n");
}

/* A time on an axis: "1 us", "2.5 us". */
static void
put_axis_time(struct ds *ds, double ns)
{
    static const char *units[] = { "ns", "&#181;s", "ms", "s" };
    size_t unit = 0;

    while (ns >= 999.5 && unit + 1 < ARRAY_SIZE(units)) {
        ns /= 1000;
        unit++;
    }
    if (ns < 0.5) {
        ds_put_char(ds, '0');
    } else {
        ds_put_format(ds, "%.4g&#160;%s", ns, units[unit]);
    }
}

/* The waterfall of a packet. */

/* The step of an axis to 'max' > 0 with at most 'n' steps: 1, 2 or 5 times a
 * power of ten. */
static double
axis_step(double max, int n)
{
    double power = pow(10, floor(log10(max / n)));
    double factor = max / n / power;

    return power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
}

void
page_draw_packet(struct ds *ds, const struct report *r, size_t packet)
{
    enum { X = 34, WIDTH = 228, ROW = 16, TOP = 4 };
    const struct report_packet *p = &r->packets[packet];
    int bottom = TOP + (REPORT_N_SEGMENTS + 1) * ROW;
    double sum = 0, scale, step, at = 0;
    char *id = xasprintf("packet-%"PRIuSIZE, packet);

    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        sum += p->ns[i] > 0 ? p->ns[i] : 0;
    }
    sum += p->rest_ns > 0 ? p->rest_ns : 0;
    scale = MAX(MAX(sum, p->total_ns), 1);
    step = axis_step(scale, 4);

    begin_svg(ds, "waterfall", id, 340, bottom + 20, "Waterfall of a packet");
    free(id);
    ds_put_cstr(ds, "Its segments one after another on an axis of time.");
    end_description(ds);
    for (int i = 0; i * step <= scale; i++) {
        double x = X + WIDTH * i * step / scale;

        ds_put_format(ds, "<path class='grid' d='M%.1f %dV%d'/>"
                      "<text x='%.1f' y='%d' class='axis %s'>", x, TOP,
                      bottom, x, bottom + 14, i ? "middle" : "");
        put_axis_time(ds, i * step);
        ds_put_cstr(ds, "</text>\n");
    }
    for (int i = 0; i <= REPORT_N_SEGMENTS; i++) {
        bool rest = i == REPORT_N_SEGMENTS;
        int64_t ns = rest ? p->rest_ns : p->ns[i];
        enum report_layer layer = rest ? REPORT_REST
                                  : report_segment_classes[i].layer;
        int y = TOP + i * ROW;

        if (rest && ns == INT64_MIN) {
            break;
        }
        ds_put_format(ds, "<g class='%s%s'>", page_layer_class(layer),
                      ns < 0 ? " unknown" : "");
        put_text(ds, X - 6, y + 12, rest ? "label end" : "label letter end",
                 rest ? "rest" : report_segment_classes[i].letter);
        if (ns == INT64_MIN) {
            ds_put_format(ds, "<path class='gap' d='M%.1f %dv%d'/>",
                          X + WIDTH * at / scale, y + 2, ROW - 4);
            put_text(ds, 336, y + 12, "value end", "unknown");
        } else {
            double width = ns > 0 ? WIDTH * (ns / scale) : 0;

            ds_put_format(ds, "<rect class='bar' x='%.2f' y='%d' "
                          "width='%.2f' height='%d' rx='1.5'><title>%"PRId64
                          " ns</title></rect>", X + WIDTH * at / scale, y + 2,
                          MAX(width, 1), ROW - 4, ns);
            put_time(ds, 336, y + 12, "value end", ns);
            at += ns > 0 ? ns : 0;
        }
        ds_put_cstr(ds, "</g>\n");
    }
    ds_put_cstr(ds, "</svg>\n");
}

/* Histograms. */

/* The buckets of vmlat-histogram.h, 32 to a power of two, in groups of 8: as
 * many as a screen has room for.  Groups have different widths on a
 * logarithmic axis, so it is the area of a bar that says how many. */
#define GROUPS_PER_OCTAVE 4
#define N_GROUPS (63 * GROUPS_PER_OCTAVE)

struct group {
    uint64_t n;
    int64_t low, high;          /* Of its buckets. */
};

static double
group_floor(int group)
{
    return ldexp(1.0 + (group % GROUPS_PER_OCTAVE) / 4.0,
                 group / GROUPS_PER_OCTAVE);
}

static int
find_group(int64_t ns)
{
    int octave = ns > 1 ? log_2_floor(ns) : 0;
    double fraction = ns > 1 ? ldexp(ns, -octave) - 1 : 0;

    return octave * GROUPS_PER_OCTAVE + (int) (fraction * GROUPS_PER_OCTAVE);
}

static void
draw_histogram(struct ds *ds, const struct report_stats *s, const char *letter,
               const char *layer, double first, double last)
{
    enum { X = 12, WIDTH = 316, TOP = 6, BOTTOM = 82 };
    struct group *groups = xcalloc(N_GROUPS, sizeof *groups);
    double peak = 0, decades = last - first;
    char *id = xasprintf("histogram-%s", letter);
    char *c = strchr(id, '+');

    if (c) {
        *c = 'v';               /* Of the vCPU: "+" is no good in an id. */
    }
    for (size_t i = 0; i < s->n_buckets; i++) {
        const struct report_bucket *b = &s->buckets[i];
        struct group *g = &groups[find_group(b->low)];

        if (!g->n) {
            g->low = b->low;
        }
        g->high = b->high;
        g->n += b->n;
    }
    for (int i = 0; i < N_GROUPS; i++) {
        double width = log10(group_floor(i + 1) / group_floor(i));

        peak = MAX(peak, groups[i].n / width);
    }

    begin_svg(ds, "histogram", id, 340, 102, "Histogram");
    free(id);
    ds_put_format(ds, "%"PRIu64" samples, median ", s->n);
    page_time(ds, s->p50);
    ds_put_cstr(ds, ", p99 ");
    page_time(ds, s->p99);
    end_description(ds);

    for (int i = 0; i <= decades; i++) {
        double x = X + WIDTH * i / decades;

        ds_put_format(ds, "<path class='grid' d='M%.1f %dV%d'/>\n", x, TOP,
                      BOTTOM);
        if (decades < 6 || i % 2 == 0) {
            ds_put_format(ds, "<text x='%.1f' y='%d' class='axis %s'>", x,
                          BOTTOM + 15, !i ? "" : i == decades ? "end"
                          : "middle");
            put_axis_time(ds, pow(10, first + i));
            ds_put_cstr(ds, "</text>\n");
        }
    }
    ds_put_format(ds, "<g class='%s'>\n", layer);
    for (int i = 0; i < N_GROUPS; i++) {
        double from = log10(group_floor(i)), to = log10(group_floor(i + 1));
        double height;

        if (!groups[i].n) {
            continue;
        }
        from = MAX(from, first);
        to = MIN(to, last);
        height = MAX(1, (BOTTOM - TOP) * (groups[i].n
                                          / log10(group_floor(i + 1)
                                                  / group_floor(i)) / peak));
        ds_put_format(ds, "<rect class='bar' x='%.2f' y='%.2f' width='%.2f' "
                      "height='%.2f'><title>%"PRIu64" from %"PRId64" to %"
                      PRId64" ns</title></rect>\n",
                      X + WIDTH * (from - first) / decades, BOTTOM - height,
                      MAX(0.5, WIDTH * (to - from) / decades), height,
                      groups[i].n, groups[i].low, groups[i].high - 1);
    }
    ds_put_cstr(ds, "</g>\n");
    free(groups);

    ds_put_format(ds, "<path class='base' d='M%d %dh%d'/>\n", X, BOTTOM,
                  WIDTH);
    for (int i = 0; i < 2; i++) {
        double ns = MAX(1, i ? s->p99 : s->p50);

        ds_put_format(ds, "<path class='%s' d='M%.1f %dV%d'/>\n",
                      i ? "p99" : "p50",
                      X + WIDTH * (log10(ns) - first) / decades, TOP - 4,
                      BOTTOM);
    }
    ds_put_cstr(ds, "</svg>\n");
}

static void
put_histogram(struct ds *ds, const struct report_stats *s, const char *letter,
              const char *name, const char *layer, double first, double last)
{
    ds_put_format(ds, "<figure class='card'><figcaption>"
                  "<b class='key %s'>%s</b> %s</figcaption>\n", layer, letter,
                  name);
    draw_histogram(ds, s, letter, layer, first, last);
    ds_put_cstr(ds, "<p class='numbers'>p50&#160;");
    page_exact_time(ds, s->p50);
    ds_put_cstr(ds, ", p99&#160;");
    page_exact_time(ds, s->p99);
    ds_put_cstr(ds, ", max&#160;");
    page_exact_time(ds, s->max);
    ds_put_format(ds, "; %"PRIu64" samples</p></figure>\n", s->n);
}

/* All with the same axis, so that they can be compared by eye. */
void
page_draw_histograms(struct ds *ds, const struct report *r)
{
    double low = INFINITY, high = -INFINITY, first, last;
    const struct report_stats *all[REPORT_N_SEGMENTS + 1];

    for (int i = 0; i <= REPORT_N_SEGMENTS; i++) {
        const struct report_stats *s = (i < REPORT_N_SEGMENTS
                                        ? &r->segments[i].stats : &r->rtt);

        all[i] = NULL;
        if (s->n && s->n_buckets
            && (i == REPORT_N_SEGMENTS || is_known(&r->segments[i]))) {
            all[i] = s;
            low = MIN(low, MAX(1, s->min));
            high = MAX(high, MAX(1, s->max));
        }
    }
    if (low > high) {
        ds_put_cstr(ds, "<p>There are no samples.</p>\n");
        return;
    }
    first = floor(log10(low));
    last = MAX(first + 1, ceil(log10(high)));

    ds_put_cstr(ds, "<div class='cards'>\n");
    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        const struct report_segment_class *class = &report_segment_classes[i];

        if (all[i]) {
            put_histogram(ds, all[i], class->letter, class->name,
                          page_layer_class(class->layer), first, last);
        }
    }
    if (all[REPORT_N_SEGMENTS]) {
        put_histogram(ds, all[REPORT_N_SEGMENTS], "RTT",
                      r->rtt_is_of_guest ? "round trip in VM-A"
                      : "round trip at VM-A's port", "rest", first, last);
    }
    ds_put_cstr(ds, "</div>\n");
}
