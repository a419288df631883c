// SPDX-License-Identifier: MIT OR GPL-2.0-only
// `steer` with an XDP program before it, which has its tables: one object. What is the switch's goes from the driver to the
// AF_XDP socket of its queue, past the network stack. What cannot go there passes, and is judged once more by `steer`:
// nothing is the host's because a socket was missing.

#include "steer.c"

// Repeated in src/uplink/inlets.rs.
enum { NICS = 64, QUEUES = 64 };
// Longest frame that a socket takes, in bytes: a page less what the kernel keeps of it.
enum { LONGEST = 4096 - 256 };

struct nic {
    __u8 mac[6];   // of frames for this host
    __u8 zero[2];
    __u32 first;   // number of its first queue in vsw_inlets
};

struct {
    NUMBER(type, BPF_MAP_TYPE_HASH);
    NUMBER(max_entries, NICS);
    TYPE(key, __u32);  // interface index
    TYPE(value, struct nic);
} vsw_nics SECTION(".maps");

struct {
    NUMBER(type, BPF_MAP_TYPE_XSKMAP);
    NUMBER(max_entries, NICS * QUEUES);
    TYPE(key, __u32);
    TYPE(value, __u32);
} vsw_inlets SECTION(".maps");

SECTION("xdp")
int vsw_catch(struct xdp_md *frame)
{
    struct ether ether;
    struct packet p = {};

    __u32 ifindex = frame->ingress_ifindex;
    struct nic *nic = map_lookup(&vsw_nics, &ifindex);
    if (!nic || xdp_len(frame) > LONGEST || load_bytes(frame, XDP, 0, &ether, ETHER_LEN) || !is_to(&ether, nic->mac))
        return XDP_PASS;
    // What passes is judged by `steer`, and must not have been charged to the limit before.
    __u32 queue = nic->first + frame->rx_queue_index;
    if (frame->rx_queue_index >= QUEUES || !map_lookup(&vsw_inlets, &queue))
        return XDP_PASS;
    if (parse(frame, XDP, ETHER_LEN, ether.type, &p))
        return XDP_PASS;
    int what = judge(frame, XDP, &p, ether.type == NET16(ETHER_IPV6));
    if (what == LIMITED) {
        count(what);
        return XDP_DROP;
    }
    if (what != STEERED && what != FRAGMENTS)
        return XDP_PASS;
    long verdict = redirect_map(&vsw_inlets, queue, XDP_PASS);
    if (verdict == XDP_REDIRECT) {
        count(what);
        count(CAUGHT);
    }
    return verdict;
}
