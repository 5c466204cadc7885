//! Polls a future only after it has asked for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// A future that is rarely ready, beside others in a task that is polled often. A poll costs one load, unless the
/// future was woken.
pub(super) struct Rarely<F> {
    future: F,
    flag: Arc<WakeFlag>,
}

/// Notes that a future was woken, and wakes its task.
struct WakeFlag {
    is_woken: AtomicBool,
    task: Mutex<Waker>,
}

impl<F: Future<Output = ()> + Unpin> Rarely<F> {
    pub(super) fn new(future: F) -> Self {
        let flag = WakeFlag { is_woken: AtomicBool::new(true), task: Mutex::new(Waker::noop().clone()) };
        Self { future, flag: Arc::new(flag) }
    }

    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self.flag.is_woken.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        self.flag.task.lock().clone_from(cx.waker());
        let waker = Waker::from(Arc::clone(&self.flag));
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        let task = self.task.lock().clone();
        task.wake();
    }
}
