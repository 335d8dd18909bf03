//! Goal: limits and the pauses of hosts hold between processes that see nothing of each other but the table, and cost
//! calls by the second and not by the message.
//!
//! Method: processes are controls over one table in memory, on virtual time. Each head is received, asks, and is
//! hidden for whole seconds when it has to wait, as SQS does it; whoever is free receives it.

use std::sync::atomic::AtomicU32;

use chaski_core::flow::{Flow, HostLimits};
use chaski_core::outcome::{ErrorClass, Failure};
use tokio::time::{Instant, sleep};

use super::*;

/// The clock of the runtime, which stands still while somebody works.
#[derive(Debug, Clone)]
struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_796_115_600_000).plus(self.0.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

const TIMEOUT: Duration = Duration::from_secs(10);

struct Stack {
    fake: FakeControl,
    clock: Virtual,
    processes: Vec<AwsControl<Virtual>>,
    turn: AtomicU32,
    running: AtomicU32,
    most: AtomicU32,
    begun: Mutex<Vec<Duration>>,
}

impl Stack {
    fn of(processes: u8) -> Arc<Self> {
        Self::limiting(processes, &HostLimits::default())
    }

    fn limiting(processes: u8, hosts: &HostLimits) -> Arc<Self> {
        let (fake, clock) = (FakeControl::default(), Virtual(Instant::now()));
        let table = ControlTable::new(fake.client(), "control");
        let process = |n| AwsControl::new(Some(table.clone()), clock.clone(), &Dice(n)).limiting(hosts.clone());
        Arc::new(Self {
            processes: (0..processes).map(process).collect(),
            fake,
            clock,
            turn: AtomicU32::new(0),
            running: AtomicU32::new(0),
            most: AtomicU32::new(0),
            begun: Mutex::default(),
        })
    }

    fn any(&self) -> &AwsControl<Virtual> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        // Not in turns: a multiplier spreads them.
        &self.processes[(turn.wrapping_mul(2_654_435_761) >> 16) as usize % self.processes.len()]
    }

    fn ask<'a>(&self, flow: Option<&'a Flow>, receives: u32) -> Ask<'a> {
        let accepted_at = Timestamp::from_millis(1_796_115_600_000);
        let patience = Duration::from_secs(2);
        Ask { host: "e.org", tenant: "", flow, attempts: 0, receives, accepted_at, timeout: TIMEOUT, patience }
    }

    /// One message from its first receive to the end of an attempt that `answers` gives, which takes so long.
    async fn deliver(&self, flow: Option<&Flow>, takes: Duration, answers: impl Fn(Duration) -> Outcome) -> Outcome {
        for receives in 1.. {
            let process = self.any();
            // As each handling begins, at most a second before.
            process.orders().await;
            let ask = self.ask(flow, receives);
            match process.admit(ask).await {
                Admission::Go => {
                    self.begun.lock().unwrap().push(self.clock.elapsed());
                    let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
                    self.most.fetch_max(running, Ordering::SeqCst);
                    sleep(takes).await;
                    self.running.fetch_sub(1, Ordering::SeqCst);
                    let outcome = answers(self.clock.elapsed());
                    process.report(ask, &outcome).await;
                    process.rest().await;
                    return outcome;
                }
                Admission::Wait(span) => {
                    process.rest().await;
                    sleep(Duration::from_secs(span.as_millis().div_ceil(1_000) as u64)).await;
                }
            }
        }
        unreachable!("it is received for ever")
    }

    fn begun_within(&self, from: u64, to: u64) -> usize {
        let span = Duration::from_secs(from)..Duration::from_secs(to);
        self.begun.lock().unwrap().iter().filter(|at| span.contains(*at)).count()
    }
}

fn delivered(_: Duration) -> Outcome {
    Outcome::Delivered
}

/// Lines that never end, for so long.
async fn lines(stack: &Arc<Stack>, count: u64, flow: &Flow, takes: u64, seconds: u64) {
    let tasks: Vec<_> = (0..count)
        .map(|n| {
            let (stack, flow) = (Arc::clone(stack), flow.clone());
            tokio::spawn(async move {
                sleep(Duration::from_millis(n * 7)).await;
                for message in 0.. {
                    let takes = Duration::from_millis(takes / 2 + (n * 31 + message * 17) % takes);
                    stack.deliver(Some(&flow), takes, delivered).await;
                }
            })
        })
        .collect();
    sleep(Duration::from_secs(seconds)).await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_rate_and_a_parallelism_hold_with_four_processes_side_by_side() {
    let stack = Stack::of(4);
    let flow = Flow::new("crm", Some(10), None, Some(2)).unwrap();
    lines(&stack, 60, &flow, 100, 30).await;
    let (begun, calls) = (stack.begun_within(0, 30), stack.fake.calls());
    assert!((270..=330).contains(&begun), "{begun} attempts");
    assert_eq!(stack.most.load(Ordering::SeqCst), 2, "at once");
    let per_second = calls.len() / 30;
    println!("{begun} attempts, {} calls to the table, {per_second} a second", calls.len());
    assert!(per_second <= 60, "{per_second} calls a second");
}

#[tokio::test(start_paused = true)]
async fn a_host_has_limits_of_its_own_besides_those_of_flows() {
    let own = Flow::new("-", Some(10), None, Some(2)).unwrap().limits();
    let stack = Stack::limiting(4, &HostLimits::new([("e.org".to_owned(), own)].into()));
    lines(&stack, 60, &Flow::new("crm", Some(1_000), None, Some(100)).unwrap(), 100, 30).await;
    let begun = stack.begun_within(0, 30);
    assert!((270..=330).contains(&begun), "{begun} attempts");
    assert_eq!(stack.most.load(Ordering::SeqCst), 2, "at once");
    assert_eq!(stack.fake.keys("flow#").len(), 2);
    // Who goes elsewhere is not asked about it.
    drop(stack.fake.calls());
    let elsewhere = Ask { host: "f.org", ..stack.ask(None, 1) };
    assert_eq!(stack.processes[0].admit(elsewhere).await, Admission::Go);
    assert!(stack.fake.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_high_rate_costs_calls_by_the_second() {
    let stack = Stack::of(4);
    let flow = Flow::new("crm", Some(300), None, None).unwrap();
    lines(&stack, 300, &flow, 100, 20).await;
    let (begun, calls) = (stack.begun_within(0, 20), stack.fake.calls());
    println!("{begun} attempts, {} calls to the table", calls.len());
    assert!((5_400..=6_600).contains(&begun), "{begun} attempts");
    assert!(calls.len() <= begun / 4, "{} calls for {begun} attempts", calls.len());
}

#[tokio::test(start_paused = true)]
async fn ten_that_ask_at_once_share_one_lease() {
    let stack = Stack::of(1);
    let flow = Flow::new("crm", Some(100), None, Some(20)).unwrap();
    let process = &stack.processes[0];
    let asked = join_all((0..10).map(|_| process.admit(stack.ask(Some(&flow), 1)))).await;
    assert!(asked.iter().all(|admission| *admission == Admission::Go), "{asked:?}");
    assert_eq!(stack.fake.calls(), ["GetItem", "PutItem"]);
    for _ in 0..10 {
        process.report(stack.ask(Some(&flow), 1), &Outcome::Delivered).await;
    }
    assert!(stack.fake.calls().is_empty(), "slots go back at the end of the batch");
    process.rest().await;
    assert_eq!(stack.fake.calls(), ["PutItem"]);
    process.rest().await;
    assert!(stack.fake.calls().is_empty(), "once");
    assert_eq!(stack.fake.keys("flow#").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn slots_of_a_process_that_died_come_free_when_its_lease_is_over() {
    let stack = Stack::of(2);
    let flow = Flow::new("crm", None, None, Some(1)).unwrap();
    let ask = stack.ask(Some(&flow), 1);
    assert_eq!(stack.processes[0].admit(ask).await, Admission::Go);
    let begun = stack.clock.elapsed();
    while stack.processes[1].admit(ask).await != Admission::Go {
        sleep(Duration::from_millis(300)).await;
    }
    let waited = stack.clock.elapsed() - begun;
    assert!(waited > TIMEOUT && waited < 3 * TIMEOUT, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_beside_its_neighbour_for_a_slot_and_not_for_a_permit() {
    let stack = Stack::of(1);
    let flow = Flow::new("crm", None, None, Some(1)).unwrap();
    let process = &stack.processes[0];
    let ask = stack.ask(Some(&flow), 1);
    assert_eq!(process.admit(ask).await, Admission::Go);
    let (second, ()) = tokio::join!(process.admit(ask), async {
        sleep(Duration::from_millis(300)).await;
        process.report(ask, &Outcome::Delivered).await;
    });
    assert_eq!((second, stack.clock.elapsed()), (Admission::Go, Duration::from_millis(300)));
    assert!(matches!(process.admit(ask).await, Admission::Wait(_)), "but not for ever");
    assert!(stack.clock.elapsed() <= Duration::from_millis(1_400), "{:?}", stack.clock.elapsed());
    let slow = Flow::new("slow", Some(1), Some(Duration::from_secs(60)), None).unwrap();
    let ask = stack.ask(Some(&slow), 1);
    assert_eq!(process.admit(ask).await, Admission::Go);
    let before = stack.clock.elapsed();
    let Admission::Wait(span) = process.admit(ask).await else { panic!("two a minute") };
    assert!(span >= Duration::from_secs(58) && span < Duration::from_secs(62), "{span:?}");
    assert_eq!(stack.clock.elapsed(), before, "it is hidden at once");
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_down_limits_nothing() {
    let stack = Stack::of(1);
    let flow = Flow::new("crm", Some(1), Some(Duration::from_secs(60)), None).unwrap();
    stack.fake.set_down(true);
    let process = &stack.processes[0];
    for _ in 0..5 {
        assert_eq!(process.admit(stack.ask(Some(&flow), 1)).await, Admission::Go);
    }
    assert_eq!(stack.fake.calls().len(), 1, "and is not asked for each");
    stack.fake.set_down(false);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(process.admit(stack.ask(Some(&flow), 1)).await, Admission::Go);
    assert!(matches!(process.admit(stack.ask(Some(&flow), 1)).await, Admission::Wait(_)));
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_the_message_accepted_last_are_in_force_at_once() {
    let stack = Stack::of(1);
    let process = &stack.processes[0];
    let slow = Flow::new("crm", Some(1), Some(Duration::from_secs(60)), None).unwrap();
    let quick = Flow::new("crm", Some(50), None, None).unwrap();
    let ask = stack.ask(Some(&slow), 1);
    assert_eq!(process.admit(ask).await, Admission::Go);
    assert!(matches!(process.admit(ask).await, Admission::Wait(_)));
    sleep(Duration::from_secs(2)).await;
    let later = Ask { flow: Some(&quick), accepted_at: stack.clock.now(), ..ask };
    assert_eq!(process.admit(later).await, Admission::Go);
    assert_eq!(process.admit(ask).await, Admission::Go, "and not what an older one names");
}

fn fails(_: Duration) -> Outcome {
    Outcome::Failed(Failure::without_answer(ErrorClass::Http5xx, "the target answered 503"))
}

/// A host that answers 503 for the minute from second 20 on gets so many attempts a second; all come again by a tier
/// of 10 s until they are delivered.
async fn outage(per_second: u64) -> (Arc<Stack>, usize) {
    let stack = Stack::of(4);
    let well = |at: Duration| {
        if (20..80).contains(&at.as_secs()) { fails(at) } else { Outcome::Delivered }
    };
    let messages: Vec<_> = (0..per_second * 120)
        .map(|n| {
            let stack = Arc::clone(&stack);
            tokio::spawn(async move {
                sleep(Duration::from_millis(n * 1_000 / per_second)).await;
                while stack.deliver(None, Duration::from_millis(30), well).await != Outcome::Delivered {
                    sleep(Duration::from_secs(10)).await;
                }
            })
        })
        .collect();
    let count = messages.len();
    for message in messages {
        message.await.unwrap();
    }
    (stack, count)
}

#[tokio::test(start_paused = true)]
async fn a_host_that_fails_for_a_minute_gets_a_tenth_and_everything_after() {
    for per_second in [10, 50] {
        let (stack, count) = outage(per_second).await;
        let (steady, failing) = (per_second as usize * 60, stack.begun_within(20, 80));
        let writes = stack.fake.calls().iter().filter(|call| *call != "Query").count();
        let end = stack.clock.elapsed();
        println!("{per_second}/s: {failing} of {steady} in the outage, {count} delivered at {end:?}, {writes} writes");
        assert!(failing * 10 <= steady, "{failing} of {steady}");
        assert!(writes <= 80, "{writes} writes");
        assert!(end < Duration::from_secs(200), "{end:?}");
        assert!(stack.fake.keys("orders").is_empty(), "nothing is left of it");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_host_asks_for_holds_in_all_processes() {
    let stack = Stack::of(2);
    let ask = stack.ask(None, 1);
    let throttled = Outcome::Failed(Failure {
        retry_after: Some(Duration::from_secs(20)),
        ..Failure::without_answer(ErrorClass::Throttled, "the target answered 429")
    });
    for process in &stack.processes {
        process.orders().await;
        assert_eq!(process.admit(ask).await, Admission::Go);
    }
    for _ in 0..5 {
        stack.processes[0].report(ask, &throttled).await;
    }
    assert_eq!(stack.fake.calls().iter().filter(|call| *call == "PutItem").count(), 1, "five answers, one write");
    sleep(Duration::from_secs(1)).await;
    stack.processes[1].orders().await;
    let Admission::Wait(span) = stack.processes[1].admit(ask).await else { panic!("the other one goes") };
    assert!(span >= Duration::from_secs(19), "{span:?}");
    let off = AwsControl::new(Some(ControlTable::new(stack.fake.client(), "control")), stack.clock.clone(), &Dice(9));
    let off = off.breaking(false);
    off.orders().await;
    assert_eq!(off.admit(ask).await, Admission::Go, "where it is switched off");
}
