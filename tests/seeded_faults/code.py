"""Faults of the code. Each is caught by the cheapest test that can see it."""
from .fault import (
    AWS, CONFORMANCE, CORE, DYNAMODB, GUARDED, HOSTILE, SECRETS, SIGNATURES, SIGNED, STORE_STORIES, STORE_UNITS, TORTURE,
    Edit, Fault,
)

IDENTITY = "shared/core/src/identity.rs"
ATTEMPT = "shared/core/src/app/attempt.rs"
BATCH = "shared/core/src/app/batch.rs"
TASK = "shared/core/src/app/task.rs"
JUDGE = "shared/core/src/app/judge.rs"
ACCEPT = "shared/core/src/app/accept.rs"
RECORD = "shared/core/src/dead_letter.rs"
TABLE = "shared/dynamodb/src/dead_letters.rs"
SETTLE = "shared/dynamodb/src/settle.rs"
QUEUES = "shared/aws/src/sqs_queues.rs"
KEY_WINDOW = "shared/signed/src/key_window.rs"

MOVE = (
    "let dedup = crate::identity::dedup_id(&meta.id, meta.generation, meta.attempts.saturating_add(1), meta.hop);"
)
PARTS = "digest(&[id.as_bytes(), generation.as_bytes(), attempt.as_bytes(), hop.as_bytes()])"
EACH_PART = "each_part_of_a_move_makes_it_another_one"
NOT_SETTLED = "Err(error) => return Err(error), } trail::settled"
TAKEN_FOR_DONE = "Err(_) => {} } trail::settled"
SENT_BACK = "a_failed_hand_off_sends_it_and_the_rest_of_its_group_back"
RETURN = "Err(_) => return Ended::Open(back(rest, back_off(leased.receives))),"
ONE_BACK = "back(rest.get(..1).unwrap_or_default(), back_off(leased.receives))"
NOT_OVERWRITTEN = "only_the_same_id_and_generation_is_a_success"


def one(name, what, suite, test, file, find, replace) -> Fault:
    """A fault of one place."""
    return Fault(name, what, suite, test, (Edit(file, find, replace),))


IDS = [
    one("dedup-without-attempt", "the dedup id leaves out the attempt", CORE, EACH_PART,
        IDENTITY, PARTS, "digest(&[id.as_bytes(), generation.as_bytes(), hop.as_bytes()])"),
    one("dedup-without-hop", "the dedup id leaves out the hop", CORE, EACH_PART,
        IDENTITY, PARTS, "digest(&[id.as_bytes(), generation.as_bytes(), attempt.as_bytes()])"),
    one("dedup-without-generation", "the dedup id leaves out the generation", CORE, EACH_PART,
        IDENTITY, PARTS, "digest(&[id.as_bytes(), attempt.as_bytes(), hop.as_bytes()])"),
    one("hop-swallowed", "the same, seen from outside: a wait is swallowed", CONFORMANCE,
        "a_move_that_is_no_attempt_is_not_swallowed",
        IDENTITY, PARTS, "digest(&[id.as_bytes(), generation.as_bytes(), attempt.as_bytes()])"),
    one("replay-swallowed", "the same, seen from outside: a replay is swallowed", CONFORMANCE,
        "a_replay_within_the_window_is_another_message",
        IDENTITY, PARTS, "digest(&[id.as_bytes(), attempt.as_bytes(), hop.as_bytes()])"),
    one("dedup-from-content", "a retry's dedup id is made from the body", CORE,
        "a_failed_message_goes_to_its_tier_once_per_attempt",
        TASK, MOVE, "let dedup = crate::identity::digest(&[self.envelope.message.body.bytes()]);"),
    one("dedup-random", "a retry's dedup id differs every time", CORE,
        "a_failed_message_goes_to_its_tier_once_per_attempt",
        TASK, MOVE, 'let dedup = crate::identity::digest(&[format!("{:?}", std::time::Instant::now()).as_bytes()]);'),
    one("accept-dedup-random", "an accepted message's dedup id differs every time", CORE,
        "an_accepted_message_is_in_its_queue",
        ACCEPT, "let dedup = identity::dedup_id(&meta.id, meta.generation, 1, meta.hop);",
        'let dedup = identity::digest(&[format!("{:?}", std::time::Instant::now()).as_bytes()]);'),
    one("raw-subject-as-group", "the group id is the subject as it is", CORE, "any_subject_gives_a_legal_group_id",
        IDENTITY, "digest(&[tenant.as_bytes(), subject.as_bytes()])", "subject.to_owned()"),
    one("accept-without-tenant", "messages of all tenants share their subjects' lines", CORE,
        "an_accepted_message_is_in_its_queue",
        ACCEPT, "let group = identity::group_id(&meta.tenant, &envelope.subject);",
        'let group = identity::group_id("", &envelope.subject);'),
    one("key-of-anyone", "the idempotency key leaves out the producer", CORE, "a_key_meets_itself_and_nobody_else",
        IDENTITY, "hash(&[producer.as_bytes(), key.as_bytes(), &body])", "hash(&[key.as_bytes(), &body])"),
]

LINES = [
    one("only-the-failed-one-back", "what stands behind a failed entry is let go", CORE,
        "what_goes_back_is_a_suffix_of_its_group", BATCH, RETURN, f"Err(_) => return Ended::Open({ONE_BACK}),"),
    Fault("group-goes-on", "a group goes on after a failed entry", CORE, "what_goes_back_is_a_suffix_of_its_group", (
        Edit(BATCH, "for (n, leased) in line.iter().enumerate() {",
             "let mut failed = Vec::new(); for (n, leased) in line.iter().enumerate() {"),
        Edit(BATCH, RETURN, f"Err(_) => {{ failed.extend({ONE_BACK}); continue; }}"),
        Edit(BATCH, "Ended::Open(Vec::new())", "Ended::Open(failed)"),
    )),
    one("back-and-asleep", "what goes back is not made visible", CORE, SENT_BACK,
        BATCH, "self.settle.give_back(&open).await;", ""),
    one("no-reserve", "work is started right before the function's end", CORE, "nothing_is_started_near_the_deadline",
        ATTEMPT, "if self.clock.elapsed() + timeout + SETTLE_RESERVE > until {", "if false {"),
    one("long-wait-to-the-end", "a head that waits for hours goes back when its batch has ended", CORE,
        "who_waits_long_goes_back_before_a_slow_neighbour_has_ended",
        BATCH, "if span >= LONG_WAIT =>", "if span >= LONG_WAIT * 1_000 =>"),
    one("panics-for-ever", "the third panic does not bury", CORE,
        "a_panic_sends_its_group_back_and_the_third_one_buries",
        BATCH, "if last { self.bury_panicked(leased).await }", "if last && false { self.bury_panicked(leased).await }"),
    one("two-of-a-group-in-one-call", "a call that writes holds two entries of a group", AWS,
        "what_follows_a_refused_entry_of_its_group_is_not_sent",
        "shared/aws/src/lanes.rs", "of_group.entry(&entry.group).or_insert(lanes.len())",
        "of_group.entry(&entry.dedup).or_insert(lanes.len())"),
    one("only-the-call-counts", "entries that a call lists as failed count as taken", AWS,
        "every_subset_of_refused_entries_is_told_exactly",
        QUEUES, "if let Some(failed) = answer.failed().iter().find(|failed| failed.id() == id) {",
        "if answer.failed().iter().any(|failed| failed.id() == id) { return Ok(Taken::New); } "
        "if let Some(failed) = answer.failed().iter().find(|failed| failed.id() == id) {"),
    one("answer-names-nobody", "the answer does not name what goes back", AWS, "the_answer_names_what_goes_back",
        "shared/aws/src/sqs_event.rs", "response.batch_item_failures = go_back.into_iter()",
        "response.batch_item_failures = go_back.into_iter().take(0)"),
]

DURABILITY = [
    one("ack-before-hand-off", "a failed hand-off is taken for done", CORE, SENT_BACK,
        ATTEMPT, NOT_SETTLED, TAKEN_FOR_DONE),
    one("ack-before-put", "a failed burial without an attempt is taken for done", CONFORMANCE,
        "a_failed_burial_lets_nothing_go",
        ATTEMPT, NOT_SETTLED, TAKEN_FOR_DONE),
    one("ack-before-raw-put", "a failed burial of raw bytes is taken for done", CONFORMANCE,
        "a_failed_burial_lets_nothing_go",
        ATTEMPT, "self.settle.settle(leased, &settlement, Beside::default()).await?;",
        "let _ = self.settle.settle(leased, &settlement, Beside::default()).await;"),
    one("put-error-ignored", "the adapter says that a refused record is there", CONFORMANCE,
        "a_failed_burial_lets_nothing_go",
        SETTLE, "self.dead_letters.put(letter).await", "{ let _ = self.dead_letters.put(letter).await; Ok(()) }"),
    one("send-error-ignored", "the adapter says that a refused entry is taken", CONFORMANCE,
        "a_failed_settlement_leaves_the_message_and_its_line_as_they_were",
        SETTLE, "self.queues.enqueue(entry).await.map(|_| ()).map_err(|error| SettleError(error.to_string()))",
        "{ let _ = self.queues.enqueue(entry).await; Ok(()) }"),
    one("200-before-durable", "a message is accepted although the queue did not take it", CORE,
        "a_queue_that_is_down_is_503_and_never_a_receipt",
        ACCEPT, "let taken = self.queues.enqueue(entry).await;",
        "let _ = self.queues.enqueue(entry).await; let taken = Ok(Taken::New);"),
    one("key-of-seconds", "a dead letter's sort key is a time in seconds", CORE,
        "ten_thousand_failures_in_one_millisecond_are_ten_thousand_records",
        RECORD, 'format!("{}#{}#{}", self.entry_sent_at, self.id, self.generation)',
        "self.entry_sent_at.to_string().chars().take(19).collect()"),
    one("key-of-the-clock", "a dead letter's sort key is the time of its burial", CORE,
        "keys_come_from_the_entry_and_not_from_the_clock",
        RECORD, 'format!("{}#{}#{}", self.entry_sent_at, self.id, self.generation)',
        'format!("{}#{}#{}", self.died_at, self.id, self.generation)'),
    one("buried-again-and-again", "the same, seen from outside: 150 do not stay 150", CONFORMANCE,
        "a_burial_repeated_a_hundred_times_is_one_dead_letter",
        RECORD, 'format!("{}#{}#{}", self.entry_sent_at, self.id, self.generation)',
        'format!("{}#{}#{}", self.died_at, self.id, self.generation)'),
    one("put-without-condition", "a dead letter overwrites what stands in its place", DYNAMODB,
        "the_same_burial_a_hundred_times_is_one_record",
        TABLE, '.condition_expression("attribute_not_exists(#date)")'
        ' .expression_attribute_names("#date", item::DATE)', ""),
    one("put-without-compare", "another message's record counts as one's own", DYNAMODB, NOT_OVERWRITTEN,
        TABLE, "Some(item) if whose(item) == ours => Ok(()),", "Some(item) if whose(item) == ours || true => Ok(()),"),
]

RETRIES = [
    one("policy-of-the-last-error", "the last error picks the policy instead of the first", CONFORMANCE,
        "the_first_error_picks_the_policy",
        JUDGE, "task.first_error().unwrap_or(FirstError { class: failure.class, status: failure.status })",
        "FirstError { class: failure.class, status: failure.status }"),
    one("retry-after-ignored", "Retry-After does not choose the tier", CORE,
        "retry_after_chooses_the_first_tier_that_covers_it",
        "shared/core/src/retry.rs", "Verdict::Retry(now.retry_after.map_or(tier, |wait| delays.covering(wait)))",
        "Verdict::Retry(tier)"),
    one("gone-is-retried", "410 is tried again", CORE, "what_has_no_retry_is_buried_after_its_first_attempt",
        "shared/core/src/outcome.rs", "410 => ErrorClass::Gone,", "410 => ErrorClass::Http4xx,"),
    one("one-attempt-short", "the attempts are counted from one too many", CORE,
        "the_known_answer_holds_message_by_message",
        "shared/core/src/retry.rs", "policy.tier(retries)", "policy.tier(attempts)"),
]

BOUNDARY = [
    one("redirects-followed", "a redirect of the target is followed", HOSTILE, "redirects_are_not_followed",
        "shared/http/src/pool.rs", ".redirect(Policy::none())", ".redirect(Policy::limited(5))"),
    one("deadline-of-headers", "the deadline ends with the answer's headers", HOSTILE,
        "a_slow_body_is_a_timeout_although_the_status_is_fine",
        "shared/http/src/answer.rs", 'until.wait(response.chunk(), "the target\'s answer did not end").await?',
        "response.chunk().await"),
    one("answer-without-end", "the answer is read beyond its limit", HOSTILE,
        "an_endless_body_is_read_to_the_limit_and_dropped",
        "shared/http/src/answer.rs", "let room = ANSWER_BYTES - answer.body.len();", "let room = usize::MAX;"),
    one("names-not-guarded", "what a name resolves to is not checked", GUARDED,
        "a_name_that_leads_to_a_private_address_is_blocked",
        "shared/http/src/resolver.rs", "guard.check_resolved(name.as_str(), port, &addresses)?;", ""),
    one("key-without-scope", "a key may send whatever its scopes", CORE, "producers_are_known_by_their_keys",
        "shared/core/src/api/auth.rs",
        "if !producer.scopes.contains(&needs.scope()) {", "if false {"),
    one("key-of-another", "a key's own id is not compared", CORE, "producers_are_known_by_their_keys",
        "shared/core/src/api/auth.rs", "if known && names(key, &producer.id) {", "if known {"),
    one("open-by-default", "without producers anybody may post", CORE, "nobody_is_let_in_by_default",
        "shared/core/src/api/auth.rs", "if request.platform_caller {", "if true {"),
    one("secret-prints", "a secret prints itself", CORE, "secrets_do_not_print", "shared/core/src/secret.rs",
        'impl fmt::Debug for Secret { fn fmt(&self, f: &mut fmt::Formatter<\'_>) -> fmt::Result { f.write_str("***")',
        "impl fmt::Debug for Secret { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0)"),
    one("headers-logged", "an attempt's line holds the request's headers", SECRETS,
        "no_line_holds_a_planted_secret",
        "shared/core/src/app/trail.rs", "chaski.duration_ms = attempt.duration_ms, attempts = 1,",
        "chaski.duration_ms = attempt.duration_ms, attempts = 1, http.headers = ?task.envelope.message.headers,"),
    one("answer-not-redacted", "a credential that the target echoes is kept", SECRETS,
        "no_line_holds_a_planted_secret",
        "shared/core/src/app/bury.rs", "redact::answer(&answer.body, &task.envelope.message.headers)",
        "answer.body.clone()"),
    one("signature-without-time", "a signature does not cover its time", SIGNATURES,
        "each_attempt_is_verified_and_the_wrong_secret_is_not",
        "shared/core/src/signing.rs", 'format!("{id}.{seconds}.")', 'format!("{id}.1614265330.")'),
    one("signature-of-acceptance", "every attempt is signed with one and the same time", SIGNATURES,
        "each_attempt_is_verified_and_the_wrong_secret_is_not",
        "shared/core/src/app/attempt.rs", "request::signed(request, &task.meta.id, at, &self.settings.signing)",
        "request::signed(request, &task.meta.id, task.meta.received_at.unwrap_or(at), &self.settings.signing)"),
    one("rotation-cut-short", "only the current secret signs", SIGNATURES, "a_rotation_loses_no_target",
        "shared/core/src/signing.rs", "previous: self.previous.as_ref().map(|secret| secret.0.clone())",
        "previous: None"),
    one("settings-line-shown", "a settings file that is no TOML is shown, with its secret", SECRETS,
        "no_line_holds_a_planted_secret",
        "shared/core/src/settings/reader.rs", "error.message())", "error)"),
    one("body-written-anew", "a JSON body is read and written again", CORE, "a_json_body_goes_byte_for_byte",
        "shared/core/src/envelope/wire.rs", "Some(Body::Json(text.to_owned()))",
        "serde_json::from_str::<serde_json::Value>(text).ok().map(|value| Body::Json(value.to_string()))"),
    one("unknown-fields-dropped", "what another version wrote is not carried on", CORE,
        "a_next_version_travels_with_what_is_not_understood",
        "shared/core/src/envelope/wire.rs", "writer.finish(&self.extra) } } impl Message {",
        "writer.finish(&crate::json::Extra::default()) } } impl Message {"),
]

STORE_ROWS = "shared/embedded/src/row/entry.rs"
STORE_CHANGES = "shared/embedded/src/writer/transaction.rs"

STORE = [
    one("store-without-sync", "a 200 comes before the data is on the disk", TORTURE,
        "whatever_was_answered_is_there_after_a_loss_of_power",
        "shared/embedded/src/store/open.rs", 'Durability::Fsync => "FULL",', 'Durability::Fsync => "OFF",'),
    one("store-without-checksum", "a row is believed whatever its checksum", STORE_STORIES,
        "an_entry_with_a_flipped_bit_becomes_a_dead_letter",
        STORE_ROWS, "let whole = row.get::<_, i64>(11)? == entry.sum();", "let whole = true;"),
    one("store-miscounts", "an entry that goes is still counted", STORE_STORIES,
        "depths_are_what_a_count_says_after_a_kill",
        STORE_CHANGES, "*self.depths.entry(queue).or_default() -= 1;", ""),
    one("store-forgets-keys", "a key goes with its message", STORE_STORIES,
        "a_key_is_remembered_for_its_time_though_its_message_is_gone",
        "shared/embedded/src/writer/purge.rs", "transaction.remember(&id.0, at)?;", "let _ = (id, at);"),
    one("store-settles-twice", "a lease can be settled while it is being settled", STORE_UNITS,
        "a_settlement_under_way_does_not_run_out",
        "shared/embedded/src/schedule/lease.rs", "self.leases.get_mut(&token).filter(|held| !held.settling)?;",
        "self.leases.get_mut(&token)?;"),
    one("store-without-turns", "a line that was served stays in front", STORE_UNITS, "takes_its_turn",
        "shared/embedded/src/schedule/mod.rs",
        "Some(_) => { line.place = Place::Ready; self.ready.push_back(id); }",
        "Some(_) => { line.place = Place::Ready; self.ready.push_front(id); }"),
    one("store-never-yields", "retries hold producers up", STORE_UNITS, "what_failed_lets_what_is_new_pass",
        "shared/embedded/src/writer/mod.rs", "let room = if there { YIELDING }", "let room = if false { YIELDING }"),
    one("store-buries-astray", "a look-up that leads astray keeps an entry from its line", STORE_STORIES,
        "a_look_up_that_leads_astray_buries_nothing",
        "shared/embedded/src/writer/damage.rs", "self.lines.push(row.line);", "let _ = row;"),
    one("store-forgets-held-lines", "what is written behind a held head passes it", STORE_UNITS,
        "nobody_passes_a_held_head",
        "shared/embedded/src/schedule/held.rs", "self.held.note(line);", "let _ = line;"),
    one("store-forgets-a-line", "what comes while its line is read as empty is forgotten", STORE_UNITS,
        "what_is_written_while_its_line_is_read_as_empty",
        "shared/embedded/src/schedule/spill.rs", "self.touch(id); self.ask(id); } Some(true) if !due",
        "self.drop_line(id); } Some(true) if !due"),
    one("store-cancels-in-silence", "nobody is told of what is cancelled", STORE_STORIES,
        "a_cancelled_message_is_told_of_wherever_it_was",
        "shared/embedded/src/writer/cancel.rs",
        "self.callbacks.extend(tell_of(transaction, &text, MessageState::Cancelled)?);", "let _ = text;"),
    one("store-counts-no-line", "the number of a strict line is not kept", STORE_STORIES,
        "a_line_is_counted_without_gaps",
        "shared/embedded/src/writer/settle.rs", "transaction.count(group, *sequence)?;", "let _ = (group, sequence);"),
]

WINDOW = [
    one("key-before-its-message", "a key's row is put before the queue took the message", SIGNED,
        "a_message_that_was_not_queued_has_no_row",
        KEY_WINDOW, "let taken = self.queues.enqueue(entry).await?; Box::pin(known.keep(vec![message])).await;",
        "Box::pin(known.keep(vec![message])).await; let taken = self.queues.enqueue(entry).await?;"),
    one("key-of-a-refused-message", "a key's row is put whatever the queue said", SIGNED,
        "each_of_many_has_its_own_fate",
        KEY_WINDOW, "message.filter(|_| fate.is_ok() && !seen)", "message.filter(|_| { let _ = fate; !seen })"),
    one("key-fails-closed", "a table that does not answer hides messages", SIGNED,
        "a_table_that_is_silent_costs_a_second_and_hides_nothing",
        KEY_WINDOW, "Err(error) => trouble.note(&error),",
        "Err(error) => { trouble.note(&error); seen.iter_mut().skip(place).take(1).for_each(|seen| *seen = true); }"),
    one("key-for-ever", "a row holds until DynamoDB deletes it", SIGNED,
        "a_repeat_is_a_duplicate_until_its_window_ends",
        "shared/signed/src/key_rows.rs", "expires.is_some_and(|expires| expires > seconds(now))",
        "{ let _ = now; expires.is_some() }"),
    one("copy-believes-200", "a copy that S3 gave up behind a 200 counts as made", SIGNED,
        "a_copy_that_fails_behind_a_200_has_failed",
        "shared/signed/src/s3/mod.rs", 'part == b"<Error"', 'part == b"<Never"'),
    one("object-cut-short", "an object that ends early counts as whole", SIGNED,
        "an_object_ends_with_its_length_or_with_an_error",
        "shared/signed/src/s3/object.rs", "Ok(None) if self.read != self.length =>", "Ok(None) if self.read > self.length =>"),
]

CONTROL = "shared/dynamodb/src/control/mod.rs"
KNOWN = "shared/dynamodb/src/control/known.rs"

ORDERED = [
    one("cancel-what-comes-later", "a mark meets what was accepted after it", CORE,
        "a_mark_meets_what_was_accepted_before_it_until_it_ends",
        "shared/core/src/orders.rs", "accepted_at <= self.cut_off", "accepted_at >= Timestamp::default()"),
    one("pause-not-asked-again", "a pause that ended while a head was remembered holds it", DYNAMODB,
        "a_head_whose_pause_has_ended_meanwhile_is_shown",
        CONTROL, "table.stands(pause).await", "table.stands(pause).await.map(|_| true)"),
    one("orders-stand-for-ever", "a table that is down keeps a pause", DYNAMODB,
        "the_last_answer_stands_while_the_table_is_down_and_not_for_ever",
        KNOWN, "read.age(now) >= STANDS", "read.age(now) >= STANDS * 1_000"),
    one("orders-of-a-frozen-process", "a process that was frozen believes what it read before", DYNAMODB,
        "the_table_is_read_once_a_second_whoever_asks",
        KNOWN, "now.elapsed.saturating_sub(self.elapsed).max(wall)",
        "now.elapsed.saturating_sub(self.elapsed).max(wall / 1_000_000)"),
    one("cancel-more-than-meant", "a mark that lost a part of its filter is followed", DYNAMODB,
        "what_is_not_understood_orders_nothing",
        "shared/dynamodb/src/control/row.rs", "(mark.id == id).then_some(mark)", "{ let _ = id; Some(mark) }"),
]

ASKED = [
    one("strict-goes-to-a-tier", "a strict message that failed leaves its line", CORE,
        "a_strict_message_that_failed_holds_up_its_line",
        JUDGE, "verdict if task.is_strict() =>", "verdict if task.is_strict() && now < Timestamp::default() =>"),
    one("end-forgets-attempts", "what expired behind its failed attempts ends without them", CORE,
        "an_end_without_an_attempt_tells_of_those_that_a_line_remembers",
        ATTEMPT, "self.recall(&mut task).await; let now = self.clock.now(); let letter =",
        "let now = self.clock.now(); let letter ="),
    one("expired-is-sent", "what has expired is sent all the same", CORE, "what_has_expired_is_not_sent_and_is_recorded",
        ATTEMPT, "task.meta.expires_at.is_some_and(|expires| expires <= now)",
        "task.meta.expires_at.is_some_and(|expires| expires > now)"),
    one("wait-is-an-attempt", "who is not admitted has one attempt less", CORE,
        "who_is_not_admitted_waits_and_no_attempt_is_counted",
        ATTEMPT, "return Ok(Handled::Waits(wait.min(limits::HIDDEN))); } self.attempt(",
        "let _ = wait; } self.attempt("),
    one("early-is-sent", "what comes before its time joins its line", CORE,
        "whose_time_has_come_joins_its_line_and_who_is_early_waits_on",
        ATTEMPT, "due.filter(|due| *due > now) {", "due.filter(|due| *due < now) {"),
    one("own-retries-ignored", "a message's own delays don't choose its retries", CORE,
        "a_message_s_own_retries_go_before_the_policy",
        "shared/core/src/retry.rs", "own.and_then(|own| own.delay(retries))", "own.and_then(|own| own.delay(attempts))"),
    one("callback-of-every-end", "the callback of a delivery is told of every end", CORE,
        "a_callback_is_an_ordinary_message_that_tells_of_the_end_and_has_none_itself",
        "shared/core/src/app/callback.rs", "_ => envelope.options.failure_callback.as_deref(),",
        "_ => envelope.options.callback.as_deref(),"),
    one("dead-letter-without-body", "a dead letter's body goes with its message", CORE,
        "a_retry_names_the_body_and_a_dead_letter_its_own",
        ATTEMPT, "self.keep_body(&mut task, letter).await?;", "let _ = (&mut task, letter);"),
    one("breaker-asks-late", "a host that fails is found out too late", CORE,
        "a_host_that_fails_for_a_minute_gets_at_most_a_tenth_and_everything_after",
        "shared/core/src/breaker.rs", "const RUN: u32 = 20;", "const RUN: u32 = 2_000;"),
]

FAULTS = IDS + LINES + DURABILITY + RETRIES + BOUNDARY + STORE + WINDOW + ORDERED + ASKED
