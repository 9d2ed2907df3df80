//! Waiting for a condition instead of for a time: the one place where tests sleep.

use std::time::{Duration, Instant};

use anyhow::bail;

const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Asks `condition` until it gives a value, and returns that; fails when `deadline` has passed, saying `what` did not happen.
///
/// The pauses between two questions grow from 2 to 100 ms. An answer that is itself an error ends the waiting.
pub async fn await_until<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begin = Instant::now();
    let mut pause = PAUSE_MIN;
    loop {
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        if begin.elapsed() >= deadline {
            bail!("{what}: not within {deadline:?}");
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_the_value_or_says_what_did_not_happen() {
        let mut asked = 0;
        let counts = await_until("count", Duration::from_secs(60), async || {
            asked += 1;
            Ok((asked == 5).then_some(asked))
        });
        assert_eq!(counts.await.unwrap(), 5);

        let never = await_until("the moon falls", Duration::ZERO, async || Ok(None::<()>)).await;
        assert_eq!(never.unwrap_err().to_string(), "the moon falls: not within 0ns");
    }
}
