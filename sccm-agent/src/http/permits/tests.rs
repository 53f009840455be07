use super::*;
use futures_util::FutureExt as _;
use tokio::time::sleep;

const LIMITS: Limits = Limits {
    all: 4,
    of_peer: 2,
    kept: 1,
};

fn is_wanted(permit: &Permit) -> bool {
    permit.wanted().now_or_never().is_some()
}

fn is_wanted_next(permit: &Permit) -> bool {
    permit.wanted_next().now_or_never().is_some()
}

fn at(address: &str) -> Peer {
    Peer::from(address.parse::<IpAddr>().unwrap())
}

async fn here(permits: &Arc<Permits>) -> Permit {
    permits.enter(Peer::Here).await.unwrap()
}

/// All permits are taken, by four who have come one after the other.
async fn full() -> (Arc<Permits>, [Permit; 4]) {
    let permits = Permits::new(LIMITS);
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(here(&permits).await);
    }
    (permits, all.try_into().unwrap())
}

/// Somebody comes, and waits for the time of one look.
async fn come(permits: &Arc<Permits>, peer: Peer) {
    let _ = timeout(AGAIN / 2, permits.enter(peer)).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_renews_a_permit_by_asking() {
    let (permits, all) = full().await;
    come(&permits, Peer::Here).await;
    assert!(!all.iter().any(is_wanted), "they have time to ask");
    for _ in 0..10 {
        sleep(MANNERS / 2).await;
        all[0].work();
        all[0].wait();
    }
    come(&permits, Peer::Here).await;
    assert!(is_wanted(&all[0]), "the oldest");
    assert!(!all[1..].iter().any(is_wanted));
}

#[tokio::test(start_paused = true)]
async fn who_works_ends_after_the_answer_if_all_do() {
    let (permits, all) = full().await;
    sleep(MANNERS).await;
    all[0].work();
    all[1].work();
    for idle in [&all[2], &all[3]] {
        come(&permits, Peer::Here).await;
        assert!(is_wanted(idle));
    }
    come(&permits, Peer::Here).await;
    assert!(!is_wanted(&all[0]) && is_wanted_next(&all[0]));
    all[0].is_deaf(true);
    assert!(is_wanted(&all[0]), "it would never end");
}

#[tokio::test(start_paused = true)]
async fn who_asks_and_does_not_listen_makes_room() {
    let (permits, all) = full().await;
    sleep(MANNERS).await;
    for one in &all {
        one.work();
    }
    all[3].is_deaf(true);
    come(&permits, Peer::Here).await;
    assert!(is_wanted(&all[3]), "its request is none");
    all[2].stays(true);
    all[2].is_deaf(true);
    come(&permits, Peer::Here).await;
    assert!(is_wanted(&all[2]), "no page either");
}

#[tokio::test(start_paused = true)]
async fn pages_stay() {
    let (permits, all) = full().await;
    all[0].stays(true);
    sleep(MANNERS).await;
    come(&permits, Peer::Here).await;
    assert!(is_wanted(&all[1]) && !is_wanted(&all[0]) && !is_wanted_next(&all[0]));
}

#[tokio::test(start_paused = true)]
async fn who_has_shown_who_it_is_stays_up_to_so_many() {
    let (permits, all) = full().await;
    all[0].is_known();
    sleep(MANNERS).await;
    for other in &all[1..] {
        come(&permits, Peer::Here).await;
        assert!(is_wanted(other) && !is_wanted(&all[0]));
    }
    come(&permits, Peer::Here).await;
    assert!(!is_wanted(&all[0]), "it is kept");

    let (permits, all) = full().await;
    all.iter().for_each(Permit::is_known);
    sleep(MANNERS).await;
    for other in &all[..3] {
        come(&permits, Peer::Here).await;
        assert!(is_wanted(other));
    }
    come(&permits, Peer::Here).await;
    assert!(!is_wanted(&all[3]), "it is kept");
}

#[tokio::test(start_paused = true)]
async fn a_peer_takes_no_more_than_its_share() {
    let permits = Permits::new(LIMITS);
    let (many, other) = (at("192.0.2.1"), at("192.0.2.2"));
    let first = permits.enter(many).await.unwrap();
    let second = permits.enter(many).await.unwrap();
    assert!(permits.enter(many).await.is_none(), "nobody waits for it");
    let others = permits.enter(other).await.unwrap();
    sleep(MANNERS).await;
    let third = permits.enter(many).await.unwrap();
    assert!(is_wanted(&first) && !is_wanted(&second) && !is_wanted(&others));
    drop(first);
    assert_eq!(lock(&permits.holders).all.len(), 3);
    drop((second, third));
}

#[tokio::test(start_paused = true)]
async fn who_has_most_makes_room() {
    let permits = Permits::new(LIMITS);
    let single = permits.enter(at("192.0.2.1")).await.unwrap();
    let many = [
        here(&permits).await,
        here(&permits).await,
        here(&permits).await,
    ];
    many.iter().for_each(Permit::work);
    sleep(MANNERS).await;
    come(&permits, at("192.0.2.2")).await;
    assert!(is_wanted_next(&many[0]) && !is_wanted(&single));
}

#[test]
fn peers_are_machines() {
    assert_eq!(at("127.0.0.1"), at("127.9.9.9"));
    assert_eq!(at("127.0.0.1"), at("::1"));
    assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
    assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
    assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_those_who_have_gone() {
    let permits = Permits::new(LIMITS);
    for _ in 0..100 {
        let permit = here(&permits).await;
        permit.work();
        permit.is_deaf(true);
        permit.wait();
    }
    assert!(lock(&permits.holders).all.is_empty());
}
