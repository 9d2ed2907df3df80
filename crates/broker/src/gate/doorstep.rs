//! Connections are let in on threads of their own, behind everything else, so that a crowd at the door delays nobody inside.
//!
//! A step of a handshake is a signature or two: as much processor time as dozens of messages. Where sessions run it would stand in front of
//! those messages, also of a meter that has been inside for weeks; and who may come in is known only after it was done. So the threads here
//! have a low priority: the system takes the processor from them the moment a session has something to do.
//!
//! They are a runtime with an event loop of its own. A handshake waits for its peer twice or thrice; each time to be called from the sessions'
//! loop would be a wake-up between threads, which costs as much as a signature.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};

/// Added to the threads' nice value: beside a session that is busy all the time they get a tenth of a processor, and whatever is left over.
const NICENESS: i32 = 10;

/// Where connections are accepted and shake hands. Its threads end with it, without waiting for what they do.
pub(crate) struct Doorstep {
    handle: Handle,
    /// Until it is dropped.
    runtime: Option<Runtime>,
}

impl Doorstep {
    /// With so many threads.
    pub(crate) fn open(threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("doorstep")
            .on_thread_start(step_back)
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// To spawn there.
    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Doorstep {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn step_back() {
    #[cfg(target_os = "linux")] // Elsewhere it is the whole process that is nice.
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "handshakes have the same priority as sessions");
    }
}

/// A connection that shakes hands on one runtime and lives on another.
#[derive(Debug)]
pub(crate) struct Visitor(Option<TcpStream>);

impl Visitor {
    /// Served by the runtime that `socket` came from.
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self(Some(socket))
    }

    /// From now on served by the runtime of the caller. After an error nothing is left but to drop it.
    pub(crate) fn move_in(&mut self) -> io::Result<()> {
        let socket = self.0.take().ok_or(io::ErrorKind::NotConnected)?;
        self.0 = Some(TcpStream::from_std(socket.into_std()?)?);
        Ok(())
    }

    fn socket(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        self.get_mut().0.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Visitor {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.socket()?.poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_step_holds_up_nobody_inside() {
        let (door, (inside, told)) = (Doorstep::open(1).unwrap(), mpsc::channel());
        // A step that lasts until somebody inside has done something: for ever, were it done in front of that.
        let step = door.handle().spawn(async move { told.recv_timeout(DEADLINE) });
        inside.send("served").unwrap();
        assert_eq!(step.await.unwrap(), Ok("served"));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn whoever_is_inside_goes_first() {
        let nice = || rustix::process::nice(0).unwrap();
        let door = Doorstep::open(1).unwrap();
        let there = door.handle().spawn(async move { nice() }).await.unwrap();
        // 19 is the end of the scale.
        assert_eq!(there, (nice() + NICENESS).min(19));
    }

    #[tokio::test]
    async fn who_came_in_needs_the_door_no_more() {
        let door = Doorstep::open(1).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let accepted = listener.into_std().unwrap();
        let shaken = door.handle().spawn(async move {
            let listener = TcpListener::from_std(accepted).unwrap();
            let mut visitor = Visitor::new(listener.accept().await.unwrap().0);
            assert_eq!(visitor.read_u8().await.unwrap(), 1);
            visitor
        });
        // What comes before it has moved is not forgotten, and what comes after the door's threads have ended is heard too.
        peer.write_all(&[1, 2]).await.unwrap();
        let mut visitor = shaken.await.unwrap();
        visitor.move_in().unwrap();
        drop(door);
        assert_eq!(timeout(DEADLINE, visitor.read_u8()).await.unwrap().unwrap(), 2);
        let (heard, ()) = tokio::join!(timeout(DEADLINE, visitor.read_u8()), async { peer.write_all(&[3]).await.unwrap() });
        assert_eq!(heard.unwrap().unwrap(), 3);
    }
}
