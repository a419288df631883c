//! The short-lived thread of one operation: the only place that changes its network namespace.
//! Not a pool: a thread that has entered a sandbox ends with the operation, so no later work can run in the wrong
//! namespace, and neither the runtime's nor the data thread ever leaves its own.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use nix::sched::{CloneFlags, setns};
use tokio::sync::oneshot;

use super::{Error, Netns};
use crate::netlink::Netlink;

/// The namespace of the process: of its main thread, which never changes it.
pub(super) const OWN: &str = "/proc/self/ns/net";

/// Runs `work` in a thread of its own, which starts in the process's own namespace, and waits for its answer. When the
/// caller stops waiting, the work is finished all the same and its answer is dropped (a TAP's link goes with it).
pub(super) async fn run<T, W>(sandbox: &str, work: W) -> Result<T, Error>
where
    T: Send + 'static,
    W: FnOnce() -> Result<T, Error> + Send + 'static,
{
    let (answer, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name("sandbox".into()).spawn(move || {
        // A caller that is gone does not want the answer; dropping it undoes the work.
        let _ = answer.send(work());
    });
    let broken = |source| Error::Thread { sandbox: sandbox.to_owned(), source };
    thread.map_err(broken)?;
    result.await.unwrap_or_else(|_| Err(broken(io::Error::other("the thread ended early"))))
}

/// Runs `work` in a thread that has entered `netns`, with a netlink socket and a runtime there.
pub(super) async fn inside<T, W>(netns: &Netns, work: W) -> Result<T, Error>
where
    T: Send + 'static,
    W: AsyncFnOnce(Netlink) -> Result<T, Error> + Send + 'static,
{
    let sandbox = netns.reference().path.display().to_string();
    let netns = netns.clone();
    run(&sandbox.clone(), move || {
        let failed = |source| Error::Thread { sandbox: sandbox.clone(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
        enter(&netns)?;
        runtime.block_on(async { work(Netlink::open().map_err(failed)?).await })
    })
    .await
}

/// Moves the calling thread into `netns`. Only for threads of [`run`].
pub(super) fn enter(netns: &Netns) -> Result<(), Error> {
    enter_file(netns.file())
        .map_err(|source| Error::Enter { sandbox: netns.reference().path.display().to_string(), source })
}

/// Moves the calling thread into the process's own namespace, where TAPs are opened. Only for threads of [`run`].
pub(super) fn enter_own() -> Result<(), Error> {
    File::open(OWN).and_then(|own| enter_file(&own)).map_err(|source| Error::Enter { sandbox: OWN.into(), source })
}

/// Whether a descriptor is of a kind that can be entered, be it allowed or not: a thread that ends at once has tried it.
pub(super) fn can_enter(file: &File) -> bool {
    let kind = |result: io::Result<()>| !result.is_err_and(|error| error.raw_os_error() == Some(nix::libc::EINVAL));
    std::thread::scope(|scope| scope.spawn(|| kind(enter_file(file))).join().unwrap_or(false))
}

pub(super) fn enter_file(file: &File) -> io::Result<()> {
    setns(file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
}
