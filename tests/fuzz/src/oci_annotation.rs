//! The text is refused in one line, or means a bounded list of networks that reads the same when written again.

use ctl::oci::{Attachment, parse_networks};

/// The input is the annotation's text.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match parse_networks(text) {
        Err(error) => {
            let line = error.to_string();
            assert!(!line.contains(char::is_control) && line.len() < 2_000, "{line:?}");
        }
        Ok(attachments) => {
            assert!((1..=64).contains(&attachments.len()));
            let mut names: Vec<&str> = attachments.iter().map(|attachment| attachment.network.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), attachments.len(), "a network is given once");
            let written: Vec<String> = attachments.iter().map(write).collect();
            assert_eq!(parse_networks(&written.join(";")), Ok(attachments));
        }
    }
}

fn write(attachment: &Attachment) -> String {
    let mut options = Vec::new();
    options.extend(attachment.ip.map(|ip| format!("ip={ip}")));
    options.extend(attachment.ip6.map(|ip| format!("ip6={ip}")));
    options.extend(attachment.mac.map(|mac| format!("mac={mac}")));
    options.extend(attachment.ifname.as_ref().map(|name| format!("ifname={name}")));
    if !attachment.aliases.is_empty() {
        options.push(format!("alias={}", attachment.aliases.join("+")));
    }
    let colon = if options.is_empty() { "" } else { ":" };
    format!("{}{colon}{}", attachment.network, options.join(","))
}
