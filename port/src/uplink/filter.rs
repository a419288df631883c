//! Programs as classifiers at the clsact qdisc of an interface (before Linux 6.6), over rtnetlink. A filter lives as long as
//! its qdisc, without pin. Whether this program made the qdisc is told by the filter's name, which survives a crash.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::netlink::{ACK, Answer, CREATE, DUMP, EXCL, Netlink, Request, attribute, attributes, u32_at};

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;
const TCMSG: usize = 20;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_ID: u16 = 11;
/// The program's result is the verdict.
const ACT_DIRECT: u32 = 1;

/// TC_H_CLSACT: the qdisc's parent; its handle is the high half.
const CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;

/// Ours among the filters of a priority.
const HANDLE: u32 = 0x7673_0001;
/// Filters of other kinds may hold the first places.
const PRIORITIES: std::ops::RangeInclusive<u16> = 1..=16;

const NAME: &str = "vswitch";
const NAME_WITH_QDISC: &str = "vswitch+clsact";

/// A classifier that is a BPF program.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) program: u32,
    priority: u16,
    handle: u32,
    name: String,
}

/// The BPF classifiers at the ingress of an interface.
pub(super) fn list(netlink: &Netlink, ifindex: u32) -> io::Result<Vec<Filter>> {
    Ok(dump(netlink, ifindex, INGRESS)?.iter().filter_map(|answer| parse(&answer.body)).collect())
}

/// Adds a filter, or changes the program of one at once.
pub(super) fn put(
    netlink: &Netlink,
    ifindex: u32,
    program: BorrowedFd<'_>,
    replaced: Option<&Filter>,
) -> io::Result<()> {
    if let Some(old) = replaced {
        return set(netlink, ifindex, program, old.priority, old.handle, &old.name, 0);
    }
    let name = if add_qdisc(netlink, ifindex)? { NAME_WITH_QDISC } else { NAME };
    let mut outcome = Ok(());
    for priority in PRIORITIES {
        outcome = set(netlink, ifindex, program, priority, HANDLE, name, CREATE | EXCL);
        match &outcome {
            // Another kind of classifier, or another user of this handle.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EEXIST)) => {}
            _ => break,
        }
    }
    outcome
}

/// Removes a filter; and the qdisc, if it came with this filter and nobody else uses it.
pub(super) fn remove(netlink: &Netlink, ifindex: u32, filter: &Filter) -> io::Result<()> {
    let fixed = tcmsg(ifindex, filter.handle, INGRESS, filter.priority);
    ignoring_absence(netlink.ask(Request::new(RTM_DELTFILTER, ACK, &fixed).attribute(TCA_KIND, b"bpf\0")))?;
    if filter.name != NAME_WITH_QDISC
        || !dump(netlink, ifindex, INGRESS)?.is_empty()
        || !dump(netlink, ifindex, EGRESS)?.is_empty()
    {
        return Ok(());
    }
    let fixed = tcmsg(ifindex, CLSACT_HANDLE, CLSACT, 0);
    ignoring_absence(netlink.ask(Request::new(RTM_DELQDISC, ACK, &fixed).attribute(TCA_KIND, b"clsact\0")))
}

/// Whether there was none.
fn add_qdisc(netlink: &Netlink, ifindex: u32) -> io::Result<bool> {
    let fixed = tcmsg(ifindex, CLSACT_HANDLE, CLSACT, 0);
    match netlink.ask(Request::new(RTM_NEWQDISC, ACK | CREATE | EXCL, &fixed).attribute(TCA_KIND, b"clsact\0")) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

fn set(
    netlink: &Netlink,
    ifindex: u32,
    program: BorrowedFd<'_>,
    priority: u16,
    handle: u32,
    name: &str,
    flags: u16,
) -> io::Result<()> {
    let mut options = Vec::new();
    attribute(&mut options, TCA_BPF_FD, &program.as_raw_fd().to_ne_bytes());
    attribute(&mut options, TCA_BPF_NAME, &[name.as_bytes(), b"\0"].concat());
    attribute(&mut options, TCA_BPF_FLAGS, &ACT_DIRECT.to_ne_bytes());
    let request = Request::new(RTM_NEWTFILTER, ACK | flags, &tcmsg(ifindex, handle, INGRESS, priority))
        .attribute(TCA_KIND, b"bpf\0")
        .attribute(TCA_OPTIONS, &options);
    netlink.ask(request).map(drop)
}

fn dump(netlink: &Netlink, ifindex: u32, parent: u32) -> io::Result<Vec<Answer>> {
    let mut fixed = tcmsg(ifindex, 0, parent, 0);
    // All protocols and priorities.
    fixed[16..].fill(0);
    match netlink.ask(Request::new(RTM_GETTFILTER, DUMP, &fixed)) {
        // No such interface, no qdisc.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENOENT | libc::EINVAL)) => {
            Ok(Vec::new())
        }
        // The first answer for each chain of filters has no handle: it stands for the priority, not for a filter.
        other => other.map(|answers| answers.into_iter().filter(|answer| u32_at(&answer.body, 8) != Some(0)).collect()),
    }
}

fn parse(body: &[u8]) -> Option<Filter> {
    let handle = u32_at(body, 8)?;
    let priority = (u32_at(body, 16)? >> 16) as u16;
    let rest = body.get(TCMSG..)?;
    let find = |wanted| attributes(rest).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    if find(TCA_KIND)? != b"bpf\0" {
        return None;
    }
    let options = find(TCA_OPTIONS)?;
    let program = attributes(options).find(|(kind, _)| *kind == TCA_BPF_ID).and_then(|(_, id)| u32_at(id, 0))?;
    let name = attributes(options)
        .find(|(kind, _)| *kind == TCA_BPF_NAME)
        .map(|(_, name)| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned());
    Some(Filter { program, priority, handle, name: name.unwrap_or_default() })
}

/// `struct tcmsg`, for every protocol.
fn tcmsg(ifindex: u32, handle: u32, parent: u32, priority: u16) -> [u8; TCMSG] {
    let mut fixed = [0; TCMSG];
    fixed[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    fixed[8..12].copy_from_slice(&handle.to_ne_bytes());
    fixed[12..16].copy_from_slice(&parent.to_ne_bytes());
    let protocol = u32::from((libc::ETH_P_ALL as u16).to_be());
    fixed[16..].copy_from_slice(&(u32::from(priority) << 16 | protocol).to_ne_bytes());
    fixed
}

fn ignoring_absence(outcome: io::Result<Vec<Answer>>) -> io::Result<()> {
    match outcome {
        Err(error) if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV | libc::EINVAL)) => Err(error),
        _ => Ok(()),
    }
}
