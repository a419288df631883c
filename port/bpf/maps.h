// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The tables that the daemon fills and `steer` reads. Sizes and layouts are repeated in src/uplink/tables.rs; a successor
// reads a predecessor's tables by these names, so a table whose layout changes gets a new name.
#pragma once

#include "packet.h"

// A flow as seen from this host. Ports are in network order; an ICMP echo has its identifier as local port.
struct flow {
    struct address local, remote;
    __u16 local_port, remote_port;
    __u8 protocol, zero[3];
};

struct {
    NUMBER(type, BPF_MAP_TYPE_HASH);
    NUMBER(map_flags, BPF_F_NO_PREALLOC);
    NUMBER(max_entries, 262144);
    TYPE(key, struct flow);
    TYPE(value, __u8);
} vsw_mappings SECTION(".maps");

// The mappings of a predecessor. The loader sets the size.
struct {
    NUMBER(type, BPF_MAP_TYPE_HASH);
    NUMBER(map_flags, BPF_F_NO_PREALLOC);
    NUMBER(max_entries, 1);
    TYPE(key, struct flow);
    TYPE(value, __u8);
} vsw_inherited SECTION(".maps");

struct {
    NUMBER(type, BPF_MAP_TYPE_HASH);
    NUMBER(map_flags, BPF_F_NO_PREALLOC);
    NUMBER(max_entries, 16384);
    TYPE(key, struct address);
    TYPE(value, __u8);
} vsw_locals SECTION(".maps");

// The address :: or ::ffff:0.0.0.0 stands for every local one of its family.
struct published {
    struct address address;
    __u8 protocol, zero[3];
};

// Bit n of word n / 64: port n.
struct ports {
    __u64 word[1024];
};

struct {
    NUMBER(type, BPF_MAP_TYPE_HASH);
    NUMBER(map_flags, BPF_F_NO_PREALLOC);
    NUMBER(max_entries, 1024);
    TYPE(key, struct published);
    TYPE(value, struct ports);
} vsw_published SECTION(".maps");

struct fragment_key {
    struct address source, destination;
    __u32 id;
    __u8 protocol, zero[3];
};

struct {
    NUMBER(type, BPF_MAP_TYPE_LRU_HASH);
    NUMBER(max_entries, 4096);
    TYPE(key, struct fragment_key);
    TYPE(value, __u64);  // when the first fragment was steered, ns
} vsw_fragments SECTION(".maps");

struct config {
    __u32 link;       // interface index of the link to the switch
    __u32 inherited;  // whether vsw_inherited counts
};

struct {
    NUMBER(type, BPF_MAP_TYPE_ARRAY);
    NUMBER(max_entries, 1);
    TYPE(key, __u32);
    TYPE(value, struct config);
} vsw_config SECTION(".maps");

// When the switch last said that it lives, CLOCK_MONOTONIC in ns. Of its own, because another thread writes it.
struct {
    NUMBER(type, BPF_MAP_TYPE_ARRAY);
    NUMBER(max_entries, 1);
    TYPE(key, __u32);
    TYPE(value, __u64);
} vsw_beat SECTION(".maps");

// New connections a second to published ports; 0: no limit.
struct {
    NUMBER(type, BPF_MAP_TYPE_ARRAY);
    NUMBER(max_entries, 1);
    TYPE(key, __u32);
    TYPE(value, __u32);
} vsw_limit SECTION(".maps");

struct bucket {
    struct bpf_spin_lock lock;
    __u32 zero;
    __u64 empty_at;  // the bucket's level as a time: what was taken is paid back until then, ns
};

struct {
    NUMBER(type, BPF_MAP_TYPE_ARRAY);
    NUMBER(max_entries, 1);
    TYPE(key, __u32);
    TYPE(value, struct bucket);
} vsw_bucket SECTION(".maps");

// The order is repeated in src/uplink/stats.rs.
enum counter { STEERED, TO_SOCKET, HELD, STALE, LIMITED, FRAGMENTS, FAILED, CAUGHT, COUNTERS };

struct {
    NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    NUMBER(max_entries, COUNTERS);
    TYPE(key, __u32);
    TYPE(value, __u64);
} vsw_steered SECTION(".maps");

INLINE void count(enum counter counter)
{
    __u32 index = counter;
    __u64 *number = map_lookup(&vsw_steered, &index);
    if (number)
        *number += 1;
}
