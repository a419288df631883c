//! The Debian package: that it has what docs/install.md promises, and nothing else; that its parts fit together.
//! It is built from the programs under test, not compressed. Whether it installs is not tried here.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::programs;

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The package, unpacked below a directory.
fn unpack(dir: &Path) -> (PathBuf, PathBuf) {
    let built = programs::find("vswitchd").unwrap();
    let mut build = Command::new(format!("{TOP}/packaging/build-deb"));
    let deb = run(build.arg(built.parent().unwrap()).arg(dir).env("DEB_COMPRESSION", "none"));
    let deb = PathBuf::from(deb.trim());
    let root = dir.join("root");
    run(Command::new("dpkg-deb").arg("-R").arg(&deb).arg(&root));
    (deb, root)
}

/// Absolute paths of all files, without those about the package itself.
fn files(root: &Path, below: &Path, all: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(below).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            if entry.file_name() != "DEBIAN" {
                files(root, &entry.path(), all);
            }
        } else {
            all.insert(format!("/{}", entry.path().strip_prefix(root).unwrap().display()));
        }
    }
}

/// Paths in the table of docs/install.md.
fn promised() -> BTreeSet<String> {
    let text = std::fs::read_to_string(format!("{TOP}/docs/install.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `/"));
    let words = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).filter(|word| word.starts_with('/'));
    words.map(str::to_owned).collect()
}

#[test]
fn everything_for_packages_is_used() {
    let script = std::fs::read_to_string(format!("{TOP}/packaging/build-deb")).unwrap();
    let mut all = BTreeSet::new();
    let packaging = PathBuf::from(format!("{TOP}/packaging"));
    files(&packaging, &packaging, &mut all);
    for file in all.iter().filter(|file| *file != "/build-deb") {
        let name = file.rsplit('/').next().unwrap();
        let by_folder = file.starts_with("/hooks.d/") && script.contains("packaging/hooks.d/*.json");
        assert!(by_folder || script.contains(name), "packaging{file} is in no package");
    }
}

#[test]
fn the_package_has_what_the_docs_promise_and_its_parts_fit() {
    let dir = tempfile::tempdir().unwrap();
    let (deb, root) = unpack(dir.path());
    let mut all = BTreeSet::new();
    files(&root, &root, &mut all);
    let promised = promised();
    assert!(promised.len() > 8, "{promised:?}");
    let is_in = |path: &String, place: &String| path == place || path.starts_with(&format!("{place}/"));
    for place in &promised {
        assert!(all.iter().any(|path| is_in(path, place)), "{place} is not in the package: {all:?}");
    }
    for path in &all {
        assert!(promised.iter().any(|place| is_in(path, place)), "docs/install.md does not mention {path}");
    }
    let pages = all.iter().filter(|path| path.starts_with("/usr/share/man/man1/vsctl")).count();
    assert!(pages > 40, "{pages} manual pages of vsctl");

    let unit = std::fs::read_to_string(root.join("lib/systemd/system/vswitchd.service")).unwrap();
    let started = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert!(all.contains(started), "{started}");
    let settings = root.join("etc/vswitch/vswitchd.toml");
    run(Command::new(root.join("usr/sbin/vswitchd")).arg("--check-config").arg("--config").arg(settings));
    for hook in all.iter().filter(|path| path.starts_with("/usr/share/containers/oci/hooks.d/")) {
        let text = std::fs::read_to_string(root.join(&hook[1..])).unwrap();
        let hook: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(all.contains(hook["hook"]["path"].as_str().unwrap()), "{hook}");
    }
    // Every link between the pages leads to something that is there.
    let doc = root.join("usr/share/doc/vswitch");
    let pages = all.iter().filter(|path| path.starts_with("/usr/share/doc/vswitch/") && path.ends_with(".md"));
    let mut links = 0;
    for page in pages {
        let page = root.join(&page[1..]);
        for link in std::fs::read_to_string(&page).unwrap().split("](").skip(1) {
            let link = link.split([')', '#']).next().unwrap();
            if !link.is_empty() && !link.contains("://") {
                assert!(page.parent().unwrap().join(link).exists(), "{}: {link}", page.display());
                links += 1;
            }
        }
    }
    assert!(links > 10 && doc.join("docs/openapi.json").exists(), "{links} links");
    let conffiles = std::fs::read_to_string(root.join("DEBIAN/conffiles")).unwrap();
    assert_eq!(conffiles, "/etc/vswitch/vswitchd.toml\n");
    for script in ["postinst", "prerm", "postrm"] {
        run(Command::new("sh").arg("-n").arg(root.join("DEBIAN").join(script)));
    }
    let owners = run(Command::new("dpkg-deb").arg("-c").arg(&deb));
    assert!(owners.lines().all(|line| line.contains(" root/root ")), "{owners}");
    let depends = run(Command::new("dpkg-deb").arg("-f").arg(&deb).arg("Depends"));
    assert!(depends.contains("libc6 (>= "), "{depends}");
}
