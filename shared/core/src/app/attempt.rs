//! One leased entry in, one settled verdict out. What the entry's queue is decides what is done with it: a
//! shard's is delivered, a tier's is tried again, one whose time has come joins its line, and what the queues gave up
//! is buried.

use std::sync::Arc;
use std::time::Duration;

use super::aside::Opened;
use super::callback::callback_of;
use super::panics::Panics;
use super::task::Task;
use super::{SETTLE_RESERVE, bury, request, trail};
use crate::envelope::Envelope;
use crate::ledger::{AttemptReport, MessageState};
use crate::limits;
use crate::orders::Order;
use crate::outcome::{ErrorClass, Failure, Outcome};
use crate::ports::{
    Admission, Answer, Ask, Beside, Bodies, BodyError, CallError, Clock, Control, Leased, NoBodies, Settle,
    SettleError, Settlement, Target,
};
use crate::queue::QueueName;
use crate::route;
use crate::settings::Settings;
use crate::time::Timestamp;

/// Performs attempts, over the ports of a home.
#[derive(Debug)]
pub struct Dispatcher<T, S, C, K, B = NoBodies> {
    pub(super) settings: Arc<Settings>,
    pub(super) target: T,
    pub(super) settle: S,
    pub(super) clock: C,
    pub(super) control: K,
    pub(super) bodies: B,
    pub(super) panics: Panics,
}

/// How the handling of an entry ended.
pub(super) enum Handled {
    /// It may go.
    Settled,
    /// It stays at the head of its line, and is seen again after this time.
    Waits(Duration),
}

/// What stands between a message and an attempt.
enum Before {
    Go,
    End(MessageState),
    /// By the pause of this id.
    Paused(String),
}

impl<T, S, C, K> Dispatcher<T, S, C, K> {
    /// Over these ports; it sends bodies that travel in their envelopes.
    pub fn new(settings: Arc<Settings>, target: T, settle: S, clock: C, control: K) -> Self {
        Self { settings, target, settle, clock, control, bodies: NoBodies, panics: Panics::default() }
    }

    /// The same, with the place where large bodies are kept.
    pub fn with_bodies<B>(self, bodies: B) -> Dispatcher<T, S, C, K, B> {
        let Self { settings, target, settle, clock, control, panics, .. } = self;
        Dispatcher { settings, target, settle, clock, control, bodies, panics }
    }
}

impl<T: Target, S: Settle, C: Clock, K: Control, B: Bodies> Dispatcher<T, S, C, K, B> {
    /// Handles one entry; `until` is the reading of the clock's `elapsed` at which the process is stopped.
    ///
    /// # Errors
    /// The settlement did not come through; the entry is seen again, unchanged.
    pub(super) async fn handle(&self, leased: &Leased, until: Duration) -> Result<Handled, SettleError> {
        let envelope = match Envelope::read(&leased.body) {
            Ok(envelope) => envelope,
            Err(error) => return self.bury_raw(leased, &error.to_string()).await,
        };
        let has_meta = envelope.meta.is_some();
        // On the heap: each step that it is handed to is a future that holds it.
        let task = Box::new(Task::new(&self.settings, leased, envelope));
        let give_up = |class, detail| Failure::without_answer(class, detail);
        match &leased.queue {
            QueueName::LastNet | QueueName::WakeNet => {
                let failure = give_up(ErrorClass::LastNet, "the queue gave it up: it was received too often");
                self.bury_task(task, &failure).await
            }
            _ if self.is_stuck(leased) => {
                let words = "it was received too often, or for too long, without coming to an end";
                let failure = give_up(ErrorClass::Stuck, words);
                self.bury_task(task, &failure).await
            }
            QueueName::Tier(_) if !has_meta => {
                let failure = give_up(ErrorClass::NoMeta, "an envelope without meta waited in a tier");
                self.bury_task(task, &failure).await
            }
            QueueName::Wake => self.wake(task).await,
            QueueName::Shard { .. } | QueueName::Tier(_) => self.deliver(task, until).await,
        }
    }

    /// Whether its queue is about to give it up, or to forget it.
    fn is_stuck(&self, leased: &Leased) -> bool {
        // What comes for the first time, after an outage say, gets its attempt however old it is.
        let old = |keeps| leased.receives > 1 && self.clock.now().since(leased.sent_at) >= keeps;
        leased.receives >= limits::RECEIVES || S::KEEPS.is_some_and(old)
    }

    /// Gives up an entry whose handling panicked again and again.
    pub(super) async fn bury_panicked(&self, leased: &Leased) -> Result<Handled, SettleError> {
        let failure =
            Failure::without_answer(ErrorClass::Internal, format!("its handling panicked {} times", limits::PANICS));
        match Envelope::read(&leased.body) {
            Ok(envelope) => self.bury_task(Box::new(Task::new(&self.settings, leased, envelope)), &failure).await,
            Err(error) => self.bury_raw(leased, &error.to_string()).await,
        }
    }

    /// A panic is an attempt that ended `internal`.
    pub(super) fn note_panic(&self, leased: &Leased) {
        if let Ok(envelope) = Envelope::read(&leased.body) {
            let mut task = Task::new(&self.settings, leased, envelope);
            let now = self.clock.now();
            let failure = Failure::without_answer(ErrorClass::Internal, "its handling panicked");
            task.record(now, Duration::ZERO, &Outcome::Failed(failure), None, now);
        }
    }

    /// What waited for its time joins its line when that has come.
    async fn wake(&self, mut task: Box<Task<'_>>) -> Result<Handled, SettleError> {
        let now = self.clock.now();
        // A pause holds what stands in line.
        if let Before::End(end) = self.before(&task).await {
            return self.end(task, end).await;
        }
        let due = task.meta.next_due.max(task.meta.not_before);
        if let Some(due) = due.filter(|due| *due > now) {
            // It came before its time: it waits on, in a way that reaches that far.
            return self.move_on(task, QueueName::Wake, Some(due)).await;
        }
        let named = self.settings.routes.iter().find(|route| route.name == task.route);
        let found = named.or_else(|| route::find(&self.settings.routes, &task.envelope.subject));
        let Some(route) = found else {
            let failure = Failure::without_answer(ErrorClass::Internal, "no route takes its subject");
            return self.bury_task(task, &failure).await;
        };
        task.meta.next_due = None;
        let queue = route.queue(&task.envelope.subject);
        self.move_on(task, queue, None).await
    }

    /// Sends the message elsewhere without an attempt.
    async fn move_on(
        &self,
        mut task: Box<Task<'_>>,
        queue: QueueName,
        due: Option<Timestamp>,
    ) -> Result<Handled, SettleError> {
        task.meta.hop = task.meta.hop.saturating_add(1);
        let settlement = Settlement::Move(task.entry(queue, due));
        self.settle.settle(task.leased, &settlement, Beside::default()).await?;
        trail::moved(&task, &settlement);
        Ok(Handled::Settled)
    }

    /// What stands between the message and an attempt.
    async fn before(&self, task: &Task<'_>) -> Before {
        let now = self.clock.now();
        if task.meta.expires_at.is_some_and(|expires| expires <= now) {
            return Before::End(MessageState::Expired);
        }
        let orders = self.control.orders().await;
        if orders.is_empty() {
            return Before::Go;
        }
        match orders.order(&task.listing(), &task.leased.queue, task.accepted_at(), now) {
            Order::Go => Before::Go,
            Order::Cancelled(_) => Before::End(MessageState::Cancelled),
            Order::Paused(pause) => Before::Paused(pause.id.clone()),
        }
    }

    async fn deliver(&self, mut task: Box<Task<'_>>, until: Duration) -> Result<Handled, SettleError> {
        match self.before(&task).await {
            Before::Go => {}
            Before::End(end) => return self.end(task, end).await,
            Before::Paused(pause) => return Ok(Handled::Waits(self.control.hold_paused(task.leased, &pause).await)),
        }
        if task.is_strict()
            && let Some(wait) = self.take_place(&mut task).await
        {
            return Ok(Handled::Waits(wait));
        }
        let timeout = self.timeout(&task);
        if self.clock.elapsed() + timeout + SETTLE_RESERVE > until {
            return Ok(Handled::Waits(Duration::ZERO));
        }
        let body = match self.open_body(&task).await {
            Ok(body) => body,
            Err(BodyError::Unavailable(why)) => return Err(SettleError(why)),
            Err(gone) => {
                let failure = Failure::without_answer(ErrorClass::Internal, gone.to_string());
                return self.bury_task(task, &failure).await;
            }
        };
        let (host, tenant) = (task.target_host.clone().unwrap_or_default(), task.meta.tenant.clone());
        let flow = task.envelope.options.flow.clone();
        let (attempts, receives) = (task.meta.attempts, task.leased.receives);
        let accepted_at = task.accepted_at();
        let patience = until.saturating_sub(self.clock.elapsed() + timeout + SETTLE_RESERVE);
        let ask = Ask {
            host: &host,
            tenant: &tenant,
            flow: flow.as_ref(),
            attempts,
            receives,
            accepted_at,
            timeout,
            patience,
        };
        if let Admission::Wait(wait) = self.control.admit(ask).await {
            return Ok(Handled::Waits(wait.min(limits::HIDDEN)));
        }
        self.attempt(task, body, timeout, ask).await
    }

    /// Goes on from what a strict message's line remembers.
    async fn recall(&self, task: &mut Task<'_>) {
        let (id, generation) = (task.meta.id.clone(), task.meta.generation);
        // Whatever was remembered was hidden then: an entry that comes for the first time has no past.
        if task.is_strict()
            && !task.remembered
            && task.leased.receives > 1
            && let Some(remembered) = self.control.recall(task.leased, &id, generation).await
        {
            task.recall(remembered);
        }
    }

    /// Takes a strict message's place in its line; how long it has still to wait.
    async fn take_place(&self, task: &mut Task<'_>) -> Option<Duration> {
        self.recall(task).await;
        if task.meta.sequence.is_none() {
            let (id, generation) = (task.meta.id.clone(), task.meta.generation);
            task.meta.sequence = self.control.sequence(task.leased, &id, generation).await;
        }
        let now = self.clock.now();
        let due = task.meta.next_due.filter(|due| *due > now)?;
        Some(due.since(now).min(limits::HIDDEN))
    }

    fn timeout(&self, task: &Task<'_>) -> Duration {
        let http = &self.settings.http;
        task.envelope.options.timeout.map_or(http.timeout, |own| own.min(http.max_timeout))
    }

    async fn attempt(
        &self,
        mut task: Box<Task<'_>>,
        body: Option<Opened>,
        timeout: Duration,
        ask: Ask<'_>,
    ) -> Result<Handled, SettleError> {
        let (at, began) = (self.clock.now(), self.clock.elapsed());
        let call = match &task.url {
            Ok(url) => {
                let attempt = task.meta.attempts.saturating_add(1);
                let request = request::build(&task.envelope, &task.meta, url.clone(), &task.trace, attempt);
                let request = match body {
                    Some(body) => body.in_place_of(request),
                    None => request::signed(request, &task.meta.id, at, &self.settings.signing),
                };
                self.target.call(request, timeout).await
            }
            Err(error) => Err(CallError::Blocked(format!("the url {error}"))),
        };
        let (now, duration) = (self.clock.now(), self.clock.elapsed().saturating_sub(began));
        let outcome = Outcome::of(&call, now);
        self.control.report(ask, &outcome).await;
        let answer = call.ok();
        let report = task.record(at, duration, &outcome, answer.as_ref(), now);
        let settlement = match &outcome {
            Outcome::Delivered => Settlement::Done,
            Outcome::Failed(failure) => self.judge(&mut task, failure, answer.as_ref(), now),
        };
        self.settle(task, settlement, Some(&report), answer.as_ref()).await
    }

    /// Ends the message without an attempt: it has expired, or was cancelled.
    async fn end(&self, mut task: Box<Task<'_>>, end: MessageState) -> Result<Handled, SettleError> {
        // Its end is told with the attempts that were made.
        self.recall(&mut task).await;
        let now = self.clock.now();
        let letter = (end == MessageState::Expired).then(|| {
            let failure = Failure::without_answer(ErrorClass::Expired, "its time was over before it was delivered");
            task.note_error(&failure, now);
            Box::new(bury::letter(&task, &failure, None, now))
        });
        self.settle(task, Settlement::End(end, letter), None, None).await
    }

    async fn bury_task(&self, mut task: Box<Task<'_>>, failure: &Failure) -> Result<Handled, SettleError> {
        self.recall(&mut task).await;
        let now = self.clock.now();
        task.note_error(failure, now);
        let settlement = Settlement::Bury(Box::new(bury::letter(&task, failure, None, now)));
        self.settle(task, settlement, None, None).await
    }

    /// Settles what was decided of a readable entry, and tells of it.
    async fn settle(
        &self,
        mut task: Box<Task<'_>>,
        mut settlement: Settlement,
        attempt: Option<&AttemptReport>,
        answer: Option<&Answer>,
    ) -> Result<Handled, SettleError> {
        if let Settlement::Bury(letter) | Settlement::End(_, Some(letter)) = &mut settlement {
            self.keep_body(&mut task, letter).await?;
        }
        let now = self.clock.now();
        let end = match &settlement {
            Settlement::Done => Some(MessageState::Delivered),
            Settlement::Bury(_) => Some(MessageState::Dead),
            Settlement::End(end, _) => Some(*end),
            Settlement::Move(_) | Settlement::Hold(_) => None,
        };
        let callback =
            end.and_then(|end| callback_of(&task.envelope, &task.meta, end, answer, &self.settings.routes, now));
        let sequence = task.meta.sequence.filter(|_| task.is_strict());
        let remembered = task.remembered.then_some(&task.meta);
        let beside = Beside { attempt, callback: callback.as_ref(), sequence, remembered };
        match self.settle.settle(task.leased, &settlement, beside).await {
            Ok(()) => {}
            // What its line is to remember can't be kept: it does not stop with that, and the attempt was none.
            Err(error) if matches!(settlement, Settlement::Hold(_)) => {
                trail::not_held(&task, &error);
                return Ok(Handled::Waits(self.settings.tiers.fast));
            }
            Err(error) => return Err(error),
        }
        trail::settled(&task, &settlement);
        if let Some(callback) = &callback {
            trail::called_back(callback);
        }
        Ok(match settlement {
            Settlement::Hold(hold) => Handled::Waits(hold.due.since(now).min(limits::HIDDEN)),
            _ => Handled::Settled,
        })
    }

    async fn bury_raw(&self, leased: &Leased, detail: &str) -> Result<Handled, SettleError> {
        let given_up = matches!(leased.queue, QueueName::LastNet | QueueName::WakeNet);
        let class = if given_up { ErrorClass::LastNet } else { ErrorClass::Undecodable };
        let letter = bury::raw_letter(leased, &Failure::without_answer(class, detail), self.clock.now());
        let settlement = Settlement::Bury(Box::new(letter));
        self.settle.settle(leased, &settlement, Beside::default()).await?;
        if let Settlement::Bury(letter) = &settlement {
            trail::dead_letter(letter, None, None, &leased.queue.to_string());
        }
        Ok(Handled::Settled)
    }
}
