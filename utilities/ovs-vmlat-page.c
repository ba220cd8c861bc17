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

#include "ovs-vmlat-page.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "openvswitch/dynamic-string.h"
#include "socket-util.h"
#include "util.h"

/* Decodes the UTF-8 character at '*sp' and advances '*sp' past it.  Returns
 * the character, or 0xfffd, and advances by one byte, if there is none: too
 * long an encoding, a surrogate, or cut off. */
static uint32_t
decode_utf8(const unsigned char **sp)
{
    const unsigned char *s = *sp;
    uint32_t c = s[0], least;
    int more;

    if (c < 0x80) {
        *sp = s + 1;
        return c;
    }
    if (c >= 0xc2 && c < 0xe0) {
        more = 1, least = 0x80, c &= 0x1f;
    } else if (c >= 0xe0 && c < 0xf0) {
        more = 2, least = 0x800, c &= 0xf;
    } else if (c >= 0xf0 && c < 0xf5) {
        more = 3, least = 0x10000, c &= 0x7;
    } else {
        *sp = s + 1;
        return 0xfffd;
    }
    for (int i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            /* The null at the end stops this, too. */
            *sp = s + 1;
            return 0xfffd;
        }
        c = (c << 6) | (s[i] & 0x3f);
    }
    if (c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        *sp = s + 1;
        return 0xfffd;
    }
    *sp = s + 1 + more;
    return c;
}

/* True if 'c' shows nothing, but changes how what is around it is shown:
 * controls, directions of writing, joiners, tags.  A name could pretend to be
 * another one with these. */
static bool
is_hidden(uint32_t c)
{
    return (c < 0x20
            || (c >= 0x7f && c < 0xa0)
            || c == 0xad || c == 0x34f || c == 0x61c
            || c == 0x115f || c == 0x1160 || c == 0x3164 || c == 0xffa0
            || (c >= 0x180b && c <= 0x180f)
            || (c >= 0x200b && c <= 0x200f)
            || (c >= 0x2028 && c <= 0x202e)
            || (c >= 0x2060 && c <= 0x206f)
            || (c >= 0xfe00 && c <= 0xfe0f)
            || c == 0xfeff
            || (c >= 0xfff0 && c < 0xfffc)
            || (c >= 0xe0000 && c <= 0xe0fff));
}

/* True if 'c' is drawn over the character before it. */
static bool
is_combining(uint32_t c)
{
    return ((c >= 0x300 && c <= 0x36f)
            || (c >= 0x483 && c <= 0x489)
            || (c >= 0x1ab0 && c <= 0x1aff)
            || (c >= 0x1dc0 && c <= 0x1dff)
            || (c >= 0x20d0 && c <= 0x20ff)
            || (c >= 0xfe20 && c <= 0xfe2f));
}

/* Appends 's' to 'ds' as text of a page, which may stand in an element or
 * between the quotes of an attribute.  's' may be anything: what is no UTF-8
 * becomes U+FFFD, white space a space, characters that hide or turn others are
 * left out, and what is after 'max' characters is cut off, with an ellipsis.
 *
 * Nothing if 's' is NULL. */
void
page_text(struct ds *ds, const char *s_, size_t max)
{
    const unsigned char *s = (const unsigned char *) (s_ ? s_ : "");
    size_t n = 0;
    int n_combining = 0;

    while (*s) {
        uint32_t c = decode_utf8(&s);

        if (c == '\t' || c == '\n' || c == '\r' || c == 0x85 || c == 0x2028
            || c == 0x2029) {
            c = ' ';
        } else if (is_hidden(c)) {
            continue;
        } else if (is_combining(c)) {
            /* Names need one or two; a stack of them covers other lines. */
            if (!n || n_combining++ >= 2) {
                continue;
            }
        } else {
            n_combining = 0;
        }
        if ((c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef)) {
            c = 0xfffd;
        }
        if (n++ == max) {
            ds_put_cstr(ds, "&#8230;");
            return;
        }
        switch (c) {
        case '&': ds_put_cstr(ds, "&amp;"); break;
        case '<': ds_put_cstr(ds, "&lt;"); break;
        case '>': ds_put_cstr(ds, "&gt;"); break;
        case '"': ds_put_cstr(ds, "&quot;"); break;
        case '\'': ds_put_cstr(ds, "&#39;"); break;
        default: ds_put_utf8(ds, c); break;
        }
    }
}

void
page_time(struct ds *ds, double ns)
{
    static const char *units[] = { "ns", "&#181;s", "ms", "s" };
    double x = fabs(ns);
    size_t unit = 0;
    int decimals;

    if (!isfinite(ns)) {
        ds_put_cstr(ds, "&#8211;");
        return;
    }
    /* 999.5 is shown as the 1.00 of the next unit. */
    while (x >= 999.5 && unit + 1 < ARRAY_SIZE(units)) {
        x /= 1000;
        unit++;
    }
    decimals = (!unit && x == floor(x) ? 0
                : x < 9.995 ? 2
                : x < 99.95 ? 1
                : 0);
    ds_put_format(ds, "%s%.*f&#160;%s", ns < 0 ? "&#8722;" : "", decimals, x,
                  units[unit]);
}

void
page_exact_time(struct ds *ds, int64_t ns)
{
    ds_put_format(ds, "<span title=\"%"PRId64" ns\">", ns);
    page_time(ds, ns);
    ds_put_cstr(ds, "</span>");
}

void
page_percent(struct ds *ds, double share)
{
    if (!isfinite(share)) {
        ds_put_cstr(ds, "&#8211;");
    } else if (share > 0 && share < 0.001) {
        ds_put_cstr(ds, "&lt;&#8239;0.1&#8239;%");
    } else {
        ds_put_format(ds, "%.*f&#8239;%%", fabs(share) < 0.0995 ? 1 : 0,
                      share * 100);
    }
}

/* True if the round trip of 'r' has 'segment' in it: that at the port of VM-A
 * has not what is between the port and VM-A. */
static bool
rtt_has(const struct report *r, int segment)
{
    const struct report_segment_class *class
        = &report_segment_classes[segment];

    return (r->rtt_is_of_guest
            || !(class->where == REPORT_SENDER_VM
                 || (class->where == REPORT_SENDER_HOST
                     && class->layer == REPORT_VIRT)));
}

double
page_share(const struct report *r, int segment)
{
    const struct report_segment *s = &r->segments[segment];

    return (s->how != REPORT_UNKNOWN && s->stats.n && r->rtt.n
            && r->rtt.mean > 0 && rtt_has(r, segment)
            ? s->stats.mean / r->rtt.mean
            : NAN);
}

const char *
page_where(enum report_where where)
{
    switch (where) {
    case REPORT_SENDER_VM: return "VM-A";
    case REPORT_SENDER_HOST: return "Host-A";
    case REPORT_NETWORK: return "Network";
    case REPORT_RECEIVER_HOST: return "Host-B";
    case REPORT_RECEIVER_VM: return "VM-B";
    default: OVS_NOT_REACHED();
    }
}

const char *
page_layer_class(enum report_layer layer)
{
    switch (layer) {
    case REPORT_VM: return "vm";
    case REPORT_HOST: return "host";
    case REPORT_WIRE: return "wire";
    case REPORT_VIRT: return "virt";
    case REPORT_REST: return "rest";
    case REPORT_N_LAYERS:
    default: OVS_NOT_REACHED();
    }
}

static int
write_all(int fd, const char *data, size_t n)
{
    size_t done;
    int error = write_fully(fd, data, n, &done);

    /* On some file systems it is close() that says that there was no room. */
    if (close(fd) && !error) {
        error = errno;
    }
    return error;
}

/* An existing file is replaced when the new one is whole; a device or a pipe
 * is written to. */
char *
page_write_file(const char *name, const char *data, size_t n)
{
    struct stat s;
    char *temporary;
    mode_t mask;
    int error, fd;

    if (!stat(name, &s) && !S_ISREG(s.st_mode)) {
        fd = open(name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        error = fd < 0 ? errno : write_all(fd, data, n);
        return (error
                ? xasprintf("%s: cannot write: %s", name, ovs_strerror(error))
                : NULL);
    }

    temporary = xasprintf("%s.XXXXXX", name);
    fd = mkstemp(temporary);
    if (fd < 0) {
        error = errno;
        free(temporary);
        return xasprintf("%s: cannot create: %s", name, ovs_strerror(error));
    }
    /* mkstemp() lets only the owner read. */
    mask = umask(0);
    umask(mask);
    error = fchmod(fd, 0666 & ~mask) ? errno : 0;
    if (error) {
        close(fd);
    } else {
        error = write_all(fd, data, n);
    }
    if (!error && rename(temporary, name)) {
        error = errno;
    }
    if (error) {
        unlink(temporary);
    }
    free(temporary);
    return (error
            ? xasprintf("%s: cannot write: %s", name, ovs_strerror(error))
            : NULL);
}
