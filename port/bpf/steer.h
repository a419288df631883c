// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Whose a packet that arrives at an interface is. The switch's is: the exact flow of a mapping, a published port, an ICMP
// error that quotes one of these, a later fragment of what was sent to the switch. A host's socket goes before all of
// these. Only judged here: what becomes of it is the programs' business.
#pragma once

#include "socket.h"

#define SECOND 1000000000ull
// Without a sign of life for so long the switch is gone for good, and the host gets everything.
#define HOLD (10 * SECOND)
// For so long without one, what goes to the link counts as held: very likely nobody reads it.
#define LATE (3 * SECOND)
// Fragments of one packet arrive within this time, or not at all (RFC 8200 section 4.5).
#define REASSEMBLY (60 * SECOND)

enum { SYN = 0x02, ACK = 0x10 };

// How long ago the switch gave a sign of life, ns.
INLINE __u64 silence(__u64 now)
{
    __u32 index = 0;
    __u64 *beat = map_lookup(&vsw_beat, &index);
    if (!beat)
        return ~0ull;
    // Another CPU's beat may be a moment ahead.
    __s64 age = now - *beat;
    return age < 0 ? 0 : age;
}

// A token bucket that holds one second's worth.
INLINE int is_above_limit(__u64 now)
{
    __u32 index = 0;
    __u32 *per_second = map_lookup(&vsw_limit, &index);
    if (!per_second || !*per_second)
        return 0;
    __u64 price = SECOND / *per_second;
    struct bucket *bucket = map_lookup(&vsw_bucket, &index);
    if (!bucket)
        return 0;
    int above = 0;
    spin_lock(&bucket->lock);
    __u64 from = bucket->empty_at > now ? bucket->empty_at : now;
    if (from + price > now + SECOND)
        above = 1;
    else
        bucket->empty_at = from + price;
    spin_unlock(&bucket->lock);
    return above;
}

INLINE int is_in(const struct published *key, __u16 port)
{
    struct ports *ports = map_lookup(&vsw_published, key);
    return ports && (ports->word[port >> 6] >> (port & 63) & 1);
}

INLINE int is_published(const struct flow *flow, int v6)
{
    if (flow->protocol != TCP && flow->protocol != UDP)
        return 0;
    struct published key = { .address = flow->local, .protocol = flow->protocol };
    __u16 port = NET16(flow->local_port);
    if (is_in(&key, port))
        return 1;
    if (v6)
        __builtin_memset(&key.address, 0, sizeof(key.address));
    else
        map_address(&key.address, 0);
    return is_in(&key, port);
}

INLINE int is_mapped(const struct flow *flow)
{
    if (map_lookup(&vsw_mappings, flow))
        return 1;
    __u32 index = 0;
    struct config *config = map_lookup(&vsw_config, &index);
    return config && config->inherited && map_lookup(&vsw_inherited, flow);
}

// The flow that an ICMP message belongs to, from the host's point of view. `p` is the message.
INLINE int flow_of_icmp(void *packet, const enum kind kind, const struct packet *p, int v6, struct flow *flow)
{
    struct {
        __u8 type, code;
        __u16 checksum, id, sequence;
    } icmp;
    if (load_bytes(packet, kind, p->layer4, &icmp, sizeof(icmp)))
        return -1;
    if (icmp.type == (v6 ? 129 : 0)) {  // echo reply
        flow->local = p->destination;
        flow->remote = p->source;
        flow->local_port = icmp.id;
        flow->protocol = p->protocol;
        return 0;
    }
    // Unreachable, too big, time exceeded, parameter problem.
    int error = v6 ? icmp.type >= 1 && icmp.type <= 4 : icmp.type == 3 || icmp.type == 11 || icmp.type == 12;
    if (!error || p->fragment != WHOLE)
        return -1;
    struct packet quoted = {};
    if (parse(packet, kind, p->layer4 + 8, v6 ? NET16(ETHER_IPV6) : NET16(ETHER_IPV4), &quoted) || quoted.fragment == LATER)
        return -1;
    __u16 ports[2];
    flow->local = quoted.source;
    flow->remote = quoted.destination;
    flow->protocol = quoted.protocol;
    if (quoted.protocol == TCP || quoted.protocol == UDP) {
        if (load_bytes(packet, kind, quoted.layer4, ports, sizeof(ports)))
            return -1;
        flow->local_port = ports[0];
        flow->remote_port = ports[1];
        return 0;
    }
    if (quoted.protocol != p->protocol || load_bytes(packet, kind, quoted.layer4, &icmp, sizeof(icmp)) ||
        icmp.type != (v6 ? 128 : 8))
        return -1;
    flow->local_port = icmp.id;
    return 0;
}

INLINE int is_opening(void *packet, const enum kind kind, const struct packet *p)
{
    __u8 flags;
    return p->protocol == TCP && !load_bytes(packet, kind, p->layer4 + 13, &flags, 1) && (flags & (SYN | ACK)) == SYN;
}

INLINE void key_of_fragment(struct fragment_key *key, const struct packet *p)
{
    key->source = p->source;
    key->destination = p->destination;
    key->id = p->id;
    key->protocol = p->protocol;
}

// What a packet is to be counted as, or that it is not the switch's.
enum { NOT_OURS = -1 };

// `p` is the whole packet, `v6` its family.
INLINE int judge(void *packet, const enum kind kind, const struct packet *p, int v6)
{
    struct flow flow = {};
    struct fragment_key fragment = {};

    if (!map_lookup(&vsw_locals, &p->destination))
        return NOT_OURS;

    if (p->fragment != WHOLE)
        key_of_fragment(&fragment, p);
    // Identifications are used again: whose the last datagram was says nothing about this one.
    if (p->fragment == FIRST)
        map_delete(&vsw_fragments, &fragment);
    if (p->fragment == LATER) {
        __u64 *first = map_lookup(&vsw_fragments, &fragment);
        if (!first)
            return NOT_OURS;
        __u64 now = monotonic_ns();
        if (now - *first > REASSEMBLY || silence(now) > HOLD)
            return NOT_OURS;
        return FRAGMENTS;
    }

    if (p->protocol == TCP || p->protocol == UDP) {
        __u16 ports[2];
        if (load_bytes(packet, kind, p->layer4, ports, sizeof(ports)))
            return NOT_OURS;
        flow.local = p->destination;
        flow.remote = p->source;
        flow.local_port = ports[1];
        flow.remote_port = ports[0];
        flow.protocol = p->protocol;
    } else if (p->protocol == (v6 ? ICMPV6 : ICMP)) {
        if (flow_of_icmp(packet, kind, p, v6, &flow))
            return NOT_OURS;
    } else {
        return NOT_OURS;
    }

    int mapped = is_mapped(&flow);
    if (!mapped && !is_published(&flow, v6))
        return NOT_OURS;
    // Nobody out there is this host. What claims to be is the host's to drop (RFC 1812 section 5.3.8).
    if (!mapped && map_lookup(&vsw_locals, &flow.remote))
        return NOT_OURS;
    if (held_by_host(packet, kind, &flow, v6, mapped))
        return TO_SOCKET;
    __u64 now = monotonic_ns();
    __u64 silent = silence(now);
    if (silent > HOLD)
        return STALE;
    if (!mapped && is_opening(packet, kind, p) && is_above_limit(now))
        return LIMITED;
    if (p->fragment == FIRST)
        map_update(&vsw_fragments, &fragment, &now, BPF_ANY);
    return silent > LATE ? HELD : STEERED;
}
