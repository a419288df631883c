// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What the programs know of a packet: addresses, protocol, where layer 4 starts, whether it is a fragment.
// Every access is a bounded copy, so that nothing depends on how the packet lies in memory.
#pragma once

#include "kernel.h"

// An Ethernet header without tags.
struct ether {
    __u8 destination[6], source[6];
    __u16 type;
};

INLINE int is_to(const struct ether *ether, const __u8 *mac)
{
    for (int i = 0; i < 6; i++)
        if (ether->destination[i] != mac[i])
            return 0;
    return 1;
}

// IPv4 as ::ffff:a.b.c.d.
struct address {
    __u32 word[4];
};

enum fragment { WHOLE, FIRST, LATER };

struct packet {
    struct address source, destination;
    __u32 id;        // of a fragmented packet
    __u32 layer4;    // offset, from where the packet's data start
    __u8 protocol;   // of layer 4
    __u8 fragment;
};

struct ipv4 {
    __u8 version_len, tos;
    __u16 len, id, fragment;
    __u8 ttl, protocol;
    __u16 checksum;
    __u32 source, destination;
};

struct ipv6 {
    __u32 version_class_label;
    __u16 len;
    __u8 next, hops;
    struct address source, destination;
};

// At most so many extension headers are looked through: RFC 8200 section 4.1 names each but one kind once.
#define EXTENSIONS 6

INLINE void map_address(struct address *to, __u32 v4)
{
    to->word[0] = 0;
    to->word[1] = 0;
    to->word[2] = NET32(0xffff);
    to->word[3] = v4;
}

INLINE int parse_ipv4(void *packet, const enum kind kind, __u32 at, struct packet *p)
{
    struct ipv4 ip;
    if (load_bytes(packet, kind, at, &ip, sizeof(ip)) || (ip.version_len >> 4) != 4 || (ip.version_len & 15) < 5)
        return -1;
    map_address(&p->source, ip.source);
    map_address(&p->destination, ip.destination);
    p->protocol = ip.protocol;
    p->layer4 = at + (ip.version_len & 15) * 4;
    p->id = ip.id;
    if (ip.fragment & NET16(0x1fff))
        p->fragment = LATER;
    else
        p->fragment = ip.fragment & NET16(0x2000) ? FIRST : WHOLE;
    return 0;
}

INLINE int parse_ipv6(void *packet, const enum kind kind, __u32 at, struct packet *p)
{
    struct ipv6 ip;
    if (load_bytes(packet, kind, at, &ip, sizeof(ip)) || (ip.version_class_label & NET32(0xf0000000)) != NET32(0x60000000))
        return -1;
    p->source = ip.source;
    p->destination = ip.destination;
    p->fragment = WHOLE;
    p->id = 0;
    __u8 next = ip.next;
    at += sizeof(ip);
#pragma unroll
    for (int i = 0; i < EXTENSIONS; i++) {
        struct {
            __u8 next, len;
            __u16 fragment;
            __u32 id;
        } extension;
        // Hop-by-hop, destination options, routing; fragment. What else there is ends the walk.
        if (next != 0 && next != 60 && next != 43 && next != 44)
            break;
        if (load_bytes(packet, kind, at, &extension, sizeof(extension)))
            return -1;
        if (next == 44) {
            p->id = extension.id;
            p->fragment = extension.fragment & NET16(1) ? FIRST : WHOLE;
            if (extension.fragment & NET16(0xfff8)) {
                p->fragment = LATER;
                next = extension.next;
                break;
            }
            at += 8;
        } else {
            at += (extension.len + 1) * 8;
        }
        next = extension.next;
    }
    p->protocol = next;
    p->layer4 = at;
    return 0;
}

INLINE int parse(void *packet, const enum kind kind, __u32 at, __u32 ether_type, struct packet *p)
{
    if (ether_type == NET16(ETHER_IPV4))
        return parse_ipv4(packet, kind, at, p);
    if (ether_type == NET16(ETHER_IPV6))
        return parse_ipv6(packet, kind, at, p);
    return -1;
}
