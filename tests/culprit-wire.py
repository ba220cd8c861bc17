#! /usr/bin/env python3
#
# Copyright (c) 2026 The vmlat authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at:
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""A wire between two devices, for check-culprit-vhost: carries frames from
each to the other, late by as many ms as a file says ("MS-TO-B MS-TO-A"; none:
not late).  Kernels without netem can have one, too."""

import heapq
import os
import select
import socket
import sys
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4


def open_socket(device):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                         socket.htons(ETH_P_ALL))
    sock.bind((device, ETH_P_ALL))
    sock.setblocking(False)
    return sock


def read_delays(name):
    """Returns the delays in seconds, by where a frame comes from."""
    try:
        with open(name) as stream:
            ms_to_b, ms_to_a = stream.read().split()
        return [float(ms_to_b) / 1e3, float(ms_to_a) / 1e3]
    except (OSError, ValueError):
        return [0.0, 0.0]


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: culprit-wire.py DEVICE-A DEVICE-B DELAYS-FILE")
    socks = [open_socket(device) for device in sys.argv[1:3]]
    late = []
    number = 0
    while True:
        now = time.monotonic()
        while late and late[0][0] <= now:
            _, _, origin, frame = heapq.heappop(late)
            try:
                socks[1 - origin].send(frame)
            except OSError:
                # The other end is not up.
                pass
        wait = max(0, late[0][0] - now) if late else 1
        readable = select.select(socks, [], [], wait)[0]
        delays = read_delays(sys.argv[3]) if readable else None
        for sock in readable:
            origin = socks.index(sock)
            while True:
                try:
                    frame, address = sock.recvfrom(65536)
                except BlockingIOError:
                    break
                if address[2] != PACKET_OUTGOING:
                    number += 1
                    heapq.heappush(late, (time.monotonic() + delays[origin],
                                          number, origin, frame))


if __name__ == "__main__":
    main()
