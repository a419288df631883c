//! What keys, prefixes and transactions every backend takes, so that a caller meets the same limits on all of them.
//! The characters are those that no Consul release refuses and that need no escaping in its URLs.

use crate::{Error, MAX_KEY, MAX_OPS, MAX_VALUE, Op};

/// Most bytes all values of one transaction may have together. Consul takes a body of 512 KiB; base64 makes it 4/3.
pub const MAX_TRANSACTION: usize = 320 * 1024;

/// Takes one full key: segments joined by `/`, of `A-Za-z0-9,_.-`, none empty, `.` or `..`.
pub(crate) fn check(key: &str) -> Result<(), Error> {
    let bad = |why: &str| Err(Error::BadKey { key: key.chars().take(MAX_KEY).collect(), why: why.to_owned() });
    if key.len() > MAX_KEY {
        return bad("longer than 512 bytes");
    }
    for segment in key.split('/') {
        match segment {
            "" => return bad("empty, or an empty part between slashes"),
            "." | ".." => return bad("`.` and `..` are not allowed as parts"),
            _ => {}
        }
        if !segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b',' | b'_' | b'.' | b'-')) {
            return bad("only A-Z a-z 0-9 , _ . - and / are allowed");
        }
    }
    Ok(())
}

/// Takes what [`Store::snapshot`](crate::Store::snapshot) takes: everything (empty), a folder (ends in `/`), or one key.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), Error> {
    if prefix.is_empty() {
        return Ok(());
    }
    check(prefix.strip_suffix('/').unwrap_or(prefix))
}

/// Whether a key is what a prefix asks for.
pub(crate) fn is_below(key: &str, prefix: &str) -> bool {
    if prefix.is_empty() || prefix.ends_with('/') { key.starts_with(prefix) } else { key == prefix }
}

/// Takes a transaction whose keys and sizes every backend can hold.
pub(crate) fn check_ops(ops: &[Op]) -> Result<(), Error> {
    let count: usize = ops.iter().map(Op::weight).sum();
    if count > MAX_OPS {
        return Err(Error::TooLarge {
            object: "steps of a transaction (make several)".to_owned(),
            size: count,
            limit: MAX_OPS,
        });
    }
    let mut total = 0;
    for op in ops {
        check(op.key())?;
        let size = op.value().map_or(0, <[u8]>::len);
        if size > MAX_VALUE {
            return Err(Error::TooLarge {
                object: format!("bytes of store key {} (split the record)", op.key()),
                size,
                limit: MAX_VALUE,
            });
        }
        total += size;
    }
    if total > MAX_TRANSACTION {
        return Err(Error::TooLarge {
            object: "bytes of a transaction's values (make several)".to_owned(),
            size: total,
            limit: MAX_TRANSACTION,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_of_the_design_are_taken() {
        for key in ["v1/cluster", "v1/leases/abc/10.0.0.1", "v1/leases/n/fd00--1,64", "a", "A_b-c.d"] {
            assert_eq!(check(key), Ok(()), "{key}");
        }
    }

    #[test]
    fn other_keys_are_refused() {
        for key in
            ["", "/", "/a", "a/", "a//b", "a/../b", ".", "..", "a:b", "a b", "a%2f", "ä", "a\0", "a+b", "a?b", "a#b"]
        {
            assert!(matches!(check(key), Err(Error::BadKey { .. })), "{key:?}");
        }
        assert!(check(&"a".repeat(MAX_KEY)).is_ok());
        assert!(check(&"a".repeat(MAX_KEY + 1)).is_err());
    }

    #[test]
    fn a_prefix_is_a_folder_a_key_or_nothing() {
        assert!(check_prefix("").is_ok());
        assert!(check_prefix("v1/").is_ok());
        assert!(check_prefix("v1").is_ok());
        assert!(check_prefix("/").is_err());
        assert!(check_prefix("v1//").is_err());
        assert!(is_below("v1/a", "v1/"));
        assert!(!is_below("v10/a", "v1/"));
        assert!(is_below("v1", "v1"));
        assert!(!is_below("v1/a", "v1"));
    }

    #[test]
    fn limits_are_counted_before_anything_is_sent() {
        let create = |n: usize, size: usize| Op::Create { key: format!("k/{n}"), value: vec![0; size] };
        let many = |n| (0..n).map(|i| create(i, 1)).collect::<Vec<_>>();
        assert!(check_ops(&many(MAX_OPS)).is_ok());
        assert!(matches!(check_ops(&many(MAX_OPS + 1)), Err(Error::TooLarge { size: 65, .. })));
        assert!(check_ops(&[create(0, MAX_VALUE)]).is_ok());
        assert!(check_ops(&[create(0, MAX_VALUE + 1)]).is_err());
        assert!(check_ops(&[create(0, MAX_VALUE), create(1, MAX_VALUE), create(2, MAX_VALUE)]).is_err());
        let removals: Vec<_> = (0..33).map(|i| Op::DeleteIf { key: format!("k/{i}"), version: 1 }).collect();
        assert!(check_ops(&removals).is_err(), "each counts twice");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_checks_panic(text in ".{0,600}") {
            let _ = check(&text);
            let _ = check_prefix(&text);
        }
    }
}
