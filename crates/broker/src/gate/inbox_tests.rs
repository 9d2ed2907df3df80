use proptest::prelude::*;

use super::*;

fn message(byte: u8) -> Bytes {
    Bytes::from(vec![byte])
}

fn inbox(down_queue: usize, down_queue_bytes: usize, pool: &Arc<Pool>) -> Inbox {
    Inbox::new(&Limits { down_queue, down_queue_bytes, ..Limits::default() }, pool.clone())
}

const TAKEN: Pushed = Pushed { gone: 0, refused: None };

#[tokio::test]
async fn the_oldest_acknowledgement_goes_and_a_cut_comes_first() {
    let pool = Pool::new(10_000);
    let inbox = inbox(3, 10_000, &pool);
    for (way, byte) in [(Way::Command, 1), (Way::Down, 2), (Way::Down, 3)] {
        assert_eq!(inbox.push(way, message(byte)), TAKEN);
    }
    assert_eq!(inbox.push(Way::Down, message(4)), Pushed { gone: 1, refused: None });
    let post = inbox.next().await.ok().unwrap();
    let kept: Vec<_> = post.messages().cloned().collect();
    assert_eq!(kept, [(Way::Command, message(1)), (Way::Down, message(3)), (Way::Down, message(4))]);
    for byte in 5..8 {
        assert_eq!(inbox.push(Way::Command, message(byte)), TAKEN);
    }
    assert_eq!(inbox.push(Way::Down, message(8)), Pushed { gone: 1, refused: None }, "only commands: the oldest goes");
    inbox.cut(Cut::Revoked);
    inbox.cut(Cut::Shutdown);
    assert_eq!(inbox.next().await.err(), Some(Cut::Revoked));
    assert_eq!(inbox.ordered(), Some(Cut::Revoked));
}

#[tokio::test]
async fn bytes_are_bounded_for_one_and_for_all() {
    let pool = Pool::new(1000 + OVERHEAD);
    let (one, other) = (inbox(100, 600, &pool), inbox(100, 600, &pool));
    let payload = |len: usize| Bytes::from(vec![0; len]);
    assert_eq!(one.push(Way::Down, payload(600)), Pushed { gone: 0, refused: Some(Reason::DownTooLarge) });
    assert_eq!(one.push(Way::Down, payload(500)), TAKEN);
    assert_eq!(one.push(Way::Down, payload(300)), Pushed { gone: 1, refused: None });
    assert_eq!(other.push(Way::Down, payload(500)), TAKEN);
    assert_eq!(one.push(Way::Down, payload(200)), Pushed { gone: 1, refused: None }, "the pool is full: its own oldest goes");
    let third = inbox(100, 600, &pool);
    assert_eq!(third.push(Way::Down, payload(500)), Pushed { gone: 0, refused: Some(Reason::DownMemory) });
    // What is on its way to a socket still counts; what has left does not.
    let post = other.next().await.ok().unwrap();
    assert_eq!(third.push(Way::Down, payload(500)).refused, Some(Reason::DownMemory));
    drop(post);
    assert_eq!(third.push(Way::Down, payload(500)), TAKEN);
    drop((one, other, third));
    assert_eq!(pool.used.load(Relaxed), 0);
}

proptest! {
    /// Whatever is pushed and taken out in whatever order, no bound is passed, and in the end nothing is counted that isn't there.
    #[test]
    fn no_sequence_passes_a_bound(script in prop::collection::vec((0_usize..4, 0_u8..6, 0_usize..400), 1..200)) {
        let pool = Pool::new(2000);
        let inboxes: Vec<Inbox> = (0..4).map(|_| inbox(5, 1000, &pool)).collect();
        let mut on_their_way = std::collections::VecDeque::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut pushed, mut gone, mut taken) = (0_u64, 0_u64, 0_u64);
        for (which, what, len) in script {
            let inbox = &inboxes[which];
            match what {
                0 if lock(&inbox.content).messages.is_empty() => drop(on_their_way.pop_front()),
                0 => {
                    let post = runtime.block_on(inbox.next()).ok().unwrap();
                    taken = taken.saturating_add(u64::try_from(post.messages().count()).unwrap());
                    on_their_way.push_back(post);
                }
                _ => {
                    let way = if what == 1 { Way::Command } else { Way::Down };
                    let result = inbox.push(way, Bytes::from(vec![0; len]));
                    gone = gone.saturating_add(result.gone);
                    pushed = pushed.saturating_add(u64::from(result.refused.is_none()));
                }
            }
            let content = lock(&inbox.content);
            prop_assert!(content.messages.len() <= 5 && content.bytes <= 1000);
            prop_assert!(pool.used.load(Relaxed) <= 2000);
        }
        let waiting: usize = inboxes.iter().map(|inbox| lock(&inbox.content).messages.len()).sum();
        prop_assert_eq!(pushed, gone.saturating_add(taken).saturating_add(u64::try_from(waiting).unwrap()), "each message is somewhere");
        drop((inboxes, on_their_way));
        prop_assert_eq!(pool.used.load(Relaxed), 0);
    }
}
