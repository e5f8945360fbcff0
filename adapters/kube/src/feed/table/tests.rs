use super::*;
use crate::feed::mailbox::Delivery;
use futures_util::FutureExt;

const LAST_WORDS: Duration = Duration::from_secs(3);

/// A pod with this uid at this resourceVersion.
pub(crate) fn pod(uid: &str, version: u64) -> Observed {
    let json = format!(
        r#"{{"metadata":{{"namespace":"ci","name":"p","uid":"{uid}","resourceVersion":"{version}"}},"spec":{{}},"status":{{}}}}"#
    );
    let pod = crate::wire::decode::decode(json.as_bytes()).expect("a pod");
    Observed::Pod(ObservedPod { via: Via::Get, pod: Box::new(pod), json: json.into() })
}

pub(crate) fn failure(code: u16) -> Observed {
    Observed::ApiError(crate::client::failure(Via::Get, code, "so it is"))
}

fn last_words(uid: &str, version: u64) -> ObservedPod {
    let Observed::Pod(pod) = pod(uid, version) else { unreachable!("just made") };
    pod
}

fn name(name: &str) -> PodName {
    PodName::new("ci", name)
}

/// A table in which somebody waits for `ci/p`.
fn table(is_whole: bool) -> (Table, Arc<Mailbox>) {
    let (mut table, mailbox) = (Table::new(is_whole), Arc::new(Mailbox::default()));
    assert!(table.join(&name("p"), &mailbox, false), "the first one");
    (table, mailbox)
}

/// What a wait was told, in short.
fn told(mailbox: &Mailbox) -> Vec<String> {
    let brief = |delivery| match delivery {
        Delivery::Observed(Observed::Pod(pod)) => format!("pod {}", pod.pod.snapshot.uid),
        Delivery::Observed(Observed::Deleted(pod)) => format!("deleted {}", pod.pod.snapshot.uid),
        Delivery::Observed(Observed::NotFound(_)) => String::from("404"),
        Delivery::Observed(Observed::ApiError(failure)) => format!("error {}", failure.code),
        Delivery::Observed(Observed::Silence | Observed::Cancelled)
        | Delivery::Notice(_)
        | Delivery::Overflowed => format!("{delivery:?}"),
    };
    std::iter::from_fn(|| mailbox.next().now_or_never()).take(10).map(brief).collect()
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| String::from(*word)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_one_starts_the_feed_and_the_last_one_ends_it() {
    let (mut table, first) = table(true);
    let (second, other) = (Arc::new(Mailbox::default()), Arc::new(Mailbox::default()));
    assert!(!table.join(&name("p"), &second, true) && !table.join(&name("q"), &other, false));
    assert!(!table.leave(&name("p"), &first, false));
    assert!(!table.leave(&name("p"), &first, false), "twice is once");
    table.deliver("ci/p", pod("u", 1));
    assert_eq!((told(&first), told(&second)), (vec![], vec![String::from("pod u")]));
    assert!(!table.leave(&name("p"), &second, true) && table.leave(&name("q"), &other, false));
    assert!(table.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_an_error_has_overtaken_counts_unless_it_is_older() {
    let (mut table, _) = table(true);
    table.deliver("ci/p", pod("u", 5));
    let worth = |table: &mut Table| {
        let waited = table.get_mut("ci/p").expect("a pod");
        [4, 5, 6].map(|version| waited.is_worth(version))
    };
    assert_eq!(worth(&mut table), [false, false, true]);
    table.deliver("ci/p", failure(503));
    assert_eq!(worth(&mut table), [false, true, true]);
    table.deliver("ci/p", pod("u", 5));
    let Observed::ApiError(lost) = failure(0) else { unreachable!("just made") };
    table.fail_all(&lost);
    assert_eq!(worth(&mut table), [false, true, true]);
    table.deliver("ci/p", Observed::NotFound(Via::Get));
    assert_eq!(worth(&mut table), [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_being_read_hears_of_that_read_and_not_of_the_watch() {
    let (mut table, mailbox) = table(true);
    let Observed::ApiError(lost) = failure(503) else { unreachable!("just made") };
    table.ask(&name("p"), Duration::ZERO);
    table.fail_all(&lost);
    assert_eq!(told(&mailbox), strings(&["error 503"]), "it waits for its turn");
    assert!(table.send_read().is_some());
    table.fail_all(&lost);
    assert_eq!(told(&mailbox), strings(&[]));
    table.deliver("ci/p", failure(504));
    assert_eq!(told(&mailbox), strings(&["error 504"]));
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_to_a_refused_feed_is_sent_away_until_it_may_be_tried_again() {
    let (mut table, first) = table(true);
    table.close(Service::Refused(Instant::now() + Duration::from_secs(60)));
    assert!(table.is_empty());
    let second = Arc::new(Mailbox::default());
    assert!(!table.join(&name("p"), &second, false) && table.is_empty());
    for mailbox in [first, second] {
        assert_eq!(told(&mailbox)[0], "Notice(Closed)");
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    let third = Arc::new(Mailbox::default());
    assert!(table.join(&name("p"), &third, false));
    assert_eq!(told(&third), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_overtaken_is_known_by_its_turn() {
    let (mut table, _mailbox) = table(true);
    assert!(table.ask(&name("p"), Duration::ZERO) && !table.ask(&name("p"), Duration::ZERO));
    let (_, turn, _) = table.send_read().expect("it was asked for");
    assert!(!table.ask(&name("p"), Duration::ZERO), "it is under way");
    assert_eq!(table.get_mut("ci/p").map(|waited| waited.turn), Some(turn));
    table.deliver("ci/p", pod("u", 1));
    assert_ne!(table.get_mut("ci/p").map(|waited| waited.turn), Some(turn));
    assert!(table.ask(&name("p"), Duration::ZERO) && table.reads.listable() == 1);
    table.leave(&name("p"), &_mailbox, false);
    assert!(table.send_read().is_none() && table.reads.listable() == 0);
}

#[tokio::test(start_paused = true)]
async fn a_404_of_a_pod_that_is_known_is_kept_back_for_a_moment_whatever_fails_meanwhile() {
    let (mut table, mailbox) = table(true);
    let nothing = || Missed::Nothing(Via::Get);
    assert_eq!(table.hold_back(&name("p"), nothing(), LAST_WORDS), Err(nothing()), "nobody knows of one");
    table.deliver("ci/p", pod("u", 1));
    assert_eq!(table.hold_back(&name("p"), nothing(), LAST_WORDS), Ok(1));
    assert!(table.is_held_back(&name("p")));
    assert_eq!(table.in_hand(&name("p")), Some(Observed::NotFound(Via::Get)));
    assert_eq!((table.send_read(), table.next_missed(Instant::now())), (None, None));
    assert_eq!(table.reads.put_off_until(), Some(Instant::now() + LAST_WORDS));
    table.deliver("ci/p", failure(503));
    assert!(!table.ask(&name("p"), Duration::ZERO), "an error says nothing about it");
    tokio::time::advance(LAST_WORDS).await;
    assert_eq!(table.next_missed(Instant::now()), Some((name("p"), nothing())));
    assert_eq!((table.next_missed(Instant::now()), table.in_hand(&name("p"))), (None, None));
    table.deliver("ci/p", Observed::NotFound(Via::Get));
    assert_eq!(told(&mailbox), ["pod u", "error 503", "404"]);

    table.deliver("ci/p", pod("u", 3));
    assert_eq!(table.hold_back(&name("p"), nothing(), LAST_WORDS), Ok(3), "and from the beginning");
    table.deliver("ci/p", Observed::Deleted(last_words("u", 4)));
    assert_eq!(table.next_missed(Instant::now() + LAST_WORDS), None, "it is told");
    assert_eq!((told(&mailbox), table.in_hand(&name("p"))), (strings(&["pod u", "deleted u"]), None));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_missed_is_recalled_as_it_was_until_its_end_or_another_takes_its_place() {
    for (is_whole, expected) in
        [(true, &["pod u", "pod u", "pod v"][..]), (false, &["pod u", "pod u", "deleted u", "pod v"])]
    {
        let (mut table, mailbox) = table(is_whole);
        table.get_mut("ci/p").expect("it is there").matched();
        table.deliver("ci/p", pod("u", 1));
        let another = last_words("v", 4);
        assert_eq!(table.hold_back(&name("p"), Missed::Another(another.clone()), LAST_WORDS), Ok(1));
        // Nobody wants its JSON.
        let another = ObservedPod { json: Bytes::new(), ..another };
        assert_eq!(table.in_hand(&name("p")), Some(Observed::Pod(another)));
        table.recall("ci/p", last_words("u", 2));
        assert!(table.is_held_back(&name("p")), "there may be more");
        if !is_whole {
            table.get_mut("ci/p").expect("it is there").doubted = Some(last_words("u", 3));
            assert_eq!(table.in_hand(&name("p")), Some(Observed::Deleted(last_words("u", 3))));
        }
        table.recall("ci/p", last_words("v", 4));
        assert!(!table.is_held_back(&name("p")));
        assert_eq!(told(&mailbox), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_never_been_in_sight_of_the_watch_has_no_last_words() {
    let (mut table, _mailbox) = table(false);
    table.deliver("ci/p", pod("u", 1));
    let nothing = || Missed::Nothing(Via::Get);
    assert_eq!(table.hold_back(&name("p"), nothing(), LAST_WORDS), Err(nothing()));
    table.get_mut("ci/p").expect("it is there").matched();
    table.stray(&name("p"));
    assert_eq!(table.hold_back(&name("p"), nothing(), LAST_WORDS), Ok(1), "it has been until now");
}

#[tokio::test(start_paused = true)]
async fn who_is_sent_away_takes_along_what_was_kept_back() {
    let (mut table, mailbox) = table(true);
    table.deliver("ci/p", pod("u", 1));
    assert_eq!(table.hold_back(&name("p"), Missed::Nothing(Via::Get), LAST_WORDS), Ok(1));
    table.close(Service::Stopped);
    assert_eq!(told(&mailbox)[..3], ["pod u", "404", "Notice(Closed)"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_is_no_news() {
    let (mut table, _mailbox) = table(true);
    let heard = |table: &mut Table, version| table.get_mut("ci/p").map(|waited| waited.has_heard_of(version));
    assert_eq!(heard(&mut table, 1), Some(false));
    table.deliver("ci/p", pod("u", 2));
    for (version, expected) in [(1, true), (2, true), (3, false), (number("no number"), false)] {
        assert_eq!(heard(&mut table, version), Some(expected), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_in_doubt_is_settled_by_whatever_comes_next() {
    let next: [(Observed, &[&str]); 4] = [
        (pod("u", 3), &["pod u"]),
        (pod("v", 3), &["deleted u", "pod v"]),
        (Observed::NotFound(Via::Get), &["deleted u"]),
        (failure(500), &["error 500"]),
    ];
    for (next, expected) in next {
        let (mut table, mailbox) = table(false);
        table.get_mut("ci/p").expect("it is there").doubted = Some(last_words("u", 2));
        let is_open = matches!(next, Observed::ApiError(_));
        table.deliver("ci/p", next);
        assert_eq!(told(&mailbox), expected);
        assert_eq!(table.get_mut("ci/p").is_some_and(|waited| waited.doubted.is_some()), is_open);
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_from_before_a_deletion_in_doubt_does_not_settle_it() {
    let (mut table, mailbox) = table(false);
    table.deliver("ci/p", pod("u", 1));
    let waited = table.get_mut("ci/p").expect("it is there");
    waited.doubted = Some(last_words("u", 3));
    for (version, is_news) in [(1, false), (2, false), (3, false), (4, true)] {
        assert_eq!(waited.is_news(version), is_news, "{version}");
    }
    table.deliver("ci/p", pod("u", 2));
    table.deliver("ci/p", Observed::NotFound(Via::Get));
    assert_eq!(told(&mailbox), ["pod u", "pod u", "deleted u"]);
}

#[tokio::test(start_paused = true)]
async fn a_read_is_in_its_turn_while_the_watch_tells_and_the_server_answers() {
    let (mut table, _mailbox) = table(true);
    table.ask(&name("p"), Duration::ZERO);
    table.is_watching = true;
    assert!(!table.is_in_turn(&name("p")), "the watch is not open yet");
    table.goes_on_until = Some(Instant::now() + Duration::from_secs(1));
    assert!(table.is_in_turn(&name("p")), "it is only renewed");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!table.is_in_turn(&name("p")), "that takes too long");
    table.is_open = true;
    assert!(table.is_in_turn(&name("p")));
    let until = Instant::now() + Duration::from_secs(3);
    let Observed::ApiError(throttled) = failure(429) else { unreachable!() };
    for (is_failing, held) in [(true, None), (false, Some((until, throttled.clone())))] {
        (table.is_failing, table.held) = (is_failing, held.clone());
        assert!(!table.is_in_turn(&name("p")), "failing {is_failing}, held {held:?}");
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    let retry_after = Some(Duration::from_secs(2));
    assert_eq!(
        table.held_by(&name("p")),
        Some(ApiFailure { retry_after, ..throttled }),
        "what is left of it"
    );
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(table.held_by(&name("p")), None, "it is over");
    (table.is_failing, table.held) = (false, None);
    assert!(table.send_read().is_some() && !table.is_in_turn(&name("p")), "it is sent, and not answered");
}

#[tokio::test(start_paused = true)]
async fn who_strays_is_read_by_himself_unless_that_is_done() {
    let (mut table, _mailbox) = table(false);
    table.is_watching = true;
    table.ask(&name("p"), Duration::ZERO);
    table.stray(&name("p"));
    assert_eq!(table.reads.listable(), 0, "a LIST would not have it");
    let (_, turn, is_question) = table.send_read().expect("it was asked for");
    assert!(!is_question);
    table.stray(&name("p"));
    assert_eq!((table.send_read(), table.get_mut("ci/p").map(|waited| waited.turn)), (None, Some(turn)));
}

#[tokio::test(start_paused = true)]
async fn only_who_may_match_the_selector_of_a_watch_is_asked_about_it() {
    for (is_whole, is_watching, matches, is_question, is_listable) in [
        (true, true, Match::Unknown, false, 1),
        (false, true, Match::Unknown, true, 1),
        (false, false, Match::Unknown, false, 1),
        (false, true, Match::Yes, false, 1),
        (false, true, Match::No, false, 0),
    ] {
        let (mut table, _mailbox) = table(is_whole);
        table.is_watching = is_watching;
        table.get_mut("ci/p").expect("it is there").matches = matches;
        table.ask(&name("p"), Duration::ZERO);
        assert_eq!(table.reads.listable(), is_listable, "{is_whole} {is_watching} {matches:?}");
        let (_, _, asked) = table.send_read().expect("it was asked for");
        assert_eq!(asked, is_question, "{is_whole} {is_watching} {matches:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_text_of_a_pod_is_kept_only_for_who_wants_it() {
    let (mut table, mailbox) = table(true);
    let text = |mailbox: &Mailbox| match mailbox.next().now_or_never() {
        Some(Delivery::Observed(Observed::Pod(pod))) => pod.json.len(),
        other => unreachable!("{other:?}"),
    };
    table.deliver("ci/p", pod("u", 1));
    assert_eq!(text(&mailbox), 0);
    table.join(&name("p"), &Arc::new(Mailbox::default()), true);
    table.deliver("ci/p", pod("u", 1));
    assert!(text(&mailbox) > 0, "one text for both");
}

#[tokio::test(start_paused = true)]
async fn a_table_gives_its_room_back_while_some_still_wait() {
    let mut table = Table::new(true);
    let mailbox = Arc::new(Mailbox::default());
    for n in 0..10_000 {
        table.join(&name(&n.to_string()), &mailbox, false);
        table.ask(&name(&n.to_string()), Duration::ZERO);
    }
    for n in 10..10_000 {
        table.leave(&name(&n.to_string()), &mailbox, false);
    }
    assert!(table.pods.capacity() <= FEW, "{}", table.pods.capacity());
    assert_eq!((table.pods.len(), table.reads.listable()), (10, 10));
}
