//! A socket without buffers of its own while nothing is on its way: thousands of meters are idle most of the time.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Bytes taken from a socket at once.
const READ_MAX: usize = 16 * 1024;

thread_local! {
    /// Where each read of this thread goes first.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_MAX]);
}

/// Reads what is there and adds it to `into`; 0 at the end of the stream. May be dropped while it waits; nothing is lost then.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S, into: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|context| {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
            into.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    })
    .await
}

/// Writes and empties `out`. A peer that doesn't read within `deadline` gives [`io::ErrorKind::TimedOut`].
pub(super) async fn write<S: AsyncWrite + Unpin>(stream: &mut S, out: &mut Vec<u8>, deadline: Duration) -> io::Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    let all = async {
        stream.write_all(out).await?;
        stream.flush().await
    };
    tokio::time::timeout(deadline, all).await.map_err(|_| io::ErrorKind::TimedOut)??;
    *out = Vec::new();
    Ok(())
}
