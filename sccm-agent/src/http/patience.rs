//! A connection that fails when its client stops reading.
//!
//! Such a client would otherwise keep a permit and full buffers for as long as a connection may
//! live. Others may have its permit at once: a request whose answer cannot be written would
//! make the connection look busy, and hyper accepts one more of those.

use super::permits::Permit;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long the client may read nothing while there is something to read.
const PATIENCE: Duration = Duration::from_secs(10);

/// A stream that fails when nothing can be written for [`PATIENCE`].
pub(super) struct Patient<S> {
    stream: S,
    permit: Arc<Permit>,
    /// Runs while the client reads nothing.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncWrite + Unpin> Patient<S> {
    pub(super) const fn new(stream: S, permit: Arc<Permit>) -> Self {
        Self {
            stream,
            permit,
            waiting: None,
        }
    }

    fn write<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<Result<T>>,
    ) -> Poll<Result<T>> {
        let written = write(Pin::new(&mut self.stream), context);
        if written.is_ready() {
            if self.waiting.take().is_some() {
                self.permit.is_deaf(false);
            }
            return written;
        }
        let begin = || {
            self.permit.is_deaf(true);
            Box::pin(sleep(PATIENCE))
        };
        let waiting = self.waiting.get_or_insert_with(begin).as_mut();
        let late = || {
            Err(Error::new(
                ErrorKind::TimedOut,
                "the client did not read the answer in time",
            ))
        };
        waiting.poll(context).map(|()| late())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        self.write(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.write(context, |stream, context| {
            stream.poll_write_vectored(context, slices)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_left() {
        let (ours, _theirs) = duplex(4);
        let mut ours = Patient::new(ours, Permit::alone().await);
        ours.write_all(b"1234").await.unwrap();
        let short = PATIENCE - Duration::from_millis(1);
        let mut more = Box::pin(ours.write_all(b"5"));
        assert!(timeout(short, &mut more).await.is_err(), "still patient");
        let error = more.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_little_is_waited_for_again() {
        let (ours, mut theirs) = duplex(4);
        let mut ours = Patient::new(ours, Permit::alone().await);
        ours.write_all(b"1234").await.unwrap();
        let reader = tokio::spawn(async move {
            for _ in 0..3 {
                sleep(PATIENCE - Duration::from_secs(1)).await;
                theirs.read_u8().await.unwrap();
            }
            theirs
        });
        for byte in *b"567" {
            ours.write_all(&[byte]).await.unwrap();
        }
        reader.await.unwrap();
    }
}
