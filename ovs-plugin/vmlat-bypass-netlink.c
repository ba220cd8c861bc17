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
#include "vmlat-bypass-netlink.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink-socket.h"
#include "openvswitch/ofpbuf.h"
#include "ovs-rcu.h"
#include "packets.h"
#include "util.h"

/* A table that keeps changing is dumped so many times at most. */
#define ATTEMPTS 4

/* The kernel answers with so much at once at most. */
#define BUFFER_SIZE 65536

/* Opens a socket as nl_sock_create() does, which logs an error if the kernel
 * does not know the protocol. */
static int
open_socket(int protocol, struct nl_sock **sock)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

    if (fd < 0) {
        return errno;
    }
    close(fd);
    return nl_sock_create(protocol, sock);
}

/* Returns the error that a message which ends a dump tells, as a positive
 * errno. */
static int
ending_error(const struct nlmsghdr *h)
{
    int error;

    if (h->nlmsg_len < NLMSG_HDRLEN + sizeof error) {
        return h->nlmsg_type == NLMSG_DONE ? 0 : EPROTO;
    }
    memcpy(&error, (const char *) h + NLMSG_HDRLEN, sizeof error);
    return error < 0 ? -error : 0;
}

/* Dumps once.  Sets '*changed' to true if the table changed meanwhile. */
static int
dump_once(struct nl_sock *sock, const struct ofpbuf *request,
          struct ofpbuf *buffer, vmlat_netlink_func *handle, void *aux,
          bool *changed)
{
    int error = nl_sock_send(sock, request, false);

    while (!error) {
        const char *p;
        size_t left;

        /* The kernel has an answer at once, unless it lost it. */
        error = nl_sock_recv(sock, buffer, NULL, false);
        if (error) {
            break;
        }
        p = buffer->data;
        left = buffer->size;
        while (left >= NLMSG_HDRLEN) {
            const struct nlmsghdr *h
                = ALIGNED_CAST(const struct nlmsghdr *, p);
            size_t len = h->nlmsg_len;

            if (len < NLMSG_HDRLEN || len > left) {
                return EPROTO;
            }
            if (h->nlmsg_flags & NLM_F_DUMP_INTR) {
                *changed = true;
            }
            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
                return ending_error(h);
            }
            if (h->nlmsg_type >= NLMSG_MIN_TYPE) {
                handle(h, aux);
            }
            len = MIN(NLMSG_ALIGN(len), left);
            p += len;
            left -= len;
        }
    }
    return error;
}

int
vmlat_netlink_dump(int protocol, struct ofpbuf *request,
                   void (*restart)(void *aux), vmlat_netlink_func *handle,
                   void *aux, bool *overrun)
{
    struct ofpbuf buffer;
    bool again = true;
    int error = 0;

    nl_msg_nlmsghdr(request)->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
    ofpbuf_init(&buffer, BUFFER_SIZE);
    ovsrcu_quiesce_start();
    for (int i = 0; again && i < ATTEMPTS; i++) {
        struct nl_sock *sock;
        bool changed = false;

        /* A socket of its own each time: what is left of a dump that failed
         * goes with the socket. */
        error = open_socket(protocol, &sock);
        if (error) {
            again = false;
            break;
        }
        if (i) {
            restart(aux);
        }
        error = dump_once(sock, request, &buffer, handle, aux, &changed);
        nl_sock_destroy(sock);
        again = (error == ENOBUFS || error == EAGAIN || error == EBUSY
                 || (!error && changed));
    }
    ovsrcu_quiesce_end();
    ofpbuf_uninit(&buffer);
    if (again) {
        *overrun = true;
        error = 0;
    }
    return error;
}

void
vmlat_netlink_parse_attrs(const void *p, size_t size,
                          const struct nlattr *attrs[], size_t n)
{
    const struct nlattr *a;
    size_t left;

    memset(attrs, 0, n * sizeof *attrs);
    NL_ATTR_FOR_EACH (a, left, (const struct nlattr *) p, size) {
        unsigned int type = nl_attr_type(a);

        if (type < n) {
            attrs[type] = a;
        }
    }
}

const void *
vmlat_netlink_parse(const struct nlmsghdr *message, size_t header,
                    const struct nlattr *attrs[], size_t n)
{
    const char *p = (const char *) message;
    size_t start = NLMSG_HDRLEN + NLMSG_ALIGN(header);

    if (message->nlmsg_len < start) {
        return NULL;
    }
    vmlat_netlink_parse_attrs(p + start, message->nlmsg_len - start, attrs, n);
    return p + NLMSG_HDRLEN;
}

void
vmlat_netlink_parse_nested(const struct nlattr *nested,
                           const struct nlattr *attrs[], size_t n)
{
    if (nested) {
        vmlat_netlink_parse_attrs(nl_attr_get(nested),
                                  nl_attr_get_size(nested), attrs, n);
    } else {
        memset(attrs, 0, n * sizeof *attrs);
    }
}

uint32_t
vmlat_netlink_u32(const struct nlattr *attr)
{
    return (attr && nl_attr_get_size(attr) >= sizeof(uint32_t)
            ? nl_attr_get_u32(attr) : 0);
}

uint8_t
vmlat_netlink_u8(const struct nlattr *attr)
{
    return attr && nl_attr_get_size(attr) >= 1 ? nl_attr_get_u8(attr) : 0;
}

bool
vmlat_netlink_ip(int family, const struct nlattr *attr, struct in6_addr *ip)
{
    size_t size = attr ? nl_attr_get_size(attr) : 0;

    if (family == AF_INET && size == sizeof(ovs_be32)) {
        in6_addr_set_mapped_ipv4(ip, nl_attr_get_be32(attr));
        return true;
    } else if (family == AF_INET6 && size == sizeof *ip) {
        *ip = nl_attr_get_in6_addr(attr);
        return true;
    } else {
        *ip = in6addr_any;
        return false;
    }
}

void
vmlat_netlink_string(const struct nlattr *attr, char *dst, size_t size)
{
    size_t len = attr ? MIN(nl_attr_get_size(attr), size - 1) : 0;

    if (len) {
        memcpy(dst, nl_attr_get(attr), len);
    }
    dst[len] = '\0';
}
