// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Whether a socket of the host claims a flow that the switch could claim too. The host wins.
#pragma once

#include "maps.h"

// SO_MARK of the sockets by which the daemon holds published ports. Repeated in src/uplink/mod.rs.
#define SOCKET_MARK 0x3056

// Numbers of `enum` in the kernel's net/tcp_states.h; other protocols use them too.
enum { ESTABLISHED = 1, LISTEN = 10 };

// A listener's mark, in an XDP program, which cannot ask a socket whether it is one: another look finds it, and only it.
INLINE int is_marked_listener(void *packet, struct bpf_sock_tuple *tuple, __u32 len)
{
    struct bpf_sock *full = sk_lookup_tcp(packet, tuple, len, BPF_F_CURRENT_NETNS, 0);
    if (!full)
        return 0;
    int marked = full->mark == SOCKET_MARK;
    sk_release(full);
    return marked;
}

// A connected socket owns its flow, and so does one that waits out its end or is about to be: no full socket. A listener has
// nothing to lose in a flow that the switch began; an unconnected UDP socket may wait for it. `mapped`: the switch has this
// very flow, not only the port.
INLINE int held_by_tcp(void *packet, const enum kind kind, struct bpf_sock_tuple *tuple, __u32 len, int mapped)
{
    struct bpf_sock *sk = skc_lookup_tcp(packet, tuple, len, BPF_F_CURRENT_NETNS, 0);
    if (!sk)
        return 0;
    int claimed = 1;
    int open = sk->state == LISTEN;
    if (open && mapped)
        claimed = 0;
    if (kind == CLASSIFIER && open && claimed) {
        struct bpf_sock *full = sk_fullsock(sk);
        if (full && full->mark == SOCKET_MARK)
            claimed = 0;
    }
    sk_release(sk);
    if (kind == XDP && open && claimed && is_marked_listener(packet, tuple, len))
        claimed = 0;
    return claimed;
}

INLINE int held_by_udp(void *packet, struct bpf_sock_tuple *tuple, __u32 len)
{
    struct bpf_sock *sk = sk_lookup_udp(packet, tuple, len, BPF_F_CURRENT_NETNS, 0);
    if (!sk)
        return 0;
    // What is found here is a full socket.
    int claimed = sk->state == ESTABLISHED || sk->mark != SOCKET_MARK;
    sk_release(sk);
    return claimed;
}

INLINE int held_by_host(void *packet, const enum kind kind, const struct flow *flow, int v6, int mapped)
{
    struct bpf_sock_tuple tuple = {};
    __u32 len;
    if (v6) {
        __builtin_memcpy(tuple.ipv6.saddr, &flow->remote, 16);
        __builtin_memcpy(tuple.ipv6.daddr, &flow->local, 16);
        tuple.ipv6.sport = flow->remote_port;
        tuple.ipv6.dport = flow->local_port;
        len = sizeof(tuple.ipv6);
    } else {
        tuple.ipv4.saddr = flow->remote.word[3];
        tuple.ipv4.daddr = flow->local.word[3];
        tuple.ipv4.sport = flow->remote_port;
        tuple.ipv4.dport = flow->local_port;
        len = sizeof(tuple.ipv4);
    }
    if (flow->protocol == TCP)
        return held_by_tcp(packet, kind, &tuple, len, mapped);
    if (flow->protocol == UDP)
        return held_by_udp(packet, &tuple, len);
    return 0;
}
