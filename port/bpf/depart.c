// SPDX-License-Identifier: MIT OR GPL-2.0-only
// At the ingress of the link, on what the switch writes: frames to OUT_MAC leave the host by its routes and neighbours,
// as if the host forwarded them, but past its netfilter. All others are for the host's own stack.
// TTL and source address are the switch's business.

#include "packet.h"

// Repeated in src/uplink/mod.rs.
static const __u8 out_mac[6] = { 0x02, 0x76, 0x73, 0x77, 0x00, 0x01 };

// The order is repeated in src/uplink/stats.rs.
enum departure { DEPARTED, NO_ROUTE, TOO_BIG, REFUSED, DEPARTURES };

struct {
    NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    NUMBER(max_entries, DEPARTURES);
    TYPE(key, __u32);
    TYPE(value, __u64);
} vsw_departed SECTION(".maps");

INLINE int end(enum departure what, int verdict)
{
    __u32 index = what;
    __u64 *number = map_lookup(&vsw_departed, &index);
    if (number)
        *number += 1;
    return verdict;
}

enum { LOOPBACK = 1 };

SECTION("classifier")
int vsw_depart(struct __sk_buff *skb)
{
    struct ether ether;
    if (load_bytes(skb, CLASSIFIER, 0, &ether, ETHER_LEN) || !is_to(&ether, out_mac))
        return NEXT;

    struct packet p = {};
    struct bpf_fib_lookup fib = {};
    if (parse(skb, CLASSIFIER, ETHER_LEN, ether.type, &p))
        return end(REFUSED, DROP);
    if (ether.type == NET16(ETHER_IPV4)) {
        fib.family = 2;  // AF_INET
        load_bytes(skb, CLASSIFIER, ETHER_LEN + 1, &fib.tos, 1);
        fib.ipv4_src = p.source.word[3];
        fib.ipv4_dst = p.destination.word[3];
    } else {
        fib.family = 10;  // AF_INET6
        load_bytes(skb, CLASSIFIER, ETHER_LEN, &fib.flowinfo, 4);
        fib.flowinfo &= NET32(0x0fffffff);
        __builtin_memcpy(fib.ipv6_src, &p.source, 16);
        __builtin_memcpy(fib.ipv6_dst, &p.destination, 16);
    }
    // Rules of the host may look at ports.
    fib.l4_protocol = p.protocol;
    if (p.fragment != LATER && (p.protocol == TCP || p.protocol == UDP)) {
        __u16 ports[2];
        if (!load_bytes(skb, CLASSIFIER, p.layer4, ports, sizeof(ports))) {
            fib.sport = ports[0];
            fib.dport = ports[1];
        }
    }
    fib.ifindex = skb->ifindex;

    long found = fib_lookup(skb, &fib, sizeof(fib), 0);
    if (found == BPF_FIB_LKUP_RET_FRAG_NEEDED)
        return end(TOO_BIG, DROP);
    // An unknown neighbour is asked for by the kernel on the way out.
    if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH)
        return end(NO_ROUTE, DROP);
    if (fib.ifindex == skb->ifindex || fib.ifindex == LOOPBACK)
        return end(NO_ROUTE, DROP);

    // The next hop is a gateway or the destination itself; it may be of the other family (RFC 5549).
    struct bpf_redir_neigh next_hop = {};
    next_hop.nh_family = fib.family;
    __builtin_memcpy(next_hop.ipv6_nh, fib.ipv6_dst, 16);
    return end(DEPARTED, redirect_neigh(fib.ifindex, &next_hop, sizeof(next_hop), 0));
}

char terms[] SECTION("license") = "Dual MIT/GPL";
