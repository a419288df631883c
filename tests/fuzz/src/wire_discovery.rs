//! Whatever question is understood, its answer is understood too, and says who owns the address.

use wire::nd::{self, Message};
use wire::{Frame, Mac, arp, parse};

use super::mend::mend;


const OWNER: Mac = Mac([2, 0, 0, 0, 0, 9]);

/// The input is a frame; it is looked at as it is, and with its checksums put right.
pub fn run(data: &[u8]) {
    look(data);
    let mut frame = data.to_vec();
    mend(&mut frame);
    look(&frame);
}

fn look(frame: &[u8]) {
    let Ok(headers) = parse(frame) else { return };
    if let Some(question) = arp::parse(frame, &headers) {
        assert!(question.sender_mac.is_station());
        let mut reply = Frame::new();
        arp::reply(&mut reply, &question, headers.key.src_mac(), OWNER, headers.tag);
        let back = parse(reply.bytes()).expect("our own reply parses");
        let answer = arp::parse(reply.bytes(), &back).expect("our own reply is ARP");
        assert!(!answer.request);
        assert_eq!((answer.sender, answer.sender_mac), (question.target, OWNER));
        assert_eq!((answer.target, answer.target_mac), (question.sender, question.sender_mac));
        assert_eq!((back.key.dst_mac(), back.tag), (headers.key.src_mac(), headers.tag));
    }
    let Ok(Some(message)) = nd::parse(frame, &headers) else { return };
    if let Message::Solicitation { target, source_mac } = message {
        assert!(!target.is_multicast() && source_mac.is_none_or(Mac::is_station));
        let mut reply = Frame::new();
        nd::advertise(&mut reply, &headers, target, OWNER);
        let back = parse(reply.bytes()).expect("our own advertisement parses");
        let asked = headers.key.src().is_some_and(|src| !src.is_unspecified());
        let wanted =
            Message::Advertisement { target, target_mac: Some(OWNER), router: false, solicited: asked, replace: true };
        assert_eq!(nd::parse(reply.bytes(), &back), Ok(Some(wanted)));
    }
}
