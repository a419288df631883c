// SPDX-License-Identifier: MIT OR GPL-2.0-only
// At an interface that is a port of the switch: every frame goes to the AF_XDP socket of its queue. A frame of a queue
// without one is dropped and counted: what is on this interface is the switch's, and never the host's.
// `vsw_port_long` is the same where frames may be longer than a driver's buffer; Linux 5.18 has such programs.

#include "kernel.h"

// Repeated in src/xdp/program.rs.
enum { QUEUES = 64 };

struct {
    NUMBER(type, BPF_MAP_TYPE_XSKMAP);
    NUMBER(max_entries, QUEUES);
    TYPE(key, __u32);
    TYPE(value, __u32);
} vsw_sockets SECTION(".maps");

struct {
    NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    NUMBER(max_entries, 1);
    TYPE(key, __u32);
    TYPE(value, __u64);
} vsw_unclaimed SECTION(".maps");

INLINE int hand_over(struct xdp_md *frame)
{
    long verdict = redirect_map(&vsw_sockets, frame->rx_queue_index, XDP_DROP);
    if (verdict == XDP_REDIRECT)
        return XDP_REDIRECT;
    __u32 index = 0;
    __u64 *number = map_lookup(&vsw_unclaimed, &index);
    if (number)
        *number += 1;
    return XDP_DROP;
}

SECTION("xdp")
int vsw_port(struct xdp_md *frame)
{
    return hand_over(frame);
}

SECTION("xdp.frags")
int vsw_port_long(struct xdp_md *frame)
{
    return hand_over(frame);
}

char terms[] SECTION("license") = "Dual MIT/GPL";
