// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Whether a socket of the host claims a flow that the switch could claim too. The host wins.
#pragma once

#include "maps.h"

// SO_MARK of the sockets by which the daemon holds published ports. Repeated in src/uplink/mod.rs.
#define SOCKET_MARK 0x3056

// Numbers of `enum` in the kernel's net/tcp_states.h; other protocols use them too.
enum { ESTABLISHED = 1, LISTEN = 10 };

// Releases `sk`. `mapped`: the switch has this very flow, not only the port.
INLINE int claims(struct bpf_sock *sk, __u8 protocol, int mapped)
{
    int claimed = 1;
    __u32 state = sk->state;
    // A connected socket owns its flow, and so does one that waits out its end or is about to be: no full socket.
    int open = protocol == TCP ? state == LISTEN : state != ESTABLISHED;
    if (open) {
        struct bpf_sock *full = sk_fullsock(sk);
        // A listener has nothing to lose in a flow that the switch began; an unconnected UDP socket may wait for it.
        if (full && (full->mark == SOCKET_MARK || (mapped && protocol == TCP)))
            claimed = 0;
    }
    sk_release(sk);
    return claimed;
}

INLINE int held_by_host(struct __sk_buff *skb, const struct flow *flow, int v6, int mapped)
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
    if (flow->protocol == TCP) {
        struct bpf_sock *sk = skc_lookup_tcp(skb, &tuple, len, BPF_F_CURRENT_NETNS, 0);
        return sk ? claims(sk, TCP, mapped) : 0;
    }
    if (flow->protocol == UDP) {
        struct bpf_sock *sk = sk_lookup_udp(skb, &tuple, len, BPF_F_CURRENT_NETNS, 0);
        return sk ? claims(sk, UDP, mapped) : 0;
    }
    return 0;
}
