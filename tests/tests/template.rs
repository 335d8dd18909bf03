//! template.yaml is held to the settings: queues, mappings, roles and timeouts are what the code derives.
//!
//! What the local AWS does not enforce (the rights of a mapping's poller, a queue's visibility) is held here.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chaski_aws::{is_fifo, suffix};
use chaski_core::queue::{QueueName, Tier};
use chaski_core::retry::TierDelays;
use chaski_core::settings::{HttpSettings, Settings, variable};
use chaski_signed::S3Bodies;
use chaski_system::SystemClock;
use serde_yaml_ng::Value;

fn template() -> Value {
    serde_yaml_ng::from_str(include_str!("../../template.yaml")).unwrap()
}

fn settings() -> Settings {
    Settings::read(include_str!("../../chaski.toml"), &|_| None).unwrap()
}

/// A value as text, whatever its tag: `!GetAtt LastNet.Arn` is `LastNet.Arn`.
fn text(value: &Value) -> String {
    match value {
        Value::Tagged(tagged) => text(&tagged.value),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        other => format!("{other:?}"),
    }
}

fn texts(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Sequence(items) => items.iter().map(text).collect(),
        Value::Null => BTreeSet::new(),
        one => BTreeSet::from([text(one)]),
    }
}

/// Resources of a type, by their logical id.
fn resources(template: &Value, kind: &str) -> BTreeMap<String, Value> {
    let all = template["Resources"].as_mapping().unwrap();
    let of_kind = all.iter().filter(|(_, resource)| resource["Type"] == kind);
    of_kind.map(|(id, resource)| (text(id), resource.clone())).collect()
}

/// Every queue that the settings ask for, with its resource's logical id.
fn queues(template: &Value) -> BTreeMap<QueueName, String> {
    let found = resources(template, "AWS::SQS::Queue").into_iter().map(|(id, queue)| {
        let name = text(&queue["Properties"]["QueueName"]);
        let short = name.strip_prefix("${AWS::StackName}-").unwrap_or_else(|| panic!("{name}"));
        let queue = QueueName::parse(short.strip_suffix(".fifo").unwrap_or(short)).unwrap();
        assert!(short.ends_with(suffix(&queue)) && short.ends_with(".fifo") == is_fifo(&queue), "{name}");
        (queue, id)
    });
    found.collect()
}

fn shards(settings: &Settings) -> BTreeSet<QueueName> {
    let of_route = |route: &chaski_core::route::Route| {
        let name = route.name.clone();
        (0..route.shards).map(move |shard| QueueName::Shard { route: name.clone(), shard })
    };
    settings.routes.iter().flat_map(of_route).collect()
}

fn tiers() -> BTreeSet<QueueName> {
    Tier::ALL.into_iter().map(QueueName::Tier).collect()
}

#[test]
fn the_queues_are_those_of_the_settings() {
    let template = template();
    let found: BTreeSet<QueueName> = queues(&template).into_keys().collect();
    let mut expected = shards(&settings());
    expected.extend(tiers());
    expected.extend([QueueName::Wake, QueueName::WakeNet, QueueName::LastNet]);
    assert_eq!(found, expected);
}

/// By these outputs an operator's replay goes where the deployed ingress would put the message.
#[test]
fn the_outputs_name_the_routes_of_the_settings() {
    let template = template();
    let output = |n: usize| template["Outputs"][format!("Route{n}").as_str()]["Value"].as_str().map(str::to_owned);
    let tables: Vec<String> = (0..).map_while(output).collect();
    let told = Settings::read(&format!("routes = [{}]", tables.join(", ")), &|_| None).unwrap();
    assert_eq!(told.routes, settings().routes);
}

#[test]
fn every_queue_is_as_the_contract_says() {
    let template = template();
    for (id, queue) in resources(&template, "AWS::SQS::Queue") {
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
            assert_eq!(queue[policy], "Retain", "{id}");
        }
        let properties = &queue["Properties"];
        for (name, expected) in [("MessageRetentionPeriod", "1209600"), ("SqsManagedSseEnabled", "true")] {
            assert_eq!(text(&properties[name]), expected, "{id}.{name}");
        }
        let waits = id == "Wake" || id == "WakeNet";
        for (name, expected) in [
            ("FifoQueue", "true"),
            ("DeduplicationScope", "messageGroup"),
            ("FifoThroughputLimit", "perMessageGroupId"),
            ("ContentBasedDeduplication", "false"),
        ] {
            // A standard queue names none of them.
            assert_eq!(properties.get(name).map(text), (!waits).then(|| expected.to_owned()), "{id}.{name}");
        }
        let visibility = format!("{:?}", properties["VisibilityTimeout"]);
        assert!(visibility.contains("HttpMaxTimeout") && visibility.contains("Visibility"), "{id}: {visibility}");
        if id == "LastNet" || id == "WakeNet" {
            assert!(properties["RedrivePolicy"].is_null());
        } else {
            let net = if waits { "WakeNet.Arn" } else { "LastNet.Arn" };
            assert_eq!(text(&properties["RedrivePolicy"]["deadLetterTargetArn"]), net, "{id}");
            assert_eq!(properties["RedrivePolicy"]["maxReceiveCount"], 1_000, "{id}");
        }
        let tier = id.strip_prefix("Retry").map(|tier| format!("Retry{tier}Delay"));
        assert_eq!(properties.get("DelaySeconds").map(text), tier, "{id}");
    }
}

#[test]
fn timeouts_and_visibility_are_derived_from_one_number() {
    let template = template();
    let table = template["Mappings"]["HttpMaxTimeout"].as_mapping().unwrap();
    let allowed = texts(&template["Parameters"]["HttpMaxTimeout"]["AllowedValues"]);
    assert_eq!(table.keys().map(text).collect::<BTreeSet<_>>(), allowed);
    for (seconds, derived) in table {
        let max_timeout = Duration::from_secs(text(seconds).parse().unwrap());
        let http = HttpSettings { timeout: Duration::from_secs(1), max_timeout };
        assert_eq!(derived["Function"], http.function_timeout().as_secs(), "{seconds:?}");
        assert_eq!(derived["Visibility"], http.visibility().as_secs(), "{seconds:?}");
    }
    for function in ["SqsConsumer", "SqsErrorConsumer"] {
        let timeout = format!("{:?}", template["Resources"][function]["Properties"]["Timeout"]);
        assert!(timeout.contains("HttpMaxTimeout") && timeout.contains("Function"), "{timeout}");
    }
}

#[test]
fn the_parameters_defaults_are_the_settings_defaults() {
    let template = template();
    let default = |name: &str| text(&template["Parameters"][name]["Default"]);
    let (settings, delays) = (settings(), TierDelays::default());
    for (name, delay) in [("Fast", delays.fast), ("Medium", delays.medium), ("Slow", delays.slow)] {
        assert_eq!(default(&format!("Retry{name}Delay")), delay.as_secs().to_string());
    }
    assert_eq!(default("HttpTimeout"), format!("{}s", settings.http.timeout.as_secs()));
    assert_eq!(default("HttpMaxTimeout"), settings.http.max_timeout.as_secs().to_string());
    assert_eq!(default("LogLevel"), settings.log.level.to_string().to_lowercase());
    assert_eq!(default("LogBodies"), settings.log.bodies.to_string());
    assert_eq!(default("StrictSequence"), settings.aws.sequence.to_string());
    assert_eq!(default("Producers"), if settings.producers.is_empty() { "none" } else { "configured" });
}

/// The queues that a function's mappings read.
fn read_by(template: &Value, function: &str) -> BTreeSet<QueueName> {
    let ids: BTreeMap<String, QueueName> = queues(template).into_iter().map(|(name, id)| (id, name)).collect();
    let events = template["Resources"][function]["Properties"]["Events"].as_mapping().unwrap();
    let mut read = BTreeSet::new();
    for (name, event) in events {
        let properties = &event["Properties"];
        assert_eq!(event["Type"], "SQS", "{name:?}");
        assert_eq!(
            texts(&properties["FunctionResponseTypes"]),
            BTreeSet::from(["ReportBatchItemFailures".to_owned()]),
            "{name:?}"
        );
        assert_eq!(properties["BatchSize"], 10, "{name:?}");
        assert_eq!(text(&properties["ScalingConfig"]["MaximumConcurrency"]), "MaximumConcurrency", "{name:?}");
        let queue = text(&properties["Queue"]);
        assert!(read.insert(ids[queue.strip_suffix(".Arn").unwrap()].clone()), "{queue} has two mappings");
    }
    read
}

#[test]
fn every_queue_has_one_reader_that_reports_its_failures() {
    let template = template();
    assert_eq!(read_by(&template, "SqsConsumer"), shards(&settings()));
    let mut behind = tiers();
    behind.extend([QueueName::Wake, QueueName::WakeNet, QueueName::LastNet]);
    assert_eq!(read_by(&template, "SqsErrorConsumer"), behind);
    assert!(template["Resources"]["ApiIngress"]["Properties"]["Events"].is_null());
}

/// What a role allows: each action with its resources, of the control table with the partitions.
fn rights(template: &Value, role: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut rights: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let policies = template["Resources"][role]["Properties"]["Policies"].as_sequence().unwrap();
    for statement in policies.iter().flat_map(|policy| policy["PolicyDocument"]["Statement"].as_sequence().unwrap()) {
        assert_eq!(statement["Effect"], "Allow");
        assert!(statement.get("NotAction").is_none() && statement.get("NotResource").is_none());
        let conditions = statement["Condition"].as_mapping().into_iter().flatten();
        let keys: BTreeSet<String> = conditions.flat_map(|(_, keys)| texts(&keys["dynamodb:LeadingKeys"])).collect();
        let mut resources = texts(&statement["Resource"]);
        if !keys.is_empty() {
            let of_key = |key: &String| resources.iter().map(move |resource| format!("{resource} {key}")).collect();
            resources = keys.iter().flat_map(|key| -> Vec<String> { of_key(key) }).collect();
        }
        for action in texts(&statement["Action"]) {
            rights.entry(action).or_default().extend(resources.clone());
        }
    }
    rights
}

#[test]
fn each_role_may_do_exactly_what_its_function_does() {
    let template = template();
    let ids = queues(&template);
    let arns =
        |names: &BTreeSet<QueueName>| names.iter().map(|name| format!("{}.Arn", ids[name])).collect::<BTreeSet<_>>();
    let (shards, tiers) = (arns(&shards(&settings())), arns(&tiers()));
    let with = |queues: &[&BTreeSet<String>], more: &[&str]| {
        let more = more.iter().map(|name| format!("{name}.Arn"));
        queues.iter().flat_map(|queues| queues.iter().cloned()).chain(more).collect::<BTreeSet<String>>()
    };
    // What waits goes to wake; callbacks go into the shards, and so does what waited.
    let (accepts, retries) = (with(&[&shards], &["Wake"]), with(&[&shards, &tiers], &["Wake"]));
    let behind = with(&[&tiers], &["Wake", "WakeNet", "LastNet"]);
    let only = |name: &str| BTreeSet::from([name.to_owned()]);
    let receive = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"];

    for (role, sends, reads, logs) in [
        ("ApiIngressRole", &accepts, None, "ApiIngressLogs.Arn"),
        ("SqsConsumerRole", &retries, Some(&shards), "SqsConsumerLogs.Arn"),
        ("SqsErrorConsumerRole", &retries, Some(&behind), "SqsErrorConsumerLogs.Arn"),
    ] {
        let mut expected = BTreeMap::from([
            ("sqs:SendMessage".to_owned(), sends.clone()),
            ("logs:CreateLogStream".to_owned(), only(logs)),
            ("logs:PutLogEvents".to_owned(), only(logs)),
        ]);
        if let Some(reads) = reads {
            expected.extend(receive.iter().map(|action| ((*action).to_owned(), reads.clone())));
            let own = if role == "SqsConsumerRole" { "line#*" } else { "wait#*" };
            let rows = |keys: &[&str]| keys.iter().map(|key| format!("ControlTable.Arn {key}")).collect();
            // Open breakers stand beside the orders, to come with the same query.
            let mut puts: BTreeSet<String> = rows(&["held#*", "flow#*", "orders", own]);
            puts.insert("DeadLetters.Arn".to_owned());
            expected.insert("dynamodb:PutItem".to_owned(), puts);
            expected.insert("dynamodb:Query".to_owned(), rows(&["orders"]));
            expected.insert("dynamodb:GetItem".to_owned(), rows(&["flow#*", own]));
            expected.insert("dynamodb:DeleteItem".to_owned(), rows(&["orders", own]));
        }
        if role == "SqsConsumerRole" {
            expected.insert("dynamodb:UpdateItem".to_owned(), only("ControlTable.Arn seq#*"));
        }
        if role == "SqsErrorConsumerRole" {
            let schedules =
                "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule/${WakeSchedules}/*";
            expected.insert("scheduler:CreateSchedule".to_owned(), only(schedules));
            expected.insert("iam:PassRole".to_owned(), only("WakeRole.Arn"));
        }
        let folders = |names: &[&str]| names.iter().map(|name| format!("${{Bodies.Arn}}/{name}/*")).collect();
        let (puts, gets): (BTreeSet<_>, BTreeSet<_>) = match reads {
            None => (folders(&["live", "long", "claim"]), folders(&["live", "claim"])),
            Some(_) => (folders(&["dead"]), folders(&["live", "long"])),
        };
        expected.extend([("s3:PutObject".to_owned(), puts), ("s3:GetObject".to_owned(), gets)]);
        expected.insert("s3:ListBucket".to_owned(), only("Bodies.Arn"));
        if reads.is_none() {
            expected.insert("s3:DeleteObject".to_owned(), folders(&["claim"]));
        }
        assert_eq!(rights(&template, role), expected, "{role}");
    }
    let queues = ["Wake.Arn", "WakeNet.Arn"].map(str::to_owned).into();
    assert_eq!(rights(&template, "WakeRole"), BTreeMap::from([("sqs:SendMessage".to_owned(), queues)]));
}

/// What is on its way outlives every wait and every retry in its folder; what died stays.
#[test]
fn bodies_are_nobody_else_s_and_live_as_long_as_what_names_them() {
    let template = template();
    let bucket = &template["Resources"]["Bodies"];
    assert_eq!(bucket["DeletionPolicy"], "Retain");
    let properties = &bucket["Properties"];
    let public = properties["PublicAccessBlockConfiguration"].as_mapping().unwrap();
    assert!(public.len() == 4 && public.values().all(|blocked| *blocked == Value::Bool(true)));
    let encryption = &properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
    assert_eq!(encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256");
    let rules = properties["LifecycleConfiguration"]["Rules"].as_sequence().unwrap();
    let expires: BTreeMap<String, u64> =
        rules.iter().filter_map(|rule| Some((text(&rule["Prefix"]), rule["ExpirationInDays"].as_u64()?))).collect();
    // A claim outlives its upload, which may come again within the hour of its address. A dead letter's body outlives its
    // record, which DynamoDB deletes within some days after it has expired; without an end it stays.
    let folders = [("live/", 30), ("long/", 400), ("claim/", 32)].map(|(folder, days)| (folder.to_owned(), days));
    let dead = S3Bodies::<SystemClock>::DEAD_DAYS.map(|days| (format!("dead/{days}d/"), u64::from(days) + 7));
    assert_eq!(expires, folders.into_iter().chain(dead).collect());
    let statement = &template["Resources"]["BodiesPolicy"]["Properties"]["PolicyDocument"]["Statement"][0];
    assert_eq!((&statement["Effect"], &statement["Action"]), (&"Deny".into(), &"s3:*".into()));
    assert_eq!(text(&statement["Condition"]["Bool"]["aws:SecureTransport"]), "false");
}

/// Accepting never needs a table; a window of keys does, and then the ingress may touch its own rows of it.
#[test]
fn the_ingress_may_touch_its_rows_of_keys_where_there_is_a_window_and_no_others() {
    let template = template();
    let policy = &template["Resources"]["ApiIngressKeys"];
    assert_eq!((&policy["Type"], &policy["Condition"]), (&"AWS::IAM::Policy".into(), &"HasKeyWindow".into()));
    assert_eq!(texts(&policy["Properties"]["Roles"]), BTreeSet::from(["ApiIngressRole".to_owned()]));
    let [statement] = &policy["Properties"]["PolicyDocument"]["Statement"].as_sequence().unwrap()[..] else {
        panic!("one statement")
    };
    assert_eq!(texts(&statement["Action"]), ["dynamodb:GetItem", "dynamodb:PutItem"].map(str::to_owned).into());
    let variables = &template["Resources"]["ApiIngress"]["Properties"]["Environment"]["Variables"];
    assert_eq!(text(&variables["CHASKI_AWS_CONTROL"]), "ControlTable");
    assert_eq!(text(&statement["Resource"]), "ControlTable.Arn");
    let keys = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
    assert_eq!(texts(keys), BTreeSet::from(["key#*".to_owned()]));
    assert_eq!(text(&template["Parameters"]["KeyWindowSeconds"]["Default"]), "0");
    let most = chaski_core::limits::KEY_WINDOW.as_secs().to_string();
    assert_eq!(text(&template["Parameters"]["KeyWindowSeconds"]["MaxValue"]), most);
}

/// The partitions of the control table that a role may touch, by action.
fn partitions(template: &Value, role: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut partitions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let policies = template["Resources"][role]["Properties"]["Policies"].as_sequence().unwrap();
    let statements = policies.iter().flat_map(|policy| policy["PolicyDocument"]["Statement"].as_sequence().unwrap());
    for statement in statements.filter(|statement| texts(&statement["Resource"]).contains("ControlTable.Arn")) {
        assert_eq!(texts(&statement["Resource"]).len(), 1, "a condition holds for one table");
        let condition = statement["Condition"].as_mapping().unwrap();
        assert_eq!(condition.len(), 1);
        for (operator, keys) in condition {
            let keys = texts(&keys["dynamodb:LeadingKeys"]);
            let like = keys.iter().any(|key| key.ends_with('*'));
            assert_eq!(text(operator), if like { "ForAllValues:StringLike" } else { "ForAllValues:StringEquals" });
            for action in texts(&statement["Action"]) {
                partitions.entry(action).or_default().extend(keys.clone());
            }
        }
    }
    partitions
}

#[test]
fn each_role_touches_only_its_partitions_of_the_control_table() {
    let template = template();
    let only = |action: &str, keys: &[&str]| {
        (action.to_owned(), keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>())
    };
    for (role, own, more) in [
        ("SqsConsumerRole", "line#*", Some(only("dynamodb:UpdateItem", &["seq#*"]))),
        ("SqsErrorConsumerRole", "wait#*", None),
    ] {
        let mut expected = BTreeMap::from([
            only("dynamodb:Query", &["orders"]),
            only("dynamodb:PutItem", &["held#*", "flow#*", "orders", own]),
            only("dynamodb:GetItem", &["flow#*", own]),
            only("dynamodb:DeleteItem", &["orders", own]),
        ]);
        expected.extend(more);
        assert_eq!(partitions(&template, role), expected, "{role}");
    }
    assert!(partitions(&template, "ApiIngressRole").is_empty());
}

/// A schedule writes into the two queues of what waits, in the name of a role that only Scheduler takes, for this stack.
#[test]
fn schedules_may_wake_and_nothing_else() {
    let template = template();
    let role = &template["Resources"]["WakeRole"]["Properties"];
    let trust = &role["AssumeRolePolicyDocument"]["Statement"][0];
    assert_eq!(trust["Principal"]["Service"], "scheduler.amazonaws.com");
    assert_eq!(text(&trust["Condition"]["StringEquals"]["aws:SourceAccount"]), "AWS::AccountId");
    assert_eq!(text(&trust["Condition"]["ArnEquals"]["aws:SourceArn"]), "WakeSchedules.Arn");
    let statements =
        template["Resources"]["SqsErrorConsumerRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
            .as_sequence()
            .unwrap();
    let passes = statements.iter().find(|statement| statement["Sid"] == "LetSchedulesWrite").unwrap();
    assert_eq!(passes["Condition"]["StringEquals"]["iam:PassedToService"], "scheduler.amazonaws.com");
    let variables = &template["Resources"]["SqsErrorConsumer"]["Properties"]["Environment"]["Variables"];
    assert_eq!(text(&variables["CHASKI_AWS_SCHEDULE_GROUP"]), "WakeSchedules");
    assert_eq!(text(&variables["CHASKI_AWS_SCHEDULE_ROLE"]), "WakeRole.Arn");
    assert!(resources(&template, "AWS::Scheduler::ScheduleGroup").contains_key("WakeSchedules"));
}

#[test]
fn the_control_table_forgets_by_itself() {
    let template = template();
    let tables = resources(&template, "AWS::DynamoDB::Table");
    let table = &tables["ControlTable"];
    assert_eq!(table["DeletionPolicy"], "Retain");
    let properties = &table["Properties"];
    assert_eq!(properties["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(text(&properties["TimeToLiveSpecification"]["AttributeName"]), "expires");
    assert_eq!(properties["TimeToLiveSpecification"]["Enabled"], true);
}

#[test]
fn the_table_keeps_what_it_has() {
    let template = template();
    let tables = resources(&template, "AWS::DynamoDB::Table");
    let table = &tables["DeadLetters"];
    assert_eq!(table["DeletionPolicy"], "Retain");
    let properties = &table["Properties"];
    assert_eq!(properties["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(template["Parameters"]["DeadLetterRetentionDays"]["Default"], 0, "until it is deleted");
    assert_eq!(text(&properties["TimeToLiveSpecification"]["AttributeName"]), "expires_at");
    assert_eq!(properties["TimeToLiveSpecification"]["Enabled"], true);
    assert_eq!(text(&template["Parameters"]["TableDeletionProtection"]["Default"]), "true");
    let indexes: BTreeSet<String> = properties["GlobalSecondaryIndexes"]
        .as_sequence()
        .unwrap()
        .iter()
        .map(|index| text(&index["IndexName"]))
        .collect();
    assert_eq!(indexes, ["by_id", "by_subject", "by_target"].map(str::to_owned).into());
}

/// Each variable is a setting's, so that none is a slip of the pen that nobody reads.
#[test]
fn the_environment_is_small_and_known() {
    let template = template();
    let known: BTreeSet<String> = [
        "log.level",
        "log.bodies",
        "http.timeout",
        "http.max_timeout",
        "tiers.fast",
        "tiers.medium",
        "tiers.slow",
        "aws.queue_prefix",
        "aws.table",
        "aws.control",
        "aws.key_window",
        "aws.sequence",
        "aws.schedule_group",
        "aws.schedule_role",
        "aws.bucket",
        "retention.dead",
        "signing.secret",
        "signing.previous",
    ]
    .map(variable)
    .into();
    let global = template["Globals"]["Function"]["Environment"]["Variables"].as_mapping().unwrap();
    for function in ["ApiIngress", "SqsConsumer", "SqsErrorConsumer"] {
        let own = &template["Resources"][function]["Properties"]["Environment"]["Variables"];
        let pairs: Vec<_> = global.iter().chain(own.as_mapping().into_iter().flatten()).collect();
        assert!(pairs.iter().all(|(name, _)| known.contains(&text(name))), "{pairs:?}");
        let size: usize = pairs.iter().map(|(name, value)| text(name).len() + text(value).len()).sum();
        assert!(size < 4_096 / 2, "{function}: {size} bytes of 4,096");
    }
}

#[test]
fn signing_secrets_are_hidden_and_only_the_consumers_have_them() {
    let template = template();
    for (name, setting) in [("SigningSecret", "signing.secret"), ("SigningPrevious", "signing.previous")] {
        let parameter = &template["Parameters"][name];
        assert_eq!(parameter["NoEcho"], true, "{name}");
        assert_eq!(text(&parameter["Default"]), "", "{name}");
        let variable = variable(setting);
        for (function, expected) in
            [("ApiIngress", None), ("SqsConsumer", Some(name)), ("SqsErrorConsumer", Some(name))]
        {
            let own = &template["Resources"][function]["Properties"]["Environment"]["Variables"][variable.as_str()];
            assert_eq!((!own.is_null()).then(|| text(own)).as_deref(), expected, "{function}");
        }
        let uses = include_str!("../../template.yaml").matches(&format!("!Ref {name}\n")).count();
        assert_eq!(uses, 2, "{name} stands nowhere else");
    }
    let global = &template["Globals"]["Function"]["Environment"]["Variables"];
    assert!(global[variable("signing.secret").as_str()].is_null());
}

#[test]
fn the_ingress_changes_after_the_consumers_and_asks_for_iam() {
    let template = template();
    assert_eq!(
        texts(&template["Resources"]["ApiIngress"]["DependsOn"]),
        ["SqsConsumerAliaslive", "SqsErrorConsumerAliaslive"].map(str::to_owned).into()
    );
    for (id, route) in resources(&template, "AWS::ApiGatewayV2::Route") {
        let authorization = format!("{:?}", route["Properties"]["AuthorizationType"]);
        assert!(authorization.contains("HasProducers") && authorization.contains("AWS_IAM"), "{id}: {authorization}");
    }
}
