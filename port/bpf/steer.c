// SPDX-License-Identifier: MIT OR GPL-2.0-only
// At the ingress of the host's interfaces: sends to the switch what belongs to it, leaves everything else as if the
// program were not there. It rewrites nothing.

#include "steer.h"

// To the switch. `l2`: length of the link-layer header, 0 where devices have none.
INLINE int send(struct __sk_buff *skb, __u32 l2)
{
    __u32 index = 0;
    struct config *config = map_lookup(&vsw_config, &index);
    if (!config)
        return NEXT;
    if (!l2) {
        struct ether ether = { {}, {}, skb->protocol };
        if (change_head(skb, ETHER_LEN, 0) || store_bytes(skb, 0, &ether, ETHER_LEN, 0)) {
            count(FAILED);
            return DROP;
        }
    }
    return redirect(config->link, 0);
}

INLINE int steer(struct __sk_buff *skb, const __u32 l2)
{
    struct packet p = {};

    // Packets for this host only (PACKET_HOST), of no VLAN.
    if (skb->vlan_present || skb->pkt_type != 0 || parse(skb, CLASSIFIER, l2, skb->protocol, &p))
        return NEXT;
    int what = judge(skb, CLASSIFIER, &p, skb->protocol == NET16(ETHER_IPV6));
    if (what == NOT_OURS)
        return NEXT;
    count(what);
    if (what == TO_SOCKET || what == STALE)
        return NEXT;
    return what == LIMITED ? DROP : send(skb, l2);
}

SECTION("classifier")
int vsw_steer(struct __sk_buff *skb)
{
    return steer(skb, ETHER_LEN);
}

// For devices without a link-layer header (WireGuard, tun): one is put before the packet, as the link wants one.
SECTION("classifier")
int vsw_steer_l3(struct __sk_buff *skb)
{
    return steer(skb, 0);
}

char terms[] SECTION("license") = "Dual MIT/GPL";
