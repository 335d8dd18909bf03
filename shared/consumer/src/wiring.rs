//! What the consumers' adapters are made of, by their settings.

use chaski_aws::{Clients, QueuePrefix};
use chaski_core::queue::QueueName;
use chaski_core::settings::AwsNames;
use chaski_dynamodb::{ControlTable, Schedules, Waits};
use chaski_signed::Scheduler;

/// The control table, where the stack has one.
pub(crate) fn control(names: &AwsNames, clients: &Clients) -> Option<ControlTable> {
    let table = Some(names.control.as_str()).filter(|name| !name.is_empty())?;
    Some(ControlTable::new(chaski_dynamodb::client(clients), table))
}

/// Long waits, where this function makes schedules.
pub(crate) fn waits(
    names: &AwsNames,
    clients: &Clients,
    prefix: &QueuePrefix,
    control: Option<&ControlTable>,
) -> Option<Waits> {
    let group = Some(names.schedule_group.clone()).filter(|group| !group.is_empty())?;
    let role = names.schedule_role.clone();
    // The stack's queues are in the partition of its role: `arn:aws-cn:iam::…`.
    let partition = role.split(':').nth(1).unwrap_or("aws").to_owned();
    let arn = |queue| prefix.arn(queue, &partition, clients.region().as_ref());
    let (wake, net) = (arn(&QueueName::Wake), arn(&QueueName::WakeNet));
    let schedules = Schedules { scheduler: Scheduler::new(clients), group, role, wake, net };
    Some(Waits::new(control?.clone(), schedules))
}
