//! The text of `org.vswitch.publish`: `8080:80/tcp;53:53/udp`. Strict, like that of the networks; which ports are free
//! is the daemon's to say.

use super::Error;
use crate::publish::Spec;

/// The longest text, in bytes.
const LENGTH: usize = 16 << 10;
/// The most publications of one container.
const MOST: usize = 256;

/// Reads the value of the annotation; an empty one asks for nothing.
///
/// # Errors
/// The first thing in the text that is not understood.
pub fn parse_publish(text: &str) -> Result<Vec<String>, Error> {
    if text.len() > LENGTH {
        return Err(Error::BadPublish(format!("longer than {LENGTH} bytes")));
    }
    let mut specs = Vec::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let spec: Spec = part
            .parse()
            .map_err(|error: crate::publish::BadSpec| Error::BadPublish(format!("{}: {}", error.text, error.why)))?;
        if specs.len() == MOST {
            return Err(Error::BadPublish(format!("more than {MOST} publications")));
        }
        specs.push(spec.to_string());
    }
    Ok(specs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_ports_or_what_is_wrong_with_it() {
        assert_eq!(parse_publish("8080:80/tcp; 53:53/udp;").unwrap(), ["8080:80/tcp", "53:53/udp"]);
        assert_eq!(parse_publish("").unwrap(), [""; 0]);
        let said = parse_publish("8080:80;x").unwrap_err().to_string();
        assert!(said.starts_with("annotation org.vswitch.publish: x: container port `x`"), "{said}");
        assert!(parse_publish(&"80;".repeat(300)).is_err() && parse_publish(&" ".repeat(20_000)).is_err());
    }
}
