//! A container's /etc/resolv.conf: a small file of its own, put over the image's in the container's mount namespace,
//! where its root file system is mounted but not yet entered. The image is not written to, except that an empty file is
//! made where there is none to put it over, as runtimes do for every file that they mount. Nothing is left on the host:
//! the file lives in memory as long as the container's mounts do.
//!
//! Invariant: no path leaves the root file system, whatever links the image has; the process itself stays where it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};

/// The file, as containers see it.
pub(super) const PATH: &str = "/etc/resolv.conf";

/// Puts `text` over the resolv.conf of a container whose process waits in its new mount namespace; `rootfs` is the
/// directory that will be its root. False: the process has no mount namespace of its own, and nothing was done.
///
/// # Errors
/// The step that failed, and the kernel's answer. The container is as it was.
pub(super) fn give(pid: u32, rootfs: &Path, text: &str) -> io::Result<bool> {
    let theirs =
        File::open(format!("/proc/{pid}/ns/mnt")).map_err(|error| failed("open its mount namespace", error))?;
    let same = |own: fs::Metadata, its: fs::Metadata| (own.dev(), own.ino()) == (its.dev(), its.ino());
    if same(fs::metadata("/proc/self/ns/mnt")?, theirs.metadata()?) {
        return Ok(false);
    }
    // A thread that has entered a mount namespace ends with its work.
    let work = || {
        unshare(CloneFlags::CLONE_FS).map_err(|error| failed("leave the program's directory", error.into()))?;
        let entered = setns(&theirs, CloneFlags::CLONE_NEWNS);
        entered.map_err(|error| failed("enter its mount namespace", error.into()))?;
        cover(rootfs, text)
    };
    std::thread::scope(|scope| {
        let ended = scope.spawn(work).join();
        ended.unwrap_or_else(|_| Err(io::Error::other("the thread ended early"))).map(|()| true)
    })
}

fn cover(rootfs: &Path, text: &str) -> io::Result<()> {
    let root = open_path(rootfs).map_err(|error| failed("open its root", error))?;
    let target = target(&root).map_err(|error| failed("find a place for it", error))?;
    // A file system in memory over the root, for the moment in which the file in it gets its second place.
    let none = None::<&str>;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), rootfs, Some("tmpfs"), flags, Some("mode=755,size=64k,nr_inodes=8"))
        .map_err(|error| failed("mount a file system for it", error.into()))?;
    let placed = mount(none, rootfs, none, MsFlags::MS_PRIVATE, none).map_err(io::Error::from).and_then(|()| {
        let file = rootfs.join("resolv.conf");
        let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&file);
        made.and_then(|mut made| made.write_all(text.as_bytes()))?;
        Ok(mount(Some(&file), &through(&target), none, MsFlags::MS_BIND, none)?)
    });
    let gone = umount2(rootfs, MntFlags::MNT_DETACH).map_err(|error| failed("take its file system away", error.into()));
    placed.map_err(|error| failed("put it over the image's", error)).and(gone)
}

/// The image's file, made where there is none.
fn target(root: &OwnedFd) -> io::Result<OwnedFd> {
    let inside = |path: &str, flags: OFlag, mode: Mode| {
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(mode);
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        openat2(root.as_fd(), path, how.resolve(resolve))
    };
    let path = PATH.trim_start_matches('/');
    let found = match inside(path, OFlag::O_PATH, Mode::empty()) {
        Err(Errno::ENOENT) => {
            match mkdirat(root.as_fd(), "etc", Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
            // Through a link that leads nowhere, too, if its directory is there.
            drop(
                inside(path, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL, Mode::from_bits_truncate(0o644))
                    .or_else(|error| match error {
                        Errno::EEXIST => {
                            inside(path, OFlag::O_WRONLY | OFlag::O_CREAT, Mode::from_bits_truncate(0o644))
                        }
                        other => Err(other),
                    })?,
            );
            inside(path, OFlag::O_PATH, Mode::empty())?
        }
        found => found?,
    };
    match SFlag::from_bits_truncate(fstat(&found)?.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Ok(found),
        _ => Err(io::Error::other("the image has something there that is no file")),
    }
}

fn open_path(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    // O_PATH opens for neither reading nor writing, whatever is asked for besides.
    Ok(OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?.into())
}

/// A path that leads to an open file, and nowhere else.
fn through(file: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn failed(step: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {step}: {error}"))
}

/// Needs root for mount namespaces.
#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    /// A process that sleeps in a mount namespace of its own, as a container does before its root is entered.
    struct Sleeper(Child);

    impl Sleeper {
        fn start() -> Sleeper {
            let command = ["--mount", "--propagation", "private", "sleep", "1000"];
            let sleeper = Sleeper(Command::new("unshare").args(command).stdin(Stdio::null()).spawn().unwrap());
            let comm = format!("/proc/{}/comm", sleeper.pid());
            let start = Instant::now();
            while fs::read_to_string(&comm).unwrap_or_default() != "sleep\n" {
                assert!(start.elapsed() < Duration::from_secs(10), "no namespace (are the tests run as root?)");
                std::thread::sleep(Duration::from_millis(5));
            }
            sleeper
        }

        fn pid(&self) -> u32 {
            self.0.id()
        }

        /// What a command says there.
        fn run(&self, program: &str, path: &Path) -> String {
            let mut command = Command::new("nsenter");
            command.args(["--mount", "--target", &self.pid().to_string(), program]).arg(path);
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    const TEXT: &str = "nameserver 10.9.0.1\n";

    #[test]
    fn a_container_sees_its_own_file_and_nobody_else_does() {
        let sleeper = Sleeper::start();
        // As images come: without the directory, without the file, with one, with a link to one, and to nowhere.
        for image in ["bare", "etc", "file", "link", "nowhere"] {
            let root = tempfile::tempdir().unwrap();
            let etc = root.path().join("etc");
            if image != "bare" {
                fs::create_dir(&etc).unwrap();
            }
            match image {
                "file" => fs::write(etc.join("resolv.conf"), "nameserver 192.0.2.1\n").unwrap(),
                "link" => {
                    fs::write(root.path().join("real"), "old").unwrap();
                    symlink("/real", etc.join("resolv.conf")).unwrap();
                }
                "nowhere" => {
                    fs::create_dir(root.path().join("run")).unwrap();
                    symlink("../run/stub.conf", etc.join("resolv.conf")).unwrap();
                }
                _ => {}
            }
            assert!(give(sleeper.pid(), root.path(), TEXT).unwrap(), "{image}");
            let seen = match image {
                "link" => root.path().join("real"),
                "nowhere" => root.path().join("run/stub.conf"),
                _ => etc.join("resolv.conf"),
            };
            assert_eq!(sleeper.run("cat", &seen), TEXT, "{image}");
            // The image has what it had, and its root is not covered any more.
            let own = fs::read_to_string(&seen).unwrap();
            assert!(own != TEXT && sleeper.run("ls", root.path()).contains("etc"), "{image}: {own}");
            assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains(root.path().to_str().unwrap()));
        }
    }

    #[test]
    fn no_link_of_an_image_leads_out_of_it() {
        let (sleeper, outside) = (Sleeper::start(), tempfile::tempdir().unwrap());
        let host = outside.path().join("file");
        fs::write(&host, "the host's").unwrap();
        for climb in ["", "../../../../../../../.."] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join("etc")).unwrap();
            symlink(format!("{climb}{}", host.display()), root.path().join("etc/resolv.conf")).unwrap();
            assert!(give(sleeper.pid(), root.path(), TEXT).unwrap_err().to_string().contains("find a place"));
            assert_eq!(sleeper.run("cat", &host), "the host's");
        }
        // A directory that is a link out of the image, and something that is no file.
        let root = tempfile::tempdir().unwrap();
        symlink(outside.path(), root.path().join("etc")).unwrap();
        assert!(give(sleeper.pid(), root.path(), TEXT).is_err());
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/resolv.conf")).unwrap();
        assert!(give(sleeper.pid(), root.path(), TEXT).unwrap_err().to_string().contains("no file"));
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        // Without a mount namespace of its own the host's files would be covered.
        assert!(!give(std::process::id(), root.path(), TEXT).unwrap());
        assert!(give(4_194_304, root.path(), TEXT).is_err());
    }
}
