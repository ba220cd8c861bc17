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

/* Names of the kernel: functions by their address, reasons of drops by their
 * number. */

#include <config.h>
#include "vmlat-kernel-private.h"

#include <bpf/btf.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/hmap.h"
#include "openvswitch/vlog.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(vmlat_kernel_symbols);

#define KALLSYMS "/proc/kallsyms"

struct symbol {
    uint64_t address;
    uint32_t name;              /* Offset in 'names'. */
};

struct reason {
    struct hmap_node node;      /* By 'value'. */
    uint32_t value;
    char *name;
};

struct vmlat_kernel_symbols {
    struct symbol *symbols;     /* Functions, by address. */
    size_t n, allocated;
    uint32_t *by_name;          /* Indexes in 'symbols', by name. */
    struct ds names;            /* Each ends in a null byte. */
    struct hmap reasons;
};

static int
compare_addresses(const void *a_, const void *b_)
{
    const struct symbol *a = a_;
    const struct symbol *b = b_;

    return a->address < b->address ? -1 : a->address > b->address;
}

static const char *
symbol_name(const struct vmlat_kernel_symbols *s, size_t i)
{
    return s->names.string + s->symbols[i].name;
}

/* For compare_names(): qsort() has no argument for it. */
static const struct vmlat_kernel_symbols *sorting;

static int
compare_names(const void *a_, const void *b_)
{
    const uint32_t *a = a_;
    const uint32_t *b = b_;

    return strcmp(symbol_name(sorting, *a), symbol_name(sorting, *b));
}

static void
read_kallsyms(struct vmlat_kernel_symbols *s)
{
    FILE *stream = fopen(KALLSYMS, "r");
    char line[512];

    if (!stream) {
        VLOG_WARN(KALLSYMS ": %s", ovs_strerror(errno));
        return;
    }
    while (fgets(line, sizeof line, stream)) {
        /* "ffffffff81000000 T name\t[module]" */
        char *type = strchr(line, ' ');
        char *end;

        if (!type || !strchr("tTwW", type[1]) || type[2] != ' ') {
            continue;
        }
        end = type + 3 + strcspn(type + 3, "\t\n");
        if (s->n >= s->allocated) {
            s->symbols = x2nrealloc(s->symbols, &s->allocated,
                                    sizeof *s->symbols);
        }
        s->symbols[s->n].address = strtoull(line, NULL, 16);
        s->symbols[s->n++].name = s->names.length;
        ds_put_buffer(&s->names, type + 3, end - type - 3);
        ds_put_char(&s->names, '\0');
    }
    fclose(stream);

    if (s->n) {
        qsort(s->symbols, s->n, sizeof *s->symbols, compare_addresses);
        s->by_name = xmalloc(s->n * sizeof *s->by_name);
        for (size_t i = 0; i < s->n; i++) {
            s->by_name[i] = i;
        }
        sorting = s;
        qsort(s->by_name, s->n, sizeof *s->by_name, compare_names);
    }
}

/* Adds the members of each enum of 'btf' that is called 'enum_name', without
 * 'prefix'. */
static void
read_reasons(struct vmlat_kernel_symbols *s, const struct btf *btf,
             const char *enum_name, const char *prefix)
{
    int id = btf__find_by_name_kind(btf, enum_name, BTF_KIND_ENUM);
    const struct btf_type *type;
    const struct btf_enum *e;

    if (id <= 0) {
        return;
    }
    type = btf__type_by_id(btf, id);
    e = btf_enum(type);
    for (size_t i = 0; i < btf_vlen(type); i++) {
        const char *name = btf__name_by_offset(btf, e[i].name_off);
        struct reason *reason;

        if (!name) {
            continue;
        }
        reason = xmalloc(sizeof *reason);
        reason->value = e[i].val;
        reason->name = xstrdup(strncmp(name, prefix, strlen(prefix))
                               ? name : name + strlen(prefix));
        hmap_insert(&s->reasons, &reason->node, hash_int(reason->value, 0));
    }
}

/* Reads the symbols of the kernel as it is now. */
struct vmlat_kernel_symbols *
vmlat_kernel_symbols_read(void)
{
    struct vmlat_kernel_symbols *s = xzalloc(sizeof *s);
    struct btf *vmlinux;

    ds_init(&s->names);
    hmap_init(&s->reasons);
    read_kallsyms(s);

    vmlinux = btf__load_vmlinux_btf();
    if (vmlinux) {
        struct btf *module = btf__load_module_btf("openvswitch", vmlinux);

        read_reasons(s, vmlinux, "skb_drop_reason", "SKB_DROP_REASON_");
        if (module) {
            read_reasons(s, module, "ovs_drop_reason", "");
            btf__free(module);
        }
        btf__free(vmlinux);
    }
    return s;
}

void
vmlat_kernel_symbols_destroy(struct vmlat_kernel_symbols *s)
{
    struct reason *reason;

    if (!s) {
        return;
    }
    HMAP_FOR_EACH_POP (reason, node, &s->reasons) {
        free(reason->name);
        free(reason);
    }
    hmap_destroy(&s->reasons);
    ds_destroy(&s->names);
    free(s->symbols);
    free(s->by_name);
    free(s);
}

/* Returns true if 'symbol' is the function 'name', 'n' bytes long, or what the
 * compiler made of it: "name.isra.0", "name.constprop.0.isra.0".  What it cut
 * off, "name.cold" and "name.part.0", has no such arguments. */
static bool
is_variant(const char *symbol, const char *name, size_t n)
{
    return (!strncmp(symbol, name, n)
            && (!symbol[n]
                || (symbol[n] == '.'
                    && !strstr(symbol + n, ".cold")
                    && !strstr(symbol + n, ".part."))));
}

/* Returns the symbol of the function that the source of the kernel calls
 * 'name', NULL if there is none. */
const char *
vmlat_kernel_symbols_find(const struct vmlat_kernel_symbols *s,
                          const char *name)
{
    size_t n = strlen(name);
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(symbol_name(s, s->by_name[middle]), name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    /* Variants come after the name, mixed with others that begin so. */
    for (; low < s->n; low++) {
        const char *symbol = symbol_name(s, s->by_name[low]);

        if (strncmp(symbol, name, n)) {
            break;
        }
        if (is_variant(symbol, name, n)) {
            return symbol;
        }
    }
    return NULL;
}

/* Returns the function at 'address', which is 'address' - '*offset' bytes from
 * its beginning; NULL if it is not known. */
const char *
vmlat_kernel_symbols_at(const struct vmlat_kernel_symbols *s,
                        uint64_t address, uint64_t *offset)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (s->symbols[middle].address <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (!low || !s->symbols[low - 1].address) {
        return NULL;
    }
    *offset = address - s->symbols[low - 1].address;
    return symbol_name(s, low - 1);
}

/* Returns the name of drop reason 'value', NULL if it is not known. */
const char *
vmlat_kernel_symbols_reason(const struct vmlat_kernel_symbols *s,
                            uint32_t value)
{
    const struct reason *reason;

    HMAP_FOR_EACH_WITH_HASH (reason, node, hash_int(value, 0), &s->reasons) {
        if (reason->value == value) {
            return reason->name;
        }
    }
    return NULL;
}

/* Finds the number of the drop reason 'name'. */
bool
vmlat_kernel_symbols_reason_value(const struct vmlat_kernel_symbols *s,
                                  const char *name, uint32_t *value)
{
    const struct reason *reason;

    HMAP_FOR_EACH (reason, node, &s->reasons) {
        if (!strcmp(reason->name, name)) {
            *value = reason->value;
            return true;
        }
    }
    return false;
}
