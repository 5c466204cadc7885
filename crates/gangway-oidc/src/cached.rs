//! A document of a provider that is read now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::login_error::LoginError;

/// After a failure the provider is left alone for this long, however many clients want to log in.
const PAUSE: Duration = Duration::from_secs(5);

/// The last good document. The first reader that finds it too old reads it anew; the others wait for that one.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    slot: Mutex<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    good: Option<(Arc<T>, Instant)>,
    failed: Option<(LoginError, Instant)>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { slot: Mutex::new(Slot { good: None, failed: None }) }
    }
}

impl<T> Cached<T> {
    /// The document if it is younger than `age_max`, else what `read` gives. After a failure, that failure for a while.
    pub(crate) async fn get(
        &self,
        age_max: Duration,
        read: impl Future<Output = Result<T, LoginError>>,
    ) -> Result<Arc<T>, LoginError> {
        let mut slot = self.slot.lock().await;
        if let Some((good, at)) = &slot.good
            && at.elapsed() < age_max
        {
            return Ok(Arc::clone(good));
        }
        if let Some((error, at)) = &slot.failed
            && at.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        match read.await {
            Ok(read) => {
                let read = Arc::new(read);
                *slot = Slot { good: Some((Arc::clone(&read), Instant::now())), failed: None };
                Ok(read)
            }
            Err(error) => {
                slot.failed = Some((error.clone(), Instant::now()));
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_read_when_it_is_old_and_not_again_soon_after_a_failure() {
        let cached = Cached::default();
        let minute = Duration::from_secs(60);
        let down = || LoginError::Unavailable("down".into());
        assert_eq!(cached.get(minute, async { Err::<u32, _>(down()) }).await, Err(down()));
        assert_eq!(cached.get(minute, async { Ok(1) }).await, Err(down()), "it is left alone");
        tokio::time::advance(PAUSE).await;
        assert_eq!(cached.get(minute, async { Ok(2) }).await.as_deref(), Ok(&2));
        assert_eq!(cached.get(minute, async { Ok(3) }).await.as_deref(), Ok(&2));
        tokio::time::advance(minute).await;
        assert_eq!(cached.get(minute, async { Ok(4) }).await.as_deref(), Ok(&4));
    }
}
