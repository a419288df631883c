//! Who holds a port of the host: from the kernel's socket tables to the process that has the socket open. Only asked
//! when a port is refused; it costs a walk through /proc.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{At, Protocol};

/// TCP's state of a listening socket in the kernel's tables (include/net/tcp_states.h).
const LISTEN: &str = "0A";

/// A socket of the tables.
struct Row {
    local: IpAddr,
    port: u16,
    listens: bool,
    inode: u64,
}

/// Who holds the port, in words: `process nginx (pid 812) listens on 0.0.0.0:8080/tcp`.
pub(super) fn holder(protocol: Protocol, at: At, port: u16) -> String {
    let rows = tables(protocol).into_iter().flat_map(|table| rows(&table)).filter(|row| row.port == port);
    let mut rows: Vec<Row> = rows.filter(|row| meets(row.local, at)).collect();
    // Of several, the one that listens is the one that people mean.
    rows.sort_by_key(|row| !row.listens);
    for row in &rows {
        let place = std::net::SocketAddr::new(row.local, port);
        let does = if row.listens { "listens on" } else { "holds" };
        if let Some((pid, name)) = process(row.inode) {
            return match pid == std::process::id() {
                true => format!("vswitchd itself {does} {place}/{protocol}"),
                false => format!("process {name} (pid {pid}) {does} {place}/{protocol}"),
            };
        }
    }
    match rows.first() {
        Some(row) => {
            let place = std::net::SocketAddr::new(row.local, port);
            format!("a process that vswitchd cannot see holds {place}/{protocol}")
        }
        None => format!("another socket holds {at}:{port}/{protocol}"),
    }
}

fn tables(protocol: Protocol) -> Vec<String> {
    // The thread's own: tests run in namespaces of their threads.
    let files = [format!("/proc/thread-self/net/{protocol}"), format!("/proc/thread-self/net/{protocol}6")];
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect()
}

fn rows(table: &str) -> Vec<Row> {
    table.lines().skip(1).filter_map(row).collect()
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:when retrnsmt uid timeout inode ...` (proc_pid_net(5)).
fn row(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    let remote_port = fields.get(2)?.rsplit_once(':')?.1;
    let inode = fields.get(9)?.parse().ok().filter(|inode| *inode != 0)?;
    // A UDP socket without a remote end is what TCP calls listening.
    let listens = *fields.get(3)? == LISTEN || remote_port == "0000";
    Some(Row { local: read_address(address)?, port: u16::from_str_radix(port, 16).ok()?, listens, inode })
}

/// The kernel prints an address as 32-bit words in the host's byte order.
fn read_address(hex: &str) -> Option<IpAddr> {
    let word = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(hex)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(hex.get(index * 8..index * 8 + 8)?)?);
            }
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// Whether a socket bound to `local` is in the way of one at `at`. One bound to `::` may have both families.
fn meets(local: IpAddr, at: At) -> bool {
    let local = match local {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => At::AnyV4,
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => At::Any,
        address => At::Address(address),
    };
    local.overlaps(at)
}

/// The lowest process that has the socket open, and its name.
fn process(inode: u64) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    let mut pids: Vec<u32> =
        fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let has = |pid: &u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
        descriptors.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str()))
    };
    let pid = pids.into_iter().find(has)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some((pid, name.trim().escape_debug().to_string()))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_prints_them() {
        let print = |bytes: &[u8]| {
            bytes.chunks(4).map(|w| format!("{:08X}", u32::from_ne_bytes(w.try_into().unwrap()))).collect::<String>()
        };
        assert_eq!(read_address(&print(&[127, 0, 0, 1])), Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(read_address(&print(&Ipv6Addr::LOCALHOST.octets())), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(read_address("0100007"), None);
    }

    #[test]
    fn the_process_that_has_the_socket_is_named() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        let expected = format!("vswitchd itself listens on 127.0.0.1:{port}/tcp");
        assert_eq!(holder(Protocol::Tcp, At::Any, port), expected);
        assert!(holder(Protocol::Tcp, At::AnyV6, port).starts_with("another socket holds [::]:"));
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        assert!(holder(Protocol::Udp, At::Any, port).ends_with(&format!("listens on [::1]:{port}/udp")));
    }

    #[test]
    fn another_process_is_named_with_its_number() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // The child has it as its standard input, and this process not any more.
        let mut child = std::process::Command::new("sleep")
            .arg("30")
            .stdin(std::process::Stdio::from(std::os::fd::OwnedFd::from(listener)))
            .spawn()
            .unwrap();
        let said = holder(Protocol::Tcp, At::AnyV4, port);
        child.kill().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert_eq!(said, format!("process sleep (pid {pid}) listens on 127.0.0.1:{port}/tcp"));
    }
}
