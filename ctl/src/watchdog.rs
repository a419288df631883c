//! What systemd's watchdog is fed with: that the control thread runs, and that the data thread answers it. A thread that
//! hangs ends the feeding, and systemd starts the daemon again.

use std::time::Duration;

use tokio::sync::oneshot;

/// Feeds the watchdog `period` at three times its pace, for good; without one it ends at once. `ask` has the data thread
/// answer between two of its rounds.
pub async fn feed(period: Option<Duration>, ask: impl Fn(oneshot::Sender<()>)) {
    let Some(period) = period else { return };
    let feed = || {
        // Where systemd has gone away there is nobody to be restarted by.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
    };
    feed_with(|| tokio::time::sleep(period / 3), ask, feed).await;
}

async fn feed_with<P: Future<Output = ()>>(
    pause: impl Fn() -> P,
    ask: impl Fn(oneshot::Sender<()>),
    mut feed: impl FnMut(),
) {
    loop {
        let (answer, answered) = oneshot::channel();
        ask(answer);
        // Not an answer but the data thread's end: the daemon ends by itself.
        if answered.await.is_err() {
            return;
        }
        feed();
        pause().await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::ready;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn each_answer_feeds_once_and_silence_does_not() {
        let (asked, fed) = (Cell::new(0), Cell::new(0));
        // Three answers; then the data thread hangs with the question in its hands.
        let held = RefCell::new(None);
        let ask = |answer: oneshot::Sender<()>| {
            asked.set(asked.get() + 1);
            if asked.get() <= 3 {
                answer.send(()).unwrap();
            } else {
                *held.borrow_mut() = Some(answer);
            }
        };
        let feeding = feed_with(|| ready(()), ask, || fed.set(fed.get() + 1));
        assert!(feeding.now_or_never().is_none(), "it waits for an answer");
        assert_eq!((asked.get(), fed.get()), (4, 3));
    }

    #[tokio::test]
    async fn it_ends_with_the_data_thread_and_without_a_watchdog() {
        feed_with(|| ready(()), drop, || panic!("nobody answered")).await;
        feed(None, |_| panic!("nobody is to be asked")).await;
    }
}
