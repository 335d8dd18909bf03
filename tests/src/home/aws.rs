//! The AWS home: the real handlers and adapters in one process, over a local AWS, and a small pump that does what
//! Lambda's mappings do.

mod answer;
mod door;
mod places;
mod pump;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use chaski_aws::{Clients, QueuePrefix, SqsQueues};
use chaski_consumer::Sources;
use chaski_core::app::{self, Dispatcher, Ingress, Post, Receipt};
use chaski_core::identity;
use chaski_core::ports::{self, Beside, Bodies, Clock, Enqueue, Entry, Leased, Ledger, Pauses, Settle, Settlement};
use chaski_core::problem::Problem;
use chaski_core::queue::QueueName;
use chaski_core::settings::Settings;
use chaski_dynamodb::{AwsControl, AwsSettle, ControlTable, DeadLetters, Records, Waits};
use chaski_operator::{Stack, StackDesk};
use chaski_signed::{KeyRows, KeyWindow, S3, S3Bodies, Scheduler};
use chaski_system::SystemChance;
use futures_util::future::try_join_all;

use super::clock::StoryClock;
use super::faults::{Faults, FaultySettle};
use super::script::Script;
use super::{Batch, Buried, Capabilities, Home, Message, SETTINGS, TIERS};
use door::Caller;
use places::Places;
pub use places::Schedule;
use pump::Mapping;

/// What EventBridge Scheduler tells apart.
const SECOND: Duration = Duration::from_secs(1);

type Consumer = Dispatcher<Script, FaultySettle<AwsSettle>, StoryClock, AwsControl<StoryClock>, S3Bodies<StoryClock>>;

/// Queues and a table of its own on the local AWS that is up.
pub struct AwsHome {
    places: Places,
    ingress: Ingress<KeyWindow<SqsQueues, StoryClock>, StoryClock, SystemChance, S3Bodies<StoryClock>>,
    /// As they are deployed: one function reads the shards, each in a process of its own, …
    consumers: BTreeMap<QueueName, Consumer>,
    /// … and the other what lies behind them.
    error_consumer: Consumer,
    settle: AwsSettle,
    queues: SqsQueues,
    sources: Sources,
    desk: StackDesk<StoryClock>,
    bodies: S3Bodies<StoryClock>,
    prefix: QueuePrefix,
    clock: StoryClock,
    target: Script,
    faults: Faults,
    batches: Mutex<Vec<Batch>>,
    /// What went back and may still be hidden: queue and receipt handle.
    hidden: Mutex<Vec<(QueueName, String)>>,
}

impl AwsHome {
    /// Makes its queues and its tables, whose names begin with `name`. They go when the local AWS is ended.
    ///
    /// # Errors
    /// No local AWS is up; says how to start one.
    pub async fn open(name: &str) -> anyhow::Result<Self> {
        let mut settings = Self::settings()?;
        places::BUCKET.clone_into(&mut settings.aws.bucket);
        Self::open_with(name, settings, None).await
    }

    /// The endpoint and the region of the local AWS that is up.
    ///
    /// # Errors
    /// None is; says how to start one.
    pub fn local() -> anyhow::Result<(String, String)> {
        places::local()
    }

    /// The settings that the suite runs with, to be changed.
    ///
    /// # Errors
    /// They are wrong.
    pub fn settings() -> anyhow::Result<Settings> {
        let mut settings = Settings::read(SETTINGS, &|_| None)?;
        settings.aws.sequence = true;
        Ok(settings)
    }

    /// The same with other settings, and with `proxy` in the local AWS's place: every call goes there.
    ///
    /// # Errors
    /// As [`AwsHome::open`].
    pub async fn open_with(name: &str, settings: Settings, proxy: Option<&str>) -> anyhow::Result<Self> {
        let settings = Arc::new(settings);
        let faults = Faults::default();
        let places = Places::make(name, &settings, proxy).await?;
        let front = door::open(places.endpoint(), Caller::Ingress, faults.clone()).await?;
        let back = door::open(places.endpoint(), Caller::Consumers, faults.clone()).await?;
        let clients = Clients::new(places.client_settings(places.endpoint())?)?;
        let front = Clients::new(places.client_settings(&front)?)?;
        let back = Clients::new(places.client_settings(&back)?)?;

        let prefix = QueuePrefix::new(places.prefix());
        let clock = StoryClock::start();
        let queues = SqsQueues::new(clients.sqs(), prefix.clone(), clock.clone());
        let behind = SqsQueues::new(back.sqs(), prefix.clone(), clock.clone());
        let dynamodb = chaski_dynamodb::client(&clients);
        let control = ControlTable::new(dynamodb.clone(), places.control());
        let waits = Waits::new(control.clone(), places.schedules(Scheduler::new(&clients)));
        let settle = AwsSettle::new(behind.clone(), DeadLetters::new(chaski_dynamodb::client(&back), places.table()))
            .remembering(Some(ControlTable::new(chaski_dynamodb::client(&back), places.control())))
            .scheduling(Some(waits.clone()));
        let target = Script::new(Arc::new(clock.clone()));
        let bodies = S3Bodies::new(places.bucket().map(|name| S3::new(&clients, &name)), clock.clone());
        let consumer = || {
            let settle = FaultySettle { inner: settle.clone(), faults: faults.clone() };
            // Each process reads for itself, and shares what it may begin with the others by the table.
            let control = AwsControl::new(Some(control.clone()), clock.clone(), &SystemChance);
            let control = control.counting(settings.aws.sequence).breaking(settings.breaker);
            let control = control.limiting(settings.hosts.clone());
            let dispatcher = Dispatcher::new(settings.clone(), target.clone(), settle, clock.clone(), control);
            dispatcher.with_bodies(bodies.clone())
        };
        let stack = Stack {
            api_url: String::new(),
            keyed: false,
            queues: prefix.clone(),
            table: places.table(),
            control: Some(places.control()),
            bucket: places.bucket(),
            settings: Settings::clone(&settings),
        };
        let records = Records::new(dynamodb, places.table());
        let desk = StackDesk::new(&stack, clients.sqs(), records, Some(control.clone()), clock.clone());
        let desk = desk.with_bodies(bodies.clone());
        let ingress_queues = SqsQueues::new(front.sqs(), prefix.clone(), clock.clone());
        let ingress_queues = match settings.aws.key_window {
            Duration::ZERO => KeyWindow::off(ingress_queues),
            window => KeyWindow::new(ingress_queues, KeyRows::new(&front, places.control()), window, clock.clone()),
        };
        let ingress = Ingress::new(settings.clone(), ingress_queues, clock.clone(), SystemChance);
        Ok(Self {
            ingress: ingress.with_bodies(bodies.clone()),
            bodies: bodies.clone(),
            consumers: places.shards().map(|shard| (shard.clone(), consumer())).collect(),
            error_consumer: consumer(),
            settle,
            queues,
            sources: Sources { queues: behind, waits: Some(waits) },
            desk,
            prefix,
            clock,
            target,
            faults,
            batches: Mutex::default(),
            hidden: Mutex::default(),
            places,
        })
    }

    /// What stands in EventBridge Scheduler.
    ///
    /// # Errors
    /// It can't be asked.
    pub async fn schedules(&self) -> anyhow::Result<Vec<Schedule>> {
        self.places.all_schedules().await
    }

    /// Does what a schedule does when its time has come, whether it has or not.
    ///
    /// # Errors
    /// Its queue does not take it.
    pub async fn fire(&self, schedule: &Schedule) -> anyhow::Result<()> {
        self.places.fire(schedule).await
    }

    /// The keys of the control table's rows.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn rows(&self) -> anyhow::Result<Vec<String>> {
        self.places.rows().await
    }

    /// The clock of everything in it but the local AWS.
    #[must_use]
    pub fn clock(&self) -> &StoryClock {
        &self.clock
    }

    fn mapping(&self, queue: &QueueName) -> Mapping<'_> {
        let dispatcher = self.consumers.get(queue).unwrap_or(&self.error_consumer);
        Mapping { home: self, queue: queue.clone(), dispatcher }
    }

    /// Fires what is due within the next second, to which schedules are rounded up, and goes on to its time.
    async fn fire_due(&self) -> anyhow::Result<()> {
        let mut schedules = self.schedules().await?;
        schedules.sort_by_key(|schedule| schedule.at);
        for schedule in schedules {
            let ahead = schedule.at.since(self.clock.now());
            if ahead <= SECOND {
                self.clock.put_forward(ahead);
                self.fire(&schedule).await?;
            }
        }
        Ok(())
    }

    fn note(&self, batch: Batch) {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
    }

    fn note_hidden(&self, hidden: impl Iterator<Item = (QueueName, String)>) {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).extend(hidden);
    }
}

impl Home for AwsHome {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            tiers: TIERS,
            // SQS counts the delay from when it took the entry, which the attempt's end is before.
            tier_precision: Duration::from_millis(20),
            dedup_window: Duration::from_secs(chaski_core::limits::DEDUP_WINDOW_SECONDS),
            atomic_settle: false,
            // EventBridge Scheduler keeps times to the minute.
            wait_precision: Duration::from_secs(60),
            rounds_to_tiers: true,
            knows_duplicates: false,
            key_window: Duration::from_secs(chaski_core::limits::DEDUP_WINDOW_SECONDS),
            bodies_last: None,
            counts_sequence: true,
            has_ledger: false,
            // Each function reads them once a second.
            orders_lag: Duration::from_millis(1_500),
            // Permits are given for a second ahead, and may be used until it is over.
            flow_burst: Duration::from_secs(2),
            crowd: (100, 50),
        }
    }

    fn target(&self) -> &Script {
        &self.target
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn desk(&self) -> impl Deref<Target: Ledger + Pauses + ports::DeadLetters> {
        &self.desk
    }

    fn bodies(&self) -> impl Deref<Target: Bodies> {
        &self.bodies
    }

    async fn upload(&self, body: Vec<u8>) -> anyhow::Result<String> {
        let reference = identity::body_reference("", &SystemChance);
        let promise = self.bodies.promise(&reference, self.clock.now()).await?;
        self.places.upload(&promise.to.context("no address")?, body).await?;
        Ok(reference)
    }

    async fn accept_from(&self, caller: &app::Caller, messages: &[Message]) -> Vec<Result<Receipt, Problem>> {
        let texts: Vec<String> = messages.iter().map(Message::text).collect();
        let posts: Vec<Post<'_>> =
            texts.iter().map(|text| Post { text: text.as_bytes(), key: None, trace: None }).collect();
        let answers = match posts.as_slice() {
            [one] => vec![Box::pin(self.ingress.accept(caller, *one)).await],
            many => Box::pin(self.ingress.accept_all(caller, many)).await,
        };
        for receipt in answers.iter().flatten() {
            self.faults.know(&receipt.id, identity::group_id(&caller.tenant, &receipt.subject));
        }
        answers
    }

    async fn put(&self, entry: &Entry) -> anyhow::Result<()> {
        Box::pin(self.queues.enqueue(entry.clone())).await.context("the queue did not take a raw entry")?;
        Ok(())
    }

    async fn take(&self, queue: &QueueName) -> anyhow::Result<Option<Leased>> {
        self.mapping(queue).take().await
    }

    async fn settle(&self, leased: &Leased, settlement: &Settlement) -> anyhow::Result<()> {
        Box::pin(self.settle.settle(leased, settlement, Beside::default())).await?;
        self.places.delete(&leased.queue, std::slice::from_ref(&leased.handle)).await
    }

    async fn step(&self) -> anyhow::Result<usize> {
        let push = |queue| Box::pin(async move { self.mapping(queue).push().await });
        Ok(try_join_all(self.places.queues().iter().map(push)).await?.into_iter().sum())
    }

    async fn wake(&self) -> anyhow::Result<usize> {
        let hidden = std::mem::take(&mut *self.hidden.lock().unwrap_or_else(PoisonError::into_inner));
        for (queue, handle) in &hidden {
            // One that is not hidden any more was received again, under another handle.
            let _ = self.places.show(queue, std::slice::from_ref(handle)).await;
        }
        Ok(hidden.len())
    }

    async fn advance(&self, span: Duration) -> anyhow::Result<()> {
        if self.depths().await?.values().any(|depth| *depth > 0) {
            tokio::time::sleep(span).await;
        } else {
            self.clock.put_forward(span);
        }
        self.fire_due().await
    }

    async fn depths(&self) -> anyhow::Result<BTreeMap<QueueName, u64>> {
        self.places.depths().await
    }

    async fn dead_letters(&self) -> anyhow::Result<Vec<Buried>> {
        self.places.dead_letters().await
    }

    fn batches(&self) -> Vec<Batch> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
