//! Every limit of the contract, by name. Sizes are bytes of UTF-8 unless the name says otherwise.

/// A subject's size; it must not be empty either.
pub const SUBJECT_BYTES: usize = 512;
/// A target URL's size, as the producer wrote it.
pub const URL_BYTES: usize = 8_192;
/// Headers of one message.
pub const HEADERS: usize = 64;
/// One header's name.
pub const HEADER_NAME_BYTES: usize = 128;
/// One header's value.
pub const HEADER_VALUE_BYTES: usize = 4_096;
/// Names and values of all headers together.
pub const HEADERS_TOTAL_BYTES: usize = 16_384;
/// A method's length.
pub const METHOD_CHARS: usize = 32;
/// An idempotency key's length, in visible ASCII.
pub const KEY_CHARS: usize = 255;
/// A client id's size.
pub const CLIENT_BYTES: usize = 128;
/// Labels of one message.
pub const LABELS: usize = 16;
/// One label's size.
pub const LABEL_BYTES: usize = 128;
/// Names and values of all fields that are not in the contract, together.
pub const UNKNOWN_FIELDS_BYTES: usize = 8_192;
/// What a message asks for beside its request (times, retries, callbacks, limits), together, as it is written.
pub const OPTIONS_BYTES: usize = 16_384;
/// How deep the JSON of one envelope may nest.
pub const JSON_DEPTH: usize = 128;
/// The body as the target gets it, where it travels inside its envelope.
pub const BODY_BYTES: usize = 262_144;
/// The body as the target gets it, in a call. A larger one than [`BODY_BYTES`] is kept beside the queue. As base64 it
/// leaves a sixth of a Lambda event to the rest of the call.
pub const CALL_BODY_BYTES: usize = 4_000_000;
/// The body as the target gets it, where the message names an upload.
pub const LARGE_BODY_BYTES: usize = 25_000_000;
/// The envelope as it travels, `meta` included.
pub const ENVELOPE_BYTES: usize = 524_288;
/// Envelopes of one batch.
pub const BATCH_ITEMS: usize = 10_000;
/// One event of Lambda, in and out (AWS); a batch's body stays below it.
pub const EVENT_BYTES: usize = 6 * 1_024 * 1_024;
/// One request's body on one machine, which is that of a batch.
pub const SERVE_BATCH_BYTES: usize = 16 * 1_024 * 1_024;
/// The body of a call that acts (cancel, replay, pause): a few filters.
pub const ACTION_BYTES: usize = 65_536;
/// Items of a list's page, at most …
pub const PAGE_ITEMS: usize = 1_000;
/// … and where none are asked for.
pub const PAGE_ITEMS_DEFAULT: usize = 100;
/// Letters that are read at once to be replayed, each with its whole message.
pub const REPLAY_PAGE_ITEMS: usize = 50;
/// How long a call may wait for a message's end.
pub const WAIT: std::time::Duration = std::time::Duration::from_secs(60);
/// How far ahead a message's time may lie: a year.
pub const DELAY: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 60 * 60);
/// Receives of one entry after which it is buried as `stuck`. Its queue gives it up after 1,000 (SQS's most), and puts
/// it aside in front of its line; the rest is a reserve for batches that are received while the last one is at work.
pub const RECEIVES: u32 = 990;
/// How long an entry can be hidden in its queue, from its receive (SQS: 12 h), with a reserve for the call itself.
pub const HIDDEN: std::time::Duration = std::time::Duration::from_secs(12 * 60 * 60 - 10 * 60);
/// Calls of one message in one generation, at most.
pub const ATTEMPTS: u32 = 100;
/// Attempts kept in a history: the first of them …
pub const HISTORY_FIRST: usize = 10;
/// … and the last.
pub const HISTORY_LAST: usize = 40;
/// What is kept of a target's answer.
pub const ANSWER_BYTES: usize = 16_384;
/// What is kept of an error's text.
pub const ERROR_DETAIL_BYTES: usize = 4_096;
/// Entries of one call that writes to a queue (SQS: 10).
pub const ENQUEUE_CALL_ENTRIES: usize = 10;
/// Text of all entries of one call that writes to a queue (SQS: 1 MiB).
pub const ENQUEUE_CALL_BYTES: usize = 1_048_576;
/// A delay queue's longest delay in seconds (SQS).
pub const TIER_DELAY_SECONDS: u64 = 900;
/// The queue's dedup window in seconds (SQS).
pub const DEDUP_WINDOW_SECONDS: u64 = 300;
/// The longest window of idempotency keys on AWS, where each key is a row for as long.
pub const KEY_WINDOW: std::time::Duration = std::time::Duration::from_secs(90 * 24 * 60 * 60);
/// A dead letter's item, its keys included (DynamoDB takes 400 KB; the rest is a reserve).
pub const DEAD_LETTER_ITEM_BYTES: usize = 380_000;
/// A dead letter's envelope is compressed above this size.
pub const DEAD_LETTER_PLAIN_BYTES: usize = 65_536;
/// Panics of one entry before it is buried.
pub const PANICS: u32 = 3;
/// The shortest timeout of an attempt, in milliseconds.
pub const TIMEOUT_MIN_MS: u64 = 100;
/// The longest timeout of an attempt: a function ends after 15 minutes (AWS), of which 12 s are reserved.
pub const MAX_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15 * 60 - 12);
/// A flow's key.
pub const FLOW_KEY_BYTES: usize = 128;
/// Attempts of a flow in each span of its `per`, at most; and of that span the least …
pub const FLOW_RATE: u32 = 1_000_000;
/// … which is what a lease of the deployed stack is about as long as …
pub const FLOW_PER_MIN: std::time::Duration = std::time::Duration::from_secs(1);
/// … and the most.
pub const FLOW_PER: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 60 * 60);
/// Attempts of a flow at once, at most.
pub const FLOW_PARALLELISM: u32 = 10_000;
