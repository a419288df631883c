// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The little that a BPF program needs beyond the kernel's own headers: sections, map definitions, helper functions.
// For traffic control programs only helpers that Linux 5.15 has; for XDP programs, Linux 5.18.
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

// Map definitions as BTF: numbers are lengths of arrays, types are pointed to.
#define NUMBER(name, value) int(*name)[value]
#define TYPE(name, type) type *name

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NET16(x) ((__u16)__builtin_bswap16(x))
#define NET32(x) ((__u32)__builtin_bswap32(x))
#else
#define NET16(x) ((__u16)(x))
#define NET32(x) ((__u32)(x))
#endif

// A helper's address is its number.
#define HELPER(number) ((void *)(unsigned long)(number))

static void *(*map_lookup)(void *map, const void *key) = HELPER(BPF_FUNC_map_lookup_elem);
static long (*map_update)(void *map, const void *key, const void *value, __u64 flags) =
    HELPER(BPF_FUNC_map_update_elem);
static long (*map_delete)(void *map, const void *key) = HELPER(BPF_FUNC_map_delete_elem);
static __u64 (*monotonic_ns)(void) = HELPER(BPF_FUNC_ktime_get_ns);
static long (*skb_load_bytes)(const void *skb, __u32 offset, void *to, __u32 len) = HELPER(BPF_FUNC_skb_load_bytes);
static long (*xdp_load_bytes)(void *frame, __u32 offset, void *to, __u32 len) = HELPER(BPF_FUNC_xdp_load_bytes);
static __u64 (*xdp_len)(void *frame) = HELPER(BPF_FUNC_xdp_get_buff_len);
static long (*store_bytes)(struct __sk_buff *skb, __u32 offset, const void *from, __u32 len, __u64 flags) =
    HELPER(BPF_FUNC_skb_store_bytes);
static long (*change_head)(struct __sk_buff *skb, __u32 len, __u64 flags) = HELPER(BPF_FUNC_skb_change_head);
static long (*redirect)(__u32 ifindex, __u64 flags) = HELPER(BPF_FUNC_redirect);
static long (*redirect_map)(void *map, __u64 key, __u64 flags) = HELPER(BPF_FUNC_redirect_map);
static long (*redirect_neigh)(__u32 ifindex, struct bpf_redir_neigh *next_hop, int len, __u64 flags) =
    HELPER(BPF_FUNC_redirect_neigh);
static long (*fib_lookup)(void *skb, struct bpf_fib_lookup *params, int len, __u32 flags) =
    HELPER(BPF_FUNC_fib_lookup);
static struct bpf_sock *(*skc_lookup_tcp)(void *packet, struct bpf_sock_tuple *tuple, __u32 len, __u64 netns,
                                          __u64 flags) = HELPER(BPF_FUNC_skc_lookup_tcp);
static struct bpf_sock *(*sk_lookup_tcp)(void *packet, struct bpf_sock_tuple *tuple, __u32 len, __u64 netns,
                                         __u64 flags) = HELPER(BPF_FUNC_sk_lookup_tcp);
static struct bpf_sock *(*sk_lookup_udp)(void *packet, struct bpf_sock_tuple *tuple, __u32 len, __u64 netns,
                                         __u64 flags) = HELPER(BPF_FUNC_sk_lookup_udp);
static struct bpf_sock *(*sk_fullsock)(struct bpf_sock *sk) = HELPER(BPF_FUNC_sk_fullsock);
static long (*sk_release)(void *sk) = HELPER(BPF_FUNC_sk_release);
static void (*spin_lock)(struct bpf_spin_lock *lock) = HELPER(BPF_FUNC_spin_lock);
static void (*spin_unlock)(struct bpf_spin_lock *lock) = HELPER(BPF_FUNC_spin_unlock);

// What a classifier says to do with a packet. The numbers are the same for tcx and for classifiers.
enum {
    NEXT = -1,  // TC_ACT_UNSPEC, TCX_NEXT: as if the program were not there
    DROP = 2,
};

// What kind of program a function is a part of. A constant everywhere, so that nothing of the other kind remains.
enum kind { CLASSIFIER, XDP };

// `packet` is the program's context.
INLINE long load_bytes(void *packet, const enum kind kind, __u32 offset, void *to, const __u32 len)
{
    return kind == XDP ? xdp_load_bytes(packet, offset, to, len) : skb_load_bytes(packet, offset, to, len);
}

enum { ETHER_LEN = 14, ETHER_IPV4 = 0x0800, ETHER_IPV6 = 0x86dd };
enum { ICMP = 1, TCP = 6, UDP = 17, ICMPV6 = 58 };
