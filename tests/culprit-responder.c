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

/* Answers echo requests in the kernel's place, some ms later: a slow responder
 * for check-culprit.  The kernel's own answers have to be off
 * (net.ipv4.icmp_echo_ignore_all). */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static uint16_t
checksum(const uint8_t *data, size_t size)
{
    uint32_t sum = 0;
    size_t i;

    for (i = 0; i < size; i++) {
        sum += i & 1 ? data[i] : data[i] << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return htons(~sum);
}

int
main(int argc, char *argv[])
{
    static uint8_t packet[65536] __attribute__((aligned(4)));
    int delay_ms = argc == 2 ? atoi(argv[1]) : 0;
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

    if (delay_ms <= 0 || delay_ms >= 1000) {
        fprintf(stderr, "usage: culprit-responder MS\n");
        return 1;
    }
    if (fd < 0) {
        perror("socket");
        return 1;
    }
    for (;;) {
        struct sockaddr_in from;
        socklen_t from_len = sizeof from;
        ssize_t n = recvfrom(fd, packet, sizeof packet, 0,
                             (struct sockaddr *) &from, &from_len);
        size_t header = (packet[0] & 15) * 4;
        struct icmphdr *icmp;
        size_t size;

        if (n < 0) {
            perror("recvfrom");
            return 1;
        }
        if ((size_t) n < header + sizeof *icmp) {
            continue;
        }
        icmp = (void *) (packet + header);
        size = n - header;
        if (icmp->type != ICMP_ECHO) {
            continue;
        }
        usleep(delay_ms * 1000);
        icmp->type = ICMP_ECHOREPLY;
        icmp->checksum = 0;
        icmp->checksum = checksum((uint8_t *) icmp, size);
        if (sendto(fd, icmp, size, 0, (struct sockaddr *) &from,
                   from_len) < 0) {
            perror("sendto");
        }
    }
}
