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

#include "vmlat-record-file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* Sizes are a part of the format. */
_Static_assert(sizeof(struct vmlat_record_block) == 8, "format");
_Static_assert(sizeof(struct vmlat_record_source) == 440, "format");
_Static_assert(sizeof(struct vmlat_record_name) == 136, "format");
_Static_assert(sizeof(struct vmlat_record_counter) == 64, "format");
_Static_assert(sizeof(struct vmlat_record_end) == 16, "format");

enum {
    MAGIC_LEN = sizeof VMLAT_RECORD_MAGIC - 1,

    /* Records are written in blocks of as many. */
    BUFFER_RECORDS = 2048,

    /* Times are below 2^62 ns, which is 146 years, and marks below 2^63 ns
     * after the first one: sums fit into 64 bits. */
    TIME_BITS = 62,
    MAX_SHIFT = 31,
};

/* The C library's own functions, in parentheses: OVS's, which checkpatch.py
 * asks for, are not in vmlat-guest. */

/* Returns what 'error' means.  Any thread, unlike strerror(3). */
static const char *
describe(int error)
{
    const char *s = strerrordesc_np(error);

    return s ? s : "unknown error";
}

/* Returns a formatted string, which the caller must free. */
static char * __attribute__((format(printf, 1, 2)))
format_string(const char *format, ...)
{
    va_list args;
    char *s;

    va_start(args, format);
    if ((vasprintf)(&s, format, args) < 0) {
        (abort)();
    }
    va_end(args);
    return s;
}

/* Files are mapped and written as they are in memory. */
static bool
machine_fits(const char *name, char **errorp)
{
    if (__BYTE_ORDER == __LITTLE_ENDIAN) {
        return true;
    }
    *errorp = format_string("%s: files of records need a little-endian "
                            "machine", name);
    return false;
}

/* Copies 'src' to the 'size' bytes at 'dst': cut if need be, the rest 0. */
static void
copy_string(char *dst, const char *src, size_t size)
{
    size_t n = strnlen(src, size - 1);

    memset(dst, 0, size);
    memcpy(dst, src, n);
}

static uint64_t
clock_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

/* Fills in random bytes; if there are none, what differs between runs. */
static void
fill_random(void *bytes, size_t n)
{
    if (getrandom(bytes, n, GRND_NONBLOCK) != (ssize_t) n) {
        uint64_t other[2] = { clock_ns(CLOCK_REALTIME), getpid() };

        memset(bytes, 0, n);
        memcpy(bytes, other, n < sizeof other ? n : sizeof other);
    }
}

/* Reads the boot ID, 32 hexadecimal digits with dashes; all 0 if there is
 * none. */
static void
read_boot_id(uint8_t id[16])
{
    FILE *file = fopen(BOOT_ID, "re");
    unsigned int n = 0;
    int c;

    memset(id, 0, 16);
    if (!file) {
        return;
    }
    while (n < 32 && (c = getc(file)) != EOF) {
        int digit = (c >= '0' && c <= '9' ? c - '0'
                     : c >= 'a' && c <= 'f' ? c - 'a' + 10
                     : -1);

        if (digit >= 0) {
            id[n / 2] |= digit << (n % 2 ? 0 : 4);
            n++;
        }
    }
    fclose(file);
}

void
vmlat_record_source_init(struct vmlat_record_source *source,
                         enum vmlat_record_role role)
{
    char host[sizeof source->host];

    memset(source, 0, sizeof *source);
    source->role = role;
    source->record_size = sizeof(struct vmlat_record);
    read_boot_id(source->boot_id);
    fill_random(source->run_id, sizeof source->run_id);
    source->start_ns = clock_ns(CLOCK_MONOTONIC);
    source->start_wall_ns = clock_ns(CLOCK_REALTIME);
    if (!gethostname(host, sizeof host)) {
        host[sizeof host - 1] = '\0';
        copy_string(source->host, host, sizeof source->host);
    }
}

/* Writing. */

struct vmlat_record_writer {
    char *name;
    char *tmp_name;             /* NULL: stdout. */
    int fd;
    char *error;                /* The first one. */
    uint64_t n_records;
    size_t n_buffered;
    struct vmlat_record buffer[BUFFER_RECORDS];
};

static void
write_bytes(struct vmlat_record_writer *w, const void *data_, size_t n)
{
    const uint8_t *data = data_;

    while (n && !w->error) {
        ssize_t written = write(w->fd, data, n);

        if (written > 0) {
            data += written;
            n -= written;
        } else if (!written || errno != EINTR) {
            w->error = format_string("%s: %s", w->name,
                                     describe(written ? errno : ENOSPC));
        }
    }
}

static void
write_block(struct vmlat_record_writer *w, enum vmlat_record_block_type type,
            const void *data, size_t n)
{
    struct vmlat_record_block block = {
        .type = type,
        .version = VMLAT_RECORD_VERSION,
        .length = n,
    };

    write_bytes(w, &block, sizeof block);
    write_bytes(w, data, n);
}

static void
flush_records(struct vmlat_record_writer *w)
{
    if (w->n_buffered) {
        write_block(w, VMLAT_RB_RECORDS, w->buffer,
                    w->n_buffered * sizeof *w->buffer);
        w->n_buffered = 0;
    }
}

/* Opens a new file beside 'w->name'.  The rename at the end must not replace
 * what is not a file, such as a device. */
static void
open_tmp(struct vmlat_record_writer *w)
{
    uint64_t random;
    struct stat s;

    w->fd = -1;
    if (!stat(w->name, &s) && !S_ISREG(s.st_mode)) {
        w->error = format_string("%s: %s", w->name,
                                 (S_ISDIR(s.st_mode) ? describe(EISDIR)
                                  : "exists and is not a regular file"));
        return;
    }
    fill_random(&random, sizeof random);
    w->tmp_name = format_string("%s.%016llx.tmp", w->name,
                                (unsigned long long int) random);
    w->fd = open(w->tmp_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        w->error = format_string("%s: %s", w->name, describe(errno));
    }
}

static void
writer_free(struct vmlat_record_writer *w)
{
    free(w->name);
    free(w->tmp_name);
    free(w);
}

struct vmlat_record_writer *
vmlat_record_writer_open(const char *name,
                         const struct vmlat_record_source *source,
                         char **errorp)
{
    struct vmlat_record_writer *w;

    *errorp = NULL;
    if (!machine_fits(name, errorp)) {
        return NULL;
    }
    w = (calloc)(1, sizeof *w);
    if (!w) {
        *errorp = format_string("%s: %s", name, describe(ENOMEM));
        return NULL;
    }
    w->name = format_string("%s", strcmp(name, "-") ? name
                                  : "standard output");
    if (!strcmp(name, "-")) {
        w->fd = STDOUT_FILENO;
    } else {
        open_tmp(w);
    }
    if (w->fd < 0) {
        *errorp = w->error;
        writer_free(w);
        return NULL;
    }
    write_bytes(w, VMLAT_RECORD_MAGIC, MAGIC_LEN);
    write_block(w, VMLAT_RB_SOURCE, source, sizeof *source);
    return w;
}

void
vmlat_record_writer_name(struct vmlat_record_writer *w,
                         const struct vmlat_record_name *name)
{
    struct vmlat_record_name copy = *name;

    copy.name[sizeof copy.name - 1] = '\0';
    copy.vm[sizeof copy.vm - 1] = '\0';
    flush_records(w);
    write_block(w, VMLAT_RB_NAME, &copy, sizeof copy);
}

void
vmlat_record_writer_add(struct vmlat_record_writer *w,
                        const struct vmlat_record *records, size_t n)
{
    w->n_records += n;
    while (n) {
        size_t room = BUFFER_RECORDS - w->n_buffered;
        size_t take = n < room ? n : room;

        memcpy(&w->buffer[w->n_buffered], records, take * sizeof *records);
        w->n_buffered += take;
        records += take;
        n -= take;
        if (w->n_buffered == BUFFER_RECORDS) {
            flush_records(w);
        }
    }
}

void
vmlat_record_writer_counter(struct vmlat_record_writer *w, const char *name,
                            uint64_t value)
{
    struct vmlat_record_counter counter = { .value = value };

    copy_string(counter.name, name, sizeof counter.name);
    flush_records(w);
    write_block(w, VMLAT_RB_COUNTER, &counter, sizeof counter);
}

char *
vmlat_record_writer_close(struct vmlat_record_writer *w, uint64_t end_ns)
{
    struct vmlat_record_end end = {
        .end_ns = end_ns,
        .n_records = w->n_records,
    };
    char *error;

    flush_records(w);
    write_block(w, VMLAT_RB_END, &end, sizeof end);
    if (w->tmp_name) {
        /* Some file systems tell only now that the disk is full. */
        if (close(w->fd) && !w->error) {
            w->error = format_string("%s: %s", w->name, describe(errno));
        }
        if (!w->error && rename(w->tmp_name, w->name)) {
            w->error = format_string("%s: %s", w->name, describe(errno));
        }
        if (w->error) {
            unlink(w->tmp_name);
        }
    }
    error = w->error;
    writer_free(w);
    return error;
}

void
vmlat_record_writer_cancel(struct vmlat_record_writer *w)
{
    if (!w->error) {
        w->error = format_string("%s: %s", w->name, describe(ECANCELED));
    }
    free(vmlat_record_writer_close(w, 0));
}

/* Reading. */

/* What the walk over the blocks has found so far. */
struct walk {
    struct vmlat_record_file *f;
    const struct vmlat_record_name **names;     /* By id. */
    size_t names_allocated;
    const struct vmlat_record_counter **counters;
    size_t counters_allocated;
    size_t runs_allocated;
    const char *what;           /* What is wrong, NULL: nothing. */
    char *what_allocated;
};

/* Returns true if there is a null among the 'size' bytes at 's'. */
static bool
is_string(const char *s, size_t size)
{
    return memchr(s, '\0', size) != NULL;
}

/* Returns 'array', of elements of 'size' bytes, with room for 'n' of them.
 * New ones are 0. */
static void *
grow(struct walk *walk, void *array, size_t *allocated, size_t n, size_t size)
{
    size_t want = *allocated ? *allocated : 16;
    uint8_t *new_array;

    if (n <= *allocated) {
        return array;
    }
    while (want < n) {
        want *= 2;
    }
    new_array = (realloc)(array, want * size);
    if (!new_array) {
        walk->what = describe(ENOMEM);
        return array;
    }
    memset(new_array + *allocated * size, 0, (want - *allocated) * size);
    *allocated = want;
    return new_array;
}

static void
take_source(struct walk *walk, const struct vmlat_record_source *source)
{
    if (walk->f->source) {
        walk->what = "has two SOURCE blocks";
    } else if (source->record_size != sizeof(struct vmlat_record)) {
        walk->what = "has records of another size";
    } else if (source->role != VMLAT_RECORD_HOST
               && source->role != VMLAT_RECORD_GUEST) {
        walk->what = "is neither of a host nor of a guest";
    } else if (!is_string(source->host, sizeof source->host)
               || !is_string(source->software, sizeof source->software)
               || !is_string(source->filter, sizeof source->filter)) {
        walk->what = "has a string without an end in its SOURCE block";
    } else {
        walk->f->source = source;
    }
}

static void
take_name(struct walk *walk, const struct vmlat_record_name *name)
{
    struct vmlat_record_file *f = walk->f;

    if (!name->id) {
        walk->what = "has a name for port id 0";
    } else if (name->role < VMLAT_RECORD_PORT_VM
               || name->role > VMLAT_RECORD_PORT_DEVICE) {
        walk->what = "has a port of an unknown role";
    } else if (!is_string(name->name, sizeof name->name)
               || !is_string(name->vm, sizeof name->vm)) {
        walk->what = "has a string without an end in a NAME block";
    } else if (name->id < f->n_names && walk->names[name->id]) {
        walk->what = "has two names for a port id";
    } else {
        walk->names = grow(walk, walk->names, &walk->names_allocated,
                           name->id + 1, sizeof *walk->names);
        if (!walk->what) {
            walk->names[name->id] = name;
            if (name->id >= f->n_names) {
                f->n_names = name->id + 1;
            }
        }
    }
}

static void
take_counter(struct walk *walk, const struct vmlat_record_counter *counter)
{
    struct vmlat_record_file *f = walk->f;

    if (!is_string(counter->name, sizeof counter->name)) {
        walk->what = "has a string without an end in a COUNTER block";
        return;
    }
    walk->counters = grow(walk, walk->counters, &walk->counters_allocated,
                          f->n_counters + 1, sizeof *walk->counters);
    if (!walk->what) {
        walk->counters[f->n_counters++] = counter;
    }
}

static void
take_records(struct walk *walk, const struct vmlat_record *records, size_t n)
{
    struct vmlat_record_file *f = walk->f;

    if (!n) {
        return;
    }
    f->runs = grow(walk, f->runs, &walk->runs_allocated, f->n_runs + 1,
                   sizeof *f->runs);
    if (!walk->what) {
        f->runs[f->n_runs].records = records;
        f->runs[f->n_runs].n = n;
        f->n_runs++;
        f->n_records += n;
    }
}

static void
take_end(struct walk *walk, const struct vmlat_record_end *end)
{
    struct vmlat_record_file *f = walk->f;

    if (end->n_records != f->n_records) {
        walk->what = "has another number of records than its END block says";
    } else if (!end->end_ns || end->end_ns < f->source->start_ns) {
        walk->what = "ends before it begins";
    } else {
        f->end_ns = end->end_ns;
        f->truncated = false;
    }
}

/* Returns the length of blocks of 'type', or 0 if they may have any. */
static size_t
block_length(uint16_t type)
{
    switch (type) {
    case VMLAT_RB_SOURCE:
        return sizeof(struct vmlat_record_source);
    case VMLAT_RB_NAME:
        return sizeof(struct vmlat_record_name);
    case VMLAT_RB_COUNTER:
        return sizeof(struct vmlat_record_counter);
    case VMLAT_RB_END:
        return sizeof(struct vmlat_record_end);
    default:
        return 0;
    }
}

/* Takes a block, 'have' bytes of which the file has behind its header.
 * Returns false if the file was cut off in it. */
static bool
take_block(struct walk *walk, const struct vmlat_record_block *block,
           size_t have)
{
    const void *data = block + 1;
    size_t length = block_length(block->type);
    bool whole = have >= block->length;

    if (block->version != VMLAT_RECORD_VERSION) {
        walk->what = walk->what_allocated = format_string(
            "has a block of version %u, only version %u is known here",
            block->version, VMLAT_RECORD_VERSION);
    } else if (!walk->f->source && block->type != VMLAT_RB_SOURCE) {
        walk->what = "does not begin with a SOURCE block";
    } else if ((length && block->length != length) || block->length % 8
               || (block->type == VMLAT_RB_RECORDS
                   && block->length % sizeof(struct vmlat_record))) {
        walk->what = "has a block of a wrong length";
    } else if (block->type == VMLAT_RB_RECORDS) {
        take_records(walk, data, ((whole ? block->length : have)
                                  / sizeof(struct vmlat_record)));
    } else if (whole) {
        if (block->type == VMLAT_RB_SOURCE) {
            take_source(walk, data);
        } else if (block->type == VMLAT_RB_NAME) {
            take_name(walk, data);
        } else if (block->type == VMLAT_RB_COUNTER) {
            take_counter(walk, data);
        } else if (block->type == VMLAT_RB_END) {
            take_end(walk, data);
        }
    }
    return whole;
}

static void
walk_blocks(struct walk *walk)
{
    struct vmlat_record_file *f = walk->f;
    size_t offset = MAGIC_LEN;

    f->truncated = true;
    while (!walk->what && f->truncated
           && f->size - offset >= sizeof(struct vmlat_record_block)) {
        const struct vmlat_record_block *block
            = (const void *) ((const uint8_t *) f->map + offset);

        offset += sizeof *block;
        if (!take_block(walk, block, f->size - offset)) {
            break;
        }
        offset += block->length;
    }
    if (walk->what) {
        return;
    } else if (!f->source) {
        walk->what = "was cut off before it says who wrote it";
    } else if (!f->truncated && offset != f->size) {
        walk->what = "goes on behind its END block";
    }
}

/* Maps the file.  Returns NULL or what is wrong. */
static const char *
map_file(struct vmlat_record_file *f)
{
    const char *what = NULL;
    struct stat s;
    int fd;

    /* A FIFO would wait for somebody to write to it. */
    fd = open(f->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return describe(errno);
    }
    if (fstat(fd, &s)) {
        what = describe(errno);
    } else if (!S_ISREG(s.st_mode)) {
        what = S_ISDIR(s.st_mode) ? describe(EISDIR) : "is not a regular file";
    } else if (!s.st_size) {
        what = "is empty";
    } else if ((uintmax_t) s.st_size > SIZE_MAX) {
        what = describe(EFBIG);
    } else {
        f->size = s.st_size;
        f->map = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (f->map == MAP_FAILED) {
            f->map = NULL;
            what = describe(errno);
        } else if (f->size < MAGIC_LEN
                   || memcmp(f->map, VMLAT_RECORD_MAGIC, MAGIC_LEN)) {
            what = "is not a file of records of vmlat";
        }
    }
    close(fd);
    return what;
}

struct vmlat_record_file *
vmlat_record_file_open(const char *name, char **errorp)
{
    struct vmlat_record_file *f;
    struct walk walk;

    *errorp = NULL;
    if (!machine_fits(name, errorp)) {
        return NULL;
    }
    f = (calloc)(1, sizeof *f);
    if (!f) {
        *errorp = format_string("%s: %s", name, describe(ENOMEM));
        return NULL;
    }
    f->name = format_string("%s", name);
    memset(&walk, 0, sizeof walk);
    walk.f = f;
    walk.what = map_file(f);
    if (!walk.what) {
        walk_blocks(&walk);
    }
    f->names = walk.names;
    f->counters = walk.counters;
    if (walk.what) {
        *errorp = format_string("%s: %s", name, walk.what);
        free(walk.what_allocated);
        vmlat_record_file_close(f);
        return NULL;
    }
    return f;
}

void
vmlat_record_file_close(struct vmlat_record_file *f)
{
    if (f) {
        if (f->map) {
            munmap(f->map, f->size);
        }
        free((void *) f->names);
        free((void *) f->counters);
        free(f->runs);
        free(f->name);
        free(f);
    }
}

/* Kinds and marks. */

/* Rows of the table: each kind, with its marks behind it. */
enum row {
#define VMLAT_RECORD_KIND(ID, NAME, MEANING) ROW_##ID,
#define VMLAT_RECORD_MARK(KIND, ID, NAME, MEANING) ROW_##KIND##_##ID,
    VMLAT_RECORD_TABLE
#undef VMLAT_RECORD_KIND
#undef VMLAT_RECORD_MARK
    N_ROWS
};

static const char *const row_names[N_ROWS] = {
#define VMLAT_RECORD_KIND(ID, NAME, MEANING) NAME,
#define VMLAT_RECORD_MARK(KIND, ID, NAME, MEANING) NAME,
    VMLAT_RECORD_TABLE
#undef VMLAT_RECORD_KIND
#undef VMLAT_RECORD_MARK
};

static const uint8_t kind_rows[VMLAT_REC_N_KINDS + 1] = {
#define VMLAT_RECORD_KIND(ID, NAME, MEANING) ROW_##ID,
#define VMLAT_RECORD_MARK(KIND, ID, NAME, MEANING)
    VMLAT_RECORD_TABLE
#undef VMLAT_RECORD_KIND
#undef VMLAT_RECORD_MARK
    N_ROWS
};

/* The enums of marks say the same as the table. */
#define VMLAT_RECORD_KIND(ID, NAME, MEANING)
#define VMLAT_RECORD_MARK(KIND, ID, NAME, MEANING)                      \
    _Static_assert(ROW_##KIND + 1 + (int) VMLAT_MARK_##KIND##_##ID      \
                   == (int) ROW_##KIND##_##ID, "marks are in order");
VMLAT_RECORD_TABLE
#undef VMLAT_RECORD_KIND
#undef VMLAT_RECORD_MARK

unsigned int
vmlat_record_n_marks(unsigned int kind)
{
    return (kind < VMLAT_REC_N_KINDS
            ? kind_rows[kind + 1] - kind_rows[kind] - 1 : 0);
}

const char *
vmlat_record_kind_name(unsigned int kind)
{
    return kind < VMLAT_REC_N_KINDS ? row_names[kind_rows[kind]] : "?";
}

const char *
vmlat_record_mark_name(unsigned int kind, unsigned int mark)
{
    return (mark < vmlat_record_n_marks(kind)
            ? row_names[kind_rows[kind] + 1 + mark] : "?");
}

static bool
is_icmp(uint8_t proto)
{
    return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

bool
vmlat_record_is_sane(const struct vmlat_record *r)
{
    unsigned int n = vmlat_record_n_marks(r->kind);
    uint32_t last = VMLAT_MARK_NONE;
    unsigned int i;

    if (!n || r->shift > MAX_SHIFT || !r->time_ns
        || r->time_ns >> TIME_BITS) {
        return false;
    }
    if (is_icmp(r->proto) && (r->dport || r->ack || r->seq > UINT16_MAX)) {
        return false;
    }
    for (i = 0; i < VMLAT_RECORD_MARKS; i++) {
        uint32_t mark = r->marks[i];

        if (mark == VMLAT_MARK_NONE) {
            continue;
        }
        if (i >= n || (last == VMLAT_MARK_NONE ? mark != 0 : mark < last)) {
            return false;
        }
        last = mark;
    }
    return last != VMLAT_MARK_NONE;
}

bool
vmlat_record_set_times(struct vmlat_record *r, const uint64_t *times,
                       size_t n)
{
    uint64_t first = 0, last = 0;
    size_t i;

    if (n > VMLAT_RECORD_MARKS) {
        return false;
    }
    for (i = 0; i < n; i++) {
        if (times[i]) {
            if (times[i] < last || times[i] >> TIME_BITS) {
                return false;
            }
            first = first ? first : times[i];
            last = times[i];
        }
    }
    if (!first) {
        return false;
    }

    r->time_ns = first;
    r->shift = 0;
    while ((last - first) >> r->shift >= VMLAT_MARK_NONE) {
        r->shift++;
    }
    for (i = 0; i < VMLAT_RECORD_MARKS; i++) {
        r->marks[i] = (i < n && times[i]
                       ? (times[i] - first) >> r->shift : VMLAT_MARK_NONE);
    }
    return true;
}

/* Headers. */

/* What is left of the captured bytes, and of the packet as its IP header
 * says. */
struct bytes {
    const uint8_t *data;
    size_t size;
    uint32_t length;            /* From 'data' on; may be more than 'size'. */
    bool length_known;
};

enum {
    ETH_LEN = 14,
    VLAN_LEN = 4,
    IPV4_LEN = 20,
    IPV6_LEN = 40,
    TCP_LEN = 20,
    UDP_LEN = 8,
    SCTP_LEN = 12,
    ICMP_LEN = 8,
    ICMPV6_LEN = 4,

    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    TYPE_VLAN = 0x8100,
    TYPE_VLAN_OUTER = 0x88a8,
    MAX_VLANS = 2,
    MAX_IPV6_EXTENSIONS = 8,
};

static uint16_t
get16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static uint32_t
get32(const uint8_t *p)
{
    return (uint32_t) get16(p) << 16 | get16(p + 2);
}

/* Takes 'n' bytes off the packet's length; false if it is shorter. */
static bool
shorten(struct bytes *b, size_t n)
{
    if (b->length_known) {
        if (b->length < n) {
            return false;
        }
        b->length -= n;
    }
    return true;
}

/* Goes behind the next 'n' bytes; false if the packet or what was captured of
 * it is shorter. */
static bool
skip(struct bytes *b, size_t n)
{
    if (b->size < n || !shorten(b, n)) {
        return false;
    }
    b->data += n;
    b->size -= n;
    return true;
}

static bool
set_tcp(struct vmlat_record *r, struct bytes *b)
{
    const uint8_t *tcp = b->data;
    size_t header;

    if (!skip(b, TCP_LEN)) {
        return false;
    }
    r->sport = get16(tcp);
    r->dport = get16(tcp + 2);
    r->seq = get32(tcp + 4);
    r->ack = get32(tcp + 8);
    r->l4_type = tcp[13];

    /* Options need not have been captured. */
    header = (tcp[12] >> 4) * 4;
    return header >= TCP_LEN && shorten(b, header - TCP_LEN);
}

static bool
set_udp(struct vmlat_record *r, struct bytes *b)
{
    const uint8_t *udp = b->data;
    size_t n;

    if (!skip(b, UDP_LEN)) {
        return false;
    }
    r->sport = get16(udp);
    r->dport = get16(udp + 2);

    /* Bytes behind the IP packet are padding. */
    n = (b->length_known && b->length < b->size ? b->length : b->size);
    r->seq = n >= 4 ? get32(b->data) : 0;
    r->ack = n >= 8 ? get32(b->data + 4) : 0;
    return true;
}

static bool
set_icmp(struct vmlat_record *r, struct bytes *b)
{
    const uint8_t *icmp = b->data;
    bool v6 = r->proto == IPPROTO_ICMPV6;
    bool echo;

    if (b->size < ICMPV6_LEN) {
        return false;
    }
    r->l4_type = icmp[0];
    echo = (v6
            ? r->l4_type == ICMP6_ECHO_REQUEST
              || r->l4_type == ICMP6_ECHO_REPLY
            : r->l4_type == ICMP_ECHO || r->l4_type == ICMP_ECHOREPLY);
    if (!skip(b, v6 && !echo ? ICMPV6_LEN : ICMP_LEN)) {
        return false;
    }
    if (echo) {
        r->sport = get16(icmp + 4);
        r->seq = get16(icmp + 6);
    }
    return true;
}

static bool
set_transport(struct vmlat_record *r, struct bytes *b, bool later_fragment)
{
    bool ok = true;

    if (!later_fragment) {
        if (r->proto == IPPROTO_TCP) {
            ok = set_tcp(r, b);
        } else if (r->proto == IPPROTO_UDP) {
            ok = set_udp(r, b);
        } else if (is_icmp(r->proto)) {
            ok = set_icmp(r, b);
        } else if (r->proto == IPPROTO_SCTP) {
            const uint8_t *sctp = b->data;

            ok = skip(b, SCTP_LEN);
            if (ok) {
                r->sport = get16(sctp);
                r->dport = get16(sctp + 2);
            }
        }
    }
    r->payload = b->length_known ? b->length : 0;
    return ok;
}

static void
set_mapped(uint8_t address[16], const uint8_t *ipv4)
{
    memset(address, 0, 10);
    memset(address + 10, 0xff, 2);
    memcpy(address + 12, ipv4, 4);
}

static bool
set_ipv4(struct vmlat_record *r, struct bytes *b)
{
    const uint8_t *ip = b->data;
    uint16_t fragment;
    size_t header;

    if (b->size < IPV4_LEN || ip[0] >> 4 != 4) {
        return false;
    }
    header = (ip[0] & 0xf) * 4;
    b->length = get16(ip + 2);
    b->length_known = b->length != 0;
    if (header < IPV4_LEN || !skip(b, header)) {
        return false;
    }
    set_mapped(r->src, ip + 12);
    set_mapped(r->dst, ip + 16);
    r->ip_id = get16(ip + 4);
    r->proto = ip[9];
    fragment = get16(ip + 6) & 0x3fff;
    if (fragment) {
        r->flags |= VMLAT_REC_FRAGMENT;
    }
    return set_transport(r, b, fragment & 0x1fff);
}

static bool
set_ipv6(struct vmlat_record *r, struct bytes *b)
{
    const uint8_t *ip = b->data;
    bool later_fragment = false;
    int n;

    if (b->size < IPV6_LEN || ip[0] >> 4 != 6) {
        return false;
    }
    b->length = get16(ip + 4);
    b->length_known = b->length != 0;
    b->length += IPV6_LEN;
    if (!skip(b, IPV6_LEN)) {
        return false;
    }
    memcpy(r->src, ip + 8, 16);
    memcpy(r->dst, ip + 24, 16);
    r->proto = ip[6];

    for (n = 0; !later_fragment; n++) {
        const uint8_t *extension = b->data;
        size_t length;

        if (r->proto != IPPROTO_HOPOPTS && r->proto != IPPROTO_ROUTING
            && r->proto != IPPROTO_DSTOPTS && r->proto != IPPROTO_AH
            && r->proto != IPPROTO_FRAGMENT) {
            break;
        }
        if (n == MAX_IPV6_EXTENSIONS || b->size < 8) {
            return false;
        }
        length = (r->proto == IPPROTO_FRAGMENT ? 8
                  : r->proto == IPPROTO_AH ? (extension[1] + 2) * 4
                  : (extension[1] + 1) * 8);
        if (r->proto == IPPROTO_FRAGMENT) {
            uint16_t fragment = get16(extension + 2);

            if (fragment & 0xfff9) {
                r->flags |= VMLAT_REC_FRAGMENT;
            }
            later_fragment = fragment & 0xfff8;
        }
        r->proto = extension[0];
        if (!skip(b, length)) {
            return false;
        }
    }
    return set_transport(r, b, later_fragment);
}

bool
vmlat_record_set_headers(struct vmlat_record *r, const void *l2, size_t size)
{
    struct bytes b = { .data = l2, .size = size };
    uint16_t type;
    int n;

    memset(r->src, 0, sizeof r->src);
    memset(r->dst, 0, sizeof r->dst);
    r->sport = r->dport = 0;
    r->seq = r->ack = r->payload = 0;
    r->ip_id = 0;
    r->proto = r->l4_type = 0;
    r->flags &= ~VMLAT_REC_FRAGMENT;

    if (!skip(&b, ETH_LEN)) {
        return false;
    }
    type = get16(b.data - 2);
    for (n = 0; n < MAX_VLANS; n++) {
        if (type != TYPE_VLAN && type != TYPE_VLAN_OUTER) {
            break;
        }
        if (!skip(&b, VLAN_LEN)) {
            return false;
        }
        type = get16(b.data - 2);
    }
    return (type == TYPE_IPV4 ? set_ipv4(r, &b)
            : type == TYPE_IPV6 ? set_ipv6(r, &b)
            : false);
}
