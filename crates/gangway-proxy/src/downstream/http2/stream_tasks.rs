//! The tasks that serve the streams of one connection.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// The tasks of a connection that have not ended. Dropping their owner does not abort them; see [`AbortTasks`].
#[derive(Debug, Default)]
pub(super) struct StreamTasks(Mutex<Running>);

#[derive(Debug, Default)]
struct Running {
    tasks: Vec<(u32, AbortHandle)>,
    /// The task of the connection, while it waits for the last of them to end.
    connection: Option<Waker>,
}

/// Takes a task off the list when it ends, however it ends.
struct TaskEntry {
    tasks: Arc<StreamTasks>,
    stream: u32,
}

/// Aborts the tasks that still run when it is dropped: nothing of a connection outlives it.
pub(super) struct AbortTasks(pub(super) Arc<StreamTasks>);

impl StreamTasks {
    /// Starts the task of a stream.
    pub(super) fn spawn(self: &Arc<Self>, stream: u32, serve: impl Future<Output = ()> + Send + 'static) {
        let entry = TaskEntry { tasks: Arc::clone(self), stream };
        // Locked before the task can end, so that it finds itself on the list then.
        let mut running = self.0.lock();
        let task = tokio::spawn(async move {
            let _entry = entry;
            serve.await;
        });
        running.tasks.push((stream, task.abort_handle()));
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().tasks.len()
    }

    /// Waits until no task is left.
    pub(super) fn poll_ended(&self, cx: &Context<'_>) -> Poll<()> {
        let mut running = self.0.lock();
        if running.tasks.is_empty() {
            return Poll::Ready(());
        }
        match &mut running.connection {
            Some(waker) => waker.clone_from(cx.waker()),
            None => running.connection = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for TaskEntry {
    fn drop(&mut self) {
        let mut running = self.tasks.0.lock();
        if let Some(at) = running.tasks.iter().position(|(stream, _)| *stream == self.stream) {
            running.tasks.swap_remove(at);
        }
        if running.tasks.is_empty()
            && let Some(connection) = running.connection.take()
        {
            drop(running);
            connection.wake();
        }
    }
}

impl Drop for AbortTasks {
    fn drop(&mut self) {
        // Not under the lock, which the tasks take when they end.
        let tasks: Vec<_> = self.0.0.lock().tasks.drain(..).collect();
        for (_, task) in tasks {
            task.abort();
        }
    }
}
