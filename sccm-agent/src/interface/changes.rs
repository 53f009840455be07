//! What the kernel reports of interfaces, addresses, filters and routes: that something has changed.
//!
//! Reports are not kept: they wait in the socket, which has room for some hundred of them. If there
//! were more, one look at everything finds whatever they were about.

use anyhow::{Context as _, Error, Result};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket as _, TokioSocket};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::time::sleep;

/// How long changes of routes are gathered: a routing daemon makes thousands at a time.
const GATHER: Duration = Duration::from_secs(1);

/// Of a report, length and type are read.
const HEADER: usize = 6;

/// Reports that are read in one go.
const AT_ONCE: u32 = 4096;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Route,
    Other,
}

/// Reports when interfaces, addresses, filters or routes change.
pub struct Changes(TokioSocket);

impl Changes {
    /// Starts to listen, to routes only if asked. Must be called within a tokio runtime.
    pub fn subscribe(with_routes: bool) -> Result<Self> {
        Self::open(with_routes).context("listening to netlink")
    }

    fn open(with_routes: bool) -> Result<Self> {
        let mut groups = vec![
            libc::RTNLGRP_LINK,
            libc::RTNLGRP_TC,
            libc::RTNLGRP_IPV4_IFADDR,
            libc::RTNLGRP_IPV6_IFADDR,
        ];
        if with_routes {
            groups.extend([libc::RTNLGRP_IPV4_ROUTE, libc::RTNLGRP_IPV6_ROUTE]);
        }
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind_auto()?;
        for group in groups {
            socket.socket_ref().add_membership(group)?;
        }
        Ok(Self(socket))
    }

    /// Waits for the next change, and takes those that follow at once for the same one. A change of
    /// routes is reported after [`GATHER`], or with another change.
    ///
    /// # Errors
    /// The kernel reports nothing any more.
    pub async fn next(&mut self) -> Result<()> {
        gather(async || self.wait().await).await
    }

    /// Forgets what has been reported: whoever calls this looks at everything now.
    pub fn drain(&mut self) {
        self.reported().for_each(drop);
    }

    async fn wait(&self) -> Result<Change> {
        let mut report = Vec::with_capacity(HEADER);
        let received = poll_fn(|cx| self.0.poll_recv(cx, &mut report)).await;
        let first = change(received, &report)?;
        // Of what is there, anything but a route counts more.
        let others = self.reported().filter(|one| *one == Change::Other);
        Ok(others.last().unwrap_or(first))
    }

    /// What has been reported already.
    fn reported(&self) -> impl Iterator<Item = Change> {
        (0..AT_ONCE).map_while(|_| {
            let mut report = Vec::with_capacity(HEADER);
            let received = self.0.socket_ref().recv(&mut report, 0).map(drop);
            change(received, &report).ok()
        })
    }
}

async fn gather(mut next: impl AsyncFnMut() -> Result<Change>) -> Result<()> {
    let mut change = next().await?;
    let mut gathered = pin!(sleep(GATHER));
    while change == Change::Route {
        tokio::select! {
            () = &mut gathered => break,
            next = next() => change = next?,
        }
    }
    Ok(())
}

/// What a report is about. Those that found no room are of everything.
fn change(received: io::Result<()>, report: &[u8]) -> Result<Change> {
    if let Err(error) = received
        && error.raw_os_error() != Some(libc::ENOBUFS)
    {
        return Err(Error::new(error).context("listening to netlink"));
    }
    let kind = report.get(4..).and_then(|rest| rest.first_chunk());
    Ok(match kind.map(|kind| u16::from_ne_bytes(*kind)) {
        Some(libc::RTM_NEWROUTE | libc::RTM_DELROUTE) => Change::Route,
        _ => Change::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{Stream, StreamExt as _, stream};
    use tokio::time::{Instant, sleep_until};

    /// `count` changes, so far apart.
    fn storm(change: Change, count: u32, apart: Duration) -> impl Stream<Item = Change> {
        let begun = Instant::now();
        stream::iter(0..count).then(move |number| async move {
            sleep_until(begun + apart * number).await;
            change
        })
    }

    /// Time is simulated: it passes when everybody waits.
    #[tokio::test(start_paused = true)]
    async fn a_storm_of_route_changes_makes_a_look_a_second() {
        let storm = storm(Change::Route, 100_000, Duration::from_micros(100));
        let mut ten_seconds = pin!(storm);
        let mut looks = 0;
        while gather(async || ten_seconds.next().await.context("the end"))
            .await
            .is_ok()
        {
            looks += 1;
        }
        assert!((9..=11).contains(&looks), "{looks}");
    }

    #[tokio::test(start_paused = true)]
    async fn other_changes_do_not_wait_for_the_storms_end() {
        let begun = Instant::now();
        let routes = storm(Change::Route, 100_000, Duration::from_micros(100));
        let one = storm(Change::Other, 1, Duration::ZERO);
        let late = stream::once(sleep(Duration::from_millis(300)));
        let other = late.then(move |()| async { Change::Other });
        let mut mixed = pin!(stream::select(Box::pin(routes), Box::pin(one.chain(other))));
        for after in [0, 300] {
            let next = gather(async || mixed.next().await.context("the end"));
            assert!(next.await.is_ok());
            let waited = begun.elapsed();
            let expected = Duration::from_millis(after);
            let late = waited.saturating_sub(expected);
            assert!(
                waited >= expected && late < Duration::from_millis(10),
                "{waited:?}"
            );
        }
    }

    #[test]
    fn routes_are_told_from_all_else() {
        let report = |kind: u16| [&[36, 0, 0, 0][..], &kind.to_ne_bytes()].concat();
        for (kind, about) in [
            (libc::RTM_NEWROUTE, Change::Route),
            (libc::RTM_DELROUTE, Change::Route),
            (libc::RTM_NEWLINK, Change::Other),
        ] {
            assert_eq!(change(Ok(()), &report(kind)).unwrap(), about);
        }
        assert_eq!(change(Ok(()), &[]).unwrap(), Change::Other);
        let failed = |number| change(Err(io::Error::from_raw_os_error(number)), &[]);
        assert_eq!(failed(libc::ENOBUFS).unwrap(), Change::Other);
        assert!(failed(libc::EAGAIN).is_err());
    }
}
